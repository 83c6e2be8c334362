"""Fixtures that more than one room uses."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ETF = Path(__file__).resolve().parents[1] / "pyerlnode" / "etf"
TWINS = ["python", "c"] if importlib.util.find_spec("pyerlnode.etf._codec_c") else ["python"]
if os.environ.get("PYERLNODE_REQUIRE_C") == "1":
    TWINS = ["python", "c"]


def load_etf(twin: str) -> ModuleType:
    """`pyerlnode.etf`, run anew so that it chooses this twin; the one that is in use stays as it is."""
    spec = importlib.util.spec_from_file_location(f"etf_{twin}", ETF / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYERLNODE_PUREPYTHON", "1" if twin == "python" else "0")
        patch.setenv("PYERLNODE_REQUIRE_C", "0" if twin == "python" else "1")
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", params=TWINS)
def etf(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """`pyerlnode.etf` with each codec in turn: every test of one is a test of both."""
    name = f"etf_{request.param}"
    sys.modules[name] = module = load_etf(request.param)
    yield module
    del sys.modules[name]
