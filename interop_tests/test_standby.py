"""A standby group of nodes in OS processes of their own, called by a BEAM while they are killed or stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from documents import blocks
from place import ROOT, place

from interop_tests.python_peer import PythonPeer
from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import Heartbeat, deadline, promise
from pyerlnode.testing.plugin import python_name
from pyerlnode.testing.waiting import wait_for

SCRIPT = Path(__file__).parent / "peers" / "standby.py"
LEASE = promise(2.0)
PROMISE = 1.5 * LEASE * 1.01 / 0.99
LATEST = PROMISE + LEASE + 2.0
"""What is promised has to end, and two rounds of an election; what the machine is late comes on top."""


class Member(PythonPeer):
    """Runs `peers/standby.py`."""

    def __init__(self, beam: Beam, name: str, nodes: list[str], path: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [
                sys.executable, "-W", "ignore", str(SCRIPT),
                name, beam.cookie, str(beam.epmd_port), ",".join(nodes), str(LEASE), str(path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
        )  # fmt: skip

    def ready(self) -> None:
        assert self._line() == "ready"

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class Group:
    def __init__(self, beam: Beam, path: Path) -> None:
        self.beam = beam
        self.path = path
        self.nodes = [python_name() for _ in range(3)]
        self.made: list[Member] = []
        self.members = [self.start(name) for name in self.nodes]
        for member in self.members:
            member.ready()
        self.is_active(0)
        wait_for(lambda: self.states(0)[1:] == [A.standby] * 2, what="the others to stand by")

    def start(self, name: str) -> Member:
        self.made.append(Member(self.beam, name, self.nodes, self.path))
        return self.made[-1]

    def status(self, index: int) -> Any:
        """What that member tells the BEAM."""
        call = "catch gen_server:call({counter, N}, {standby, status}, 5000)"
        return self.beam.eval(call, N=A[self.nodes[index]])

    def states(self, index: int) -> list[Any]:
        return [member[A.state] for member in self.status(index)[A.members]]

    def is_active(self, index: int, asked: int = 2) -> None:
        def seen() -> bool:
            status = self.status(asked)
            return isinstance(status, dict) and status[A.active] is A[self.nodes[index]]

        wait_for(seen, what=f"{self.nodes[index]} to be active")

    def epochs(self) -> list[int]:
        return [int(line) for line in self.path.read_text().split()]

    def calls(self, *indices: int) -> Any:
        nodes = [A[self.nodes[index]] for index in indices]
        return self.beam.eval("standby_calls:start(counter, Nodes, add)", Nodes=nodes)

    def are_answered(self, callers: Any, index: int) -> None:
        """Each of the callers, by that node."""
        node = A[self.nodes[index]]

        def seen() -> bool:
            each: list[list[Any]] = self.beam.eval("standby_calls:nodes_seen(Callers)", Callers=callers)
            return all(nodes[:1] == [node] for nodes in each)

        wait_for(seen, what=f"every caller to be answered by {self.nodes[index]}")

    def answers(self, callers: Any) -> list[list[Any]]:
        answers: list[list[Any]] = self.beam.eval("standby_calls:stop(Callers)", Callers=callers)
        assert all(len(of_one) > 10 for of_one in answers)
        return answers


@pytest.fixture
def group(helper: Callable[[str], Beam], tmp_path: Path) -> Iterator[Group]:
    made = Group(helper("standby_calls.erl"), tmp_path / "epochs")
    yield made
    for member in made.made:
        member.stop()


def longest_gap(answers: list[Any]) -> float:
    """Seconds between two answers of the child."""
    times = [moment for moment, (count, _) in answers if isinstance(count, int)]
    return max(later - earlier for earlier, later in pairwise(times)) / 1000


def test_when_the_active_node_is_killed_every_call_is_answered(group: Group) -> None:
    with Heartbeat() as heart:
        callers = group.calls(1, 2)
        group.are_answered(callers, 0)
        wait_for(lambda: len(group.epochs()) > 20, what="the first to run")
        group.members[0].kill9()
        group.is_active(1)
        group.are_answered(callers, 1)
        first_of_all = len(group.epochs())
        wait_for(lambda: len(group.epochs()) > first_of_all + 50, what="the second to run")
        told = group.answers(callers)
    for answers in told:
        lost = [answer for _, answer in answers if answer == (A.error, (A.standby, A.lost))]
        assert len(lost) <= 1  # the one that it had
        assert {answer[1] for _, answer in answers if answer not in lost} == {A[n] for n in group.nodes[:2]}
        assert PROMISE - LEASE < longest_gap(answers) < LATEST + 2 * heart.late
    epochs = group.epochs()
    assert epochs == sorted(epochs)


def test_a_node_that_is_suspended_and_runs_again_does_not_act_any_more(group: Group) -> None:
    wait_for(lambda: len(group.epochs()) > 20, what="the first to run")
    group.members[0].suspend()
    with deadline(LATEST, "the next to be active"):
        group.is_active(1)
    wait_for(lambda: len(set(group.epochs())) == 2, what="the second to run")
    wait_for(lambda: group.status(2)[A.members][0][A.state] is A.down, what="the tick time to be over")
    second = group.epochs()[-1]
    group.members[0].resume()
    group.is_active(0)  # it is the better one, so it takes over, with a new epoch
    wait_for(lambda: group.epochs()[-1] > second, what="it to run again")
    epochs = group.epochs()
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 3


def test_a_stop_and_a_return_in_order_lose_no_call_and_no_state(group: Group) -> None:
    with Heartbeat() as heart:
        callers = group.calls(2)
        wait_for(lambda: len(group.epochs()) > 20, what="the first to run")
        group.members[0].stop()
        group.is_active(1)
        group.start(group.nodes[0]).ready()
        group.is_active(0)
        moved = len(group.epochs())
        wait_for(lambda: len(group.epochs()) > moved + 20, what="it to run again")
        [answers] = group.answers(callers)
    wrong = [at for at, (_, answer) in enumerate(answers) if answer[0] != at + 1]
    assert wrong == [], [answer for _, answer in answers[max(0, wrong[0] - 3) : wrong[0] + 3]]
    assert longest_gap(answers) < LEASE + 1.0 + 2 * heart.late


def test_a_beam_asks_moves_and_is_told(group: Group) -> None:
    beam = group.beam
    first, second, third = (A[name] for name in group.nodes)
    told = beam.eval("gen_server:call({counter, N}, {standby, subscribe})", N=third)
    assert told[:2] == (A.ok, first)
    assert beam.eval("gen_server:call({counter, N}, {standby, move, To})", N=third, To=second) is A.ok
    group.is_active(1)
    pid = beam.eval("gen_server:call({counter, N}, whereis)", N=third)
    assert pid.node is second
    assert beam.eval("gen_server:call(P, look)", P=pid) == (0, second)
    assert beam.eval("gen_server:call({counter, N}, {standby, move, nowhere})", N=third) == (A.error, A.not_a_member)


def test_the_programs_of_the_document_run(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        for number, block in enumerate(blocks(ROOT / "docs" / "failover.md", "python")):
            (tmp_path / f"block_{number}.py").write_text(block.text)
            ran = here.run([sys.executable, f"block_{number}.py"])
            assert ran.returncode == 0, ran.stderr
