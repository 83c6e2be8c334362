"""The chooser: which codec runs is never a surprise."""

import subprocess
import sys
from types import ModuleType

import pytest


def test_implementation_tells_which_codec_runs(etf: ModuleType) -> None:
    assert etf.__name__.removeprefix("etf_") == etf.IMPLEMENTATION
    expected = {"python": "_codec_py", "c": "_codec_c"}[etf.IMPLEMENTATION]
    assert etf.decode.__module__ == f"pyerlnode.etf.{expected}"


def implementation(source: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{source}\nimport pyerlnode.etf\nprint(pyerlnode.etf.IMPLEMENTATION)"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_pure_python_can_be_forced() -> None:
    assert implementation(PYERLNODE_PUREPYTHON="1").stdout == "python\n"


@pytest.mark.parametrize(("required", "outcome"), [("1", "PYERLNODE_REQUIRE_C=1"), ("0", "python\n")])
def test_absence_of_the_compiled_codec_is_an_error_when_it_is_required(required: str, outcome: str) -> None:
    hidden = "sys.modules['pyerlnode.etf._codec_c'] = None"
    run = implementation(hidden, PYERLNODE_REQUIRE_C=required)
    assert outcome in run.stdout + run.stderr
    assert (run.returncode == 0) == (required == "0")
