"""A project of a user, checked from outside: the public types say what a strict checker wants to know."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyerlnode.testing.patience import patience

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "project"
GOOD = ["service.py", "service_tests.py"]


def wanted() -> dict[int, str]:
    """Line and fault of what a checker must report of `wrong.py`."""
    lines = (PROJECT / "wrong.py").read_text().splitlines()
    found = ((number, re.search(r"  # ([a-z-]+)$", line)) for number, line in enumerate(lines, 1))
    return {number: match[1] for number, match in found if match}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy says of all of it, in a directory where it finds nothing of this checkout but the package."""
    pytest.importorskip("mypy", reason="mypy is not installed (make lint installs it)")
    directory = tmp_path_factory.mktemp("project")
    for file in PROJECT.iterdir():
        shutil.copy(file, directory)
    (directory / "mypy.ini").write_text("[mypy]\nstrict = True\nfollow_imports = silent\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(directory / "cache"), *GOOD, "wrong.py"],
        cwd=directory, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        timeout=patience(600),
    )  # fmt: skip
    return done.stdout + done.stderr


def test_mypy_takes_a_users_project(said: str) -> None:
    assert [line for line in said.splitlines() if "error:" in line and not line.startswith("wrong.py")] == []
    assert "checked 3 source files" in said


def test_mypy_refuses_what_is_wrong(said: str) -> None:
    found = re.findall(r"^wrong\.py:(\d+): error: .*\[([a-z-]+)\]$", said, re.MULTILINE)
    assert {int(line): fault for line, fault in found} == wanted()


@pytest.mark.skipif(shutil.which("pyright") is None, reason="pyright is not installed (npm install -g pyright)")
def test_pyright_takes_a_users_project_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    for file in PROJECT.iterdir():
        shutil.copy(file, tmp_path)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "pythonVersion": "3.10"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        ["pyright", "--outputjson", "--pythonpath", sys.executable], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=patience(600),
    )  # fmt: skip
    reports = [found for found in json.loads(done.stdout)["generalDiagnostics"] if found["severity"] == "error"]
    of = {name: [found for found in reports if Path(found["file"]).name == name] for name in (*GOOD, "wrong.py")}
    assert {name: [found["message"] for found in of[name]] for name in GOOD} == {name: [] for name in GOOD}
    assert {found["range"]["start"]["line"] + 1 for found in of["wrong.py"]} == set(wanted())
