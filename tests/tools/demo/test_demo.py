"""`demo`: every step against a second Python node, nothing left behind, and a failed step is a failed demo."""

import io
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from place import PYERLNODE, Place

from pyerlnode.errors import UsageError
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.tools.demo import peers
from pyerlnode.tools.demo.report import NotVerified, Report, verify
from pyerlnode.tools.output import Output


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def is_silent(pid: int) -> bool:
    """Whether the process has become a peer that says nothing."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() == b"cat\0"


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_every_step_is_verified_against_a_second_python_node(here: Place) -> None:
    ran = here.pyerlnode("demo", "--peer", "python", "--json")
    document = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert document["ok"] is True
    assert [step["title"] for step in document["steps"] if not step["verified"]] == []
    assert len(document["steps"]) == 18


def test_the_screen_tells_the_peer_and_how_to_get_another(here: Place) -> None:
    ran = here.pyerlnode("demo", "--peer", "python")
    assert ran.returncode == 0
    assert "18 of 18 steps verified" in ran.stdout
    assert "against a second Python node" in ran.stdout
    assert "apt-get install erlang-nox elixir" in ran.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_leaves_nothing_behind(here: Place, tmp_path: Path, number: int, status: int) -> None:
    """Its peer says nothing, so it is in its midst, however late the signal is."""
    silent = tmp_path / "elixir"
    silent.write_text("#!/bin/sh\nexec cat >/dev/null\n")
    silent.chmod(0o755)
    before = set(tmp_path.iterdir())
    environment = (f"TMPDIR={tmp_path}", f"PATH={tmp_path}:{os.environ['PATH']}")
    program = here.start(("env", *environment, *PYERLNODE, "demo", "--peer", "elixir"), "becomes a node")
    [peer] = wait_for(lambda: [pid for pid in children(program.pid) if is_silent(pid)], what="the peer")
    os.kill(program.pid, number)
    assert program.wait(patience()) == status
    wait_for(lambda: not alive(peer), what="the end of the peer")
    assert set(tmp_path.iterdir()) == before


def test_a_killed_demo_takes_its_peer_along(here: Place) -> None:
    program = here.start((*PYERLNODE, "demo", "--peer", "python"), "becomes a node")
    wait_for(lambda: children(program.pid), what="the peer")
    [peer] = children(program.pid)
    os.kill(program.pid, signal.SIGKILL)
    wait_for(lambda: not alive(peer), what="the end of the peer, whose input ended")


def test_a_step_that_is_not_verified_fails_the_demo() -> None:
    stream = io.StringIO()
    report = Report(Output(stream=stream))
    with report.step("one"):
        pass
    with pytest.raises(NotVerified), report.step("two"):
        verify(False, "the moon")
    assert report.finish("python", "a node", "") == 1
    assert "FAILED" in stream.getvalue()
    assert "the moon" in stream.getvalue()
    assert "1 of 2 steps verified" in stream.getvalue()


def test_a_peer_that_is_not_here_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="apt-get install"):
        peers.find_peer("elixir")
    assert peers.find_peer("auto").name == "python"
