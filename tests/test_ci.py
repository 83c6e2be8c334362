"""The commands in `.ci`: they end with status 0 only when something was tested, and was right."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.testing.patience import patience

ROOT = Path(__file__).parents[1]


def program(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


@pytest.fixture
def matrix() -> Any:
    loader = importlib.machinery.SourceFileLoader("ci_matrix", str(ROOT / ".ci" / "matrix"))
    spec = importlib.util.spec_from_loader("ci_matrix", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setitem(sys.modules, "ci_matrix", module)
        loader.exec_module(module)
        yield module


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
    assert ("compose --project-name" in words[1]) == plugin
