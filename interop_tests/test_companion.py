"""The companion's own tests (`beam/pyerlnode`), run by Mix without a network, and its two programs looked at."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

ROOT = Path(__file__).parents[1]
COMPANION = ROOT / "beam" / "pyerlnode"


@pytest.mark.beam(elixir=True)
def test_the_companions_exunit_tests_pass(beam: Beam, tmp_path: Path) -> None:
    mix = shutil.which("mix")
    if mix is None:  # an image with Elixir's libraries alone: its sources at least compile there
        assert beam.load(COMPANION / "lib" / "pyerlnode.ex")
        return
    copy = tmp_path / "pyerlnode"
    shutil.copytree(COMPANION, copy, ignore=shutil.ignore_patterns("_build", "deps"))
    env = {
        **os.environ,
        "ERL_EPMD_PORT": str(beam.epmd_port),
        "MIX_ENV": "test",
        "MIX_HOME": str(tmp_path / "mix"),
        "PYERLNODE_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }
    output = tmp_path / "output"
    with output.open("wb") as file:
        ran = subprocess.Popen([mix, "test"], cwd=copy, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        wait_for(lambda: ran.poll() is not None, 120, "the end of mix test")
    assert ran.returncode == 0, output.read_text()
