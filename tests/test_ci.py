"""The commands in `.ci`: they end with status 0 only when something was tested, and was right."""

import importlib.machinery
import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.testing.patience import patience

ROOT = Path(__file__).parents[1]


def program(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


def loaded(name: str) -> Iterator[Any]:
    loader = importlib.machinery.SourceFileLoader(f"ci_{name}", str(ROOT / ".ci" / name))
    spec = importlib.util.spec_from_loader(f"ci_{name}", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setitem(sys.modules, f"ci_{name}", module)
        loader.exec_module(module)
        yield module


@pytest.fixture
def matrix() -> Iterator[Any]:
    yield from loaded("matrix")


@pytest.fixture
def packed() -> Iterator[Any]:
    yield from loaded("packed")


@pytest.fixture
def coverage() -> Iterator[Any]:
    yield from loaded("coverage")


@pytest.mark.parametrize(("options", "status"), [([], 1), (["27"], 1), (["--others"], 0)])
def test_a_matrix_without_a_release_fails_unless_only_others_are_asked_for(
    tmp_path: Path, options: list[str], status: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-B", str(ROOT / ".ci" / "matrix"), *options], env={"PATH": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=patience(),
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "no erl on PATH" in done.stdout
    assert ("FAILED: nothing was tested" in done.stdout) == (status == 1)


@pytest.mark.parametrize(
    ("counts", "status"),
    [([(5, 0)], 0), ([(5, 0), (7, 0)], 0), ([(5, 1)], 1), ([(0, 0)], 1), ([(5, 0), (0, 0)], 1), ([(5, 0), (4, 2)], 1)],
)
def test_a_release_on_which_no_test_passed_is_a_failure(
    matrix: Any, counts: list[tuple[int, int]], status: int
) -> None:
    results = [matrix.Result(27, (), passed, failed, 3, 1.0, []) for passed, failed in counts]
    assert matrix.status(results, others=False) == status
    assert matrix.status(results, others=True) == status


@pytest.mark.parametrize("status", [2, 3, 4, 137])
def test_a_run_that_broke_off_is_a_failure_whatever_its_report_says(matrix: Any, status: int) -> None:
    for good in (0, 1, 5):
        matrix.to_the_end(27, good)
    with pytest.raises(SystemExit, match=f"did not run to their end: status {status}"):
        matrix.to_the_end(27, status)


DOCKER = """
echo "$*" >> "$LOG"
case "$*" in
    "compose version") ;;
    *" up "*--exit-code-from*) exit 143 ;;
    *" ps "*check) echo the_container ;;
    "logs --follow the_container") echo "what check says" ;;
    "wait the_container") echo "$STATUS" ;;
    *" logs") echo "what all say" ;;
esac
"""


@pytest.mark.parametrize("status", [0, 3])
@pytest.mark.parametrize("plugin", [True, False], ids=["plugin", "program"])
def test_compose_ends_with_the_status_of_its_check_and_takes_all_down(
    tmp_path: Path, status: int, plugin: bool
) -> None:
    """Of the check alone: `up` may end with that of a service that it has killed itself."""
    without = DOCKER.replace('"compose version") ;;', '"compose version") exit 1 ;;')
    program(tmp_path, "docker", DOCKER if plugin else without)
    program(tmp_path, "docker-compose", DOCKER)
    log = tmp_path / "log"
    done = subprocess.run(
        ["sh", str(ROOT / ".ci" / "compose")], capture_output=True, text=True, check=False, timeout=patience(),
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "LOG": str(log), "STATUS": str(status)},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert "what check says" in done.stdout
    assert ("what all say" in done.stdout) == (status != 0)
    words = log.read_text().splitlines()
    assert " down " in words[-1]
    assert ("compose --project-name" in words[2]) == plugin


# --- what a command needs is said before it begins -------------------------------------------------------------
def bare(directory: Path) -> dict[str, str]:
    """A machine that has nothing."""
    for name in ("sh", "dirname"):
        (directory / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return {"PATH": str(directory)}


@pytest.mark.parametrize(
    ("words", "has", "says"),
    [
        (["wheel"], [], "make wheel: no C compiler for the codec (Debian: apt-get install gcc python3-dev)"),
        (
            ["wheel", "local"],
            ["cc", "python3"],
            "make wheel: no erl on PATH (Debian: apt-get install erlang-nox elixir)",
        ),
        (["wheel", "docker"], ["cc", "python3"], "make wheel: no Docker engine answers"),
        (["wheel"], ["cc", "python3"], "make wheel: nothing to test it with"),
        (["bench", "python3"], ["python3"], "make bench: no erl and elixir on PATH"),
        (["compose"], [], "no Docker engine answers (Debian: apt-get install docker.io docker-compose)"),
    ],
)
def test_a_command_says_in_one_line_what_it_lacks(tmp_path: Path, words: list[str], has: list[str], says: str) -> None:
    env = bare(tmp_path)
    for name in has:
        program(tmp_path, name, "exit 0")
    done = subprocess.run(
        ["/bin/sh", str(ROOT / ".ci" / words[0]), *words[1:]], env=env,
        capture_output=True, text=True, check=False, timeout=patience(),
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].find(says) >= 0, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_every_command_of_the_help_is_one_of_make() -> None:
    text = (ROOT / "Makefile").read_text()
    told = set(re.findall(r'@echo "make (\w+)', text))
    assert told == set(re.findall(r"^(\w+):", text, re.MULTILINE)) - {"help"}
    phony = next(line for line in text.splitlines() if line.startswith(".PHONY"))
    assert told <= set(phony.split())


# --- what is packed ------------------------------------------------------------------------------------------------
def test_a_wheel_without_a_companion_or_with_sources_is_told(packed: Any) -> None:
    good = [f"pyerlnode/companions/{name}" for name in packed.COMPANIONS] + [
        f"pyerlnode/{name}" for name in packed.OURS
    ]
    good.append("pyerlnode/etf/_codec_c.cpython-311-x86_64-linux-gnu.so")
    named = "pyerlnode-0.1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    assert packed.of_wheel(named, good, 1000) == []
    assert packed.of_wheel(named, good[1:], 1000) == ["the wheel has no pyerlnode/companions/pyerlnode.erl"]
    assert packed.of_wheel(named, [*good, "pyerlnode/etf/a.pyx"], 1000) == ["the wheel has pyerlnode/etf/a.pyx"]
    assert packed.of_wheel(named, good[:-1], 1000) == ["the wheel has no compiled codec"]
    assert packed.of_wheel(named, good, packed.MOST + 1) != []
    if sys.platform == "linux":
        assert packed.of_wheel("pyerlnode-0.1.0-cp311-cp311-linux_x86_64.whl", good, 1) != []


def test_an_sdist_with_what_was_built_is_told(packed: Any) -> None:
    assert "the sdist has pyerlnode/etf/_codec_c.c" in packed.of_sdist(["p-1/pyerlnode/etf/_codec_c.c"])
    assert "the sdist has tests/test_ci.py" in packed.of_sdist(["p-1/tests/test_ci.py"])
    assert "the sdist has no beam/pyerlnode.erl" in packed.of_sdist([])


def test_the_table_of_coverage_adds_up_the_rooms(coverage: Any) -> None:
    def file(covered: int, lines: int, taken: int, branches: int) -> dict[str, Any]:
        keys = ("covered_lines", "num_statements", "covered_branches", "num_branches")
        return {"summary": dict(zip(keys, (covered, lines, taken, branches), strict=True))}

    files = {"pyerlnode/net/a.py": file(5, 10, 1, 4), "pyerlnode/net/b.py": file(5, 10, 0, 0)}
    rows = coverage.table({**files, "pyerlnode/node.py": file(10, 10, 0, 0)}).splitlines()
    assert rows[2:] == [
        "| (top) | 10 | 100.0 % | 0 | – |",
        "| net | 20 | 50.0 % | 4 | 25.0 % |",
        "| all | 30 | 66.7 % | 4 | 25.0 % |",
    ]


@pytest.mark.parametrize("url", ["", "https://example.org/me/pyerlnode/"])
def test_a_package_links_to_where_it_is_published_and_nowhere_when_that_is_not_said(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    setuptools = pytest.importorskip("setuptools", reason="setuptools is not installed")
    told: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **words: told.update(words))
    monkeypatch.setenv("PYERLNODE_URL", url)
    monkeypatch.setenv("PYERLNODE_PUREPYTHON", "1")
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py", run_name="__main__")
    home = url.rstrip("/")
    links = re.findall(r"\]\((?!#)([^)]+)\)", told["long_description"])
    assert links
    if url:
        assert set(told["project_urls"]) == {"Source", "Documentation", "Issues"}
        assert all(link.startswith(home) for link in told["project_urls"].values())
        assert all(link.startswith("http") for link in links), "a link of the page leads to a file that is not there"
    else:
        assert told["project_urls"] == {}
