"""A pool of workers: calls go to the idle, wait fairly and boundedly, end alone in a crash, and are drained on stop."""

import os
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest

from interop_tests.worker_targets import Account, about, ask, double, job
from pyerlnode import A, CallTimeout, Node, ServerExit, StartFailed, Supervise, Supervisor
from pyerlnode.runtime.process import Process
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.workers import worker
from pyerlnode.workers.pool import WorkerPool
from pyerlnode.workers.worker import Worker


class Scene:
    """A pool of `job`, and calls to it whose course the test decides."""

    def __init__(self, node: Node, here: Path, **options: Any) -> None:
        self.node = node
        self.here = here
        self.pool = node.start(WorkerPool, job, **options)
        self.outcomes: dict[str, Any] = {}
        self.up(options.get("size", 4))

    def up(self, size: int) -> None:
        wait_for(lambda: self.stats(A.workers) == size)

    def stats(self, what: Any) -> int:
        found: int = WorkerPool.stats(self.pool, on=self.node)[what]
        return found

    def call(self, name: str, what: Any, timeout: float | None = None) -> Any:
        """In a process of its own; its outcome is `outcomes[name]`."""

        def body() -> None:
            try:
                self.outcomes[name] = self.node.call(self.pool, what, timeout=timeout)
            except (ServerExit, CallTimeout) as ended:
                self.outcomes[name] = ended.reason[0]

        return self.node.spawn(body)

    def busy(self, name: str) -> int:
        """A call that a worker has until `go`; the worker's OS process."""
        started = self.here / f"{name}.started"
        self.call(name, (A.wait, str(started).encode(), str(self.here / f"{name}.go").encode()))
        wait_for(lambda: started.exists() and started.read_text())
        return int(started.read_text())

    def go(self, name: str) -> None:
        (self.here / f"{name}.go").touch()

    def note(self, caller: str, text: str) -> None:
        self.call(caller + text, (A.note, str(self.here / "notes").encode(), text.encode()))

    @property
    def notes(self) -> str:
        path = self.here / "notes"
        return path.read_text() if path.exists() else ""


def test_calls_run_beside_each_other_in_os_processes_of_their_own(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=2, spares=0)
    found = {scene.busy("one"), scene.busy("two")}
    assert len(found) == 2
    assert (scene.stats(A.busy), scene.stats(A.idle)) == (2, 0)
    scene.go("two")
    wait_for(lambda: scene.outcomes)
    assert scene.outcomes == {"two": A.waited}
    scene.go("one")
    wait_for(lambda: len(scene.outcomes) == 2)
    assert (scene.stats(A.done), scene.stats(A.idle)) == (2, 2)


def test_a_crash_is_told_to_its_caller_alone_and_the_worker_is_replaced(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=2, spares=1)
    scene.busy("other")
    with pytest.raises(ServerExit) as ended:
        node.call(scene.pool, A.segfault)
    assert ended.value.reason[0] == (A.os_signal, A.sigsegv)
    scene.up(2)
    assert node.call(scene.pool, A.pid) != os.getpid()
    scene.go("other")
    wait_for(lambda: scene.outcomes)
    assert scene.outcomes == {"other": A.waited}
    assert scene.stats(A.crashed) == 1


def test_a_worker_that_is_killed_while_it_is_idle_is_replaced(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0)
    os.kill(node.call(scene.pool, A.pid), 9)
    wait_for(lambda: scene.stats(A.crashed) == 1)
    assert node.call(scene.pool, A.pid, timeout=patience())


def test_waiting_calls_are_served_one_of_each_caller_in_turn(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0)
    scene.busy("first")

    def three(letter: str) -> None:
        """One caller's calls, sent at once."""
        requests = [
            node.send_request(scene.pool, (A.note, str(tmp_path / "notes").encode(), f"{letter}{number}".encode()))
            for number in range(3)
        ]
        del requests
        node.receive()

    for letter in "ab":
        node.spawn(three, letter)
        wait_for(lambda: scene.stats(A.waiting) in (3, 6))
    wait_for(lambda: scene.stats(A.waiting) == 6)
    scene.go("first")
    wait_for(lambda: scene.stats(A.done) == 7)
    assert scene.notes == "a0b0a1b1a2b2"


def test_beyond_its_bound_a_call_ends_at_once_by_pool_full(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, queue=1, spares=0)
    scene.busy("first")
    scene.note("x", "waits")
    wait_for(lambda: scene.stats(A.waiting) == 1)
    with pytest.raises(ServerExit) as ended:
        node.call(scene.pool, A.pid)
    assert ended.value.reason[0] == (A.pool_full, 1)
    node.cast(scene.pool, A.pid)
    assert scene.stats(A.refused) == 2
    scene.go("first")
    wait_for(lambda: scene.notes == "waits")


def test_a_caller_that_has_given_up_is_passed_over(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0)
    scene.busy("first")
    with pytest.raises(CallTimeout):
        node.call(scene.pool, (A.note, str(tmp_path / "notes").encode(), b"never"), timeout=0.01)
    scene.note("x", "done")
    wait_for(lambda: scene.stats(A.waiting) == 2)
    scene.go("first")
    wait_for(lambda: scene.notes)
    assert scene.notes == "done"
    assert scene.stats(A.abandoned) == 1


def test_a_caller_that_was_killed_in_its_call_is_passed_over(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0)
    scene.busy("first")
    caller = node.spawn(node.call, scene.pool, (A.note, str(tmp_path / "notes").encode(), b"never"), 30.0)
    wait_for(lambda: scene.stats(A.waiting) == 1)
    node.exit(caller, A.kill)
    scene.note("x", "done")
    wait_for(lambda: scene.stats(A.waiting) == 2)
    scene.go("first")
    wait_for(lambda: scene.notes)
    assert scene.notes == "done"
    assert scene.stats(A.abandoned) == 1


def test_casts_are_done_and_take_a_worker_each(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0)
    for text in "abc":
        node.cast(scene.pool, (A.note, str(tmp_path / "notes").encode(), text.encode()))
    wait_for(lambda: scene.stats(A.done) == 3)
    assert scene.notes == "abc"


def test_what_runs_and_waits_is_finished_before_a_pool_stops(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0)
    os_pid = scene.busy("runs")
    scene.note("x", "waited")
    wait_for(lambda: scene.stats(A.waiting) == 1)
    stopped: list[Any] = []
    node.spawn(lambda: stopped.append(node.stop_process(scene.pool, A.shutdown)))
    process = node.system.process(scene.pool)
    assert process is not None
    wait_for(lambda: process.handler.stopping)
    assert scene.outcomes == {}
    scene.go("runs")
    wait_for(lambda: stopped)
    assert scene.outcomes == {"runs": A.waited, "xwaited": A.noted}
    wait_for(lambda: not Path(f"/proc/{os_pid}").exists())


def test_beyond_its_time_a_stop_waits_for_nobody(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0, drain=0.01)
    os_pid = scene.busy("for ever")
    node.stop_process(scene.pool, A.shutdown)
    wait_for(lambda: scene.outcomes)
    assert scene.outcomes == {"for ever": A.shutdown}
    wait_for(lambda: not Path(f"/proc/{os_pid}").exists())


def test_a_pool_that_is_killed_takes_workers_along_that_do_not_hear(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "GRACE", 0.05)
    scene = Scene(node, tmp_path, size=2, spares=0, drain=0.0)
    os_pid = scene.busy("one")
    node.exit(scene.pool, A.kill)
    wait_for(lambda: not Path(f"/proc/{os_pid}").exists())
    wait_for(lambda: not [p for p in node.system.processes.values() if isinstance(p.handler, (Worker, WorkerPool))])


@pytest.mark.parametrize("how", [A.normal, A.shutdown, A.kill])
def test_a_pool_that_is_stopped_while_it_starts_leaves_nothing(node: Node, how: Any) -> None:
    made = node.start(WorkerPool, double, size=3, spares=2)
    wait_for(lambda: len(workers(node)) == 3)
    if how is not A.kill:
        node.stop_process(made, how)
        assert workers(node) == []  # not one that ends some time later
        return
    os_pids = [process.handler.os_pid for process in workers(node)]
    node.exit(made, A.kill)
    gevent.idle()  # the killed have had their turn
    assert len(workers(node)) <= 1  # the one that was up hears of it, and ends as servers do
    wait_for(lambda: not workers(node))
    wait_for(lambda: not [pid for pid in os_pids if Path(f"/proc/{pid}").exists()])


def workers(node: Node) -> list[Process]:
    return [process for process in node.system.processes.values() if isinstance(process.handler, Worker)]


def test_a_pool_of_servers_gives_each_its_arguments(node: Node) -> None:
    made = node.start(WorkerPool, Account, size=2, args=[5], spares=0)
    assert node.call(made, A.balance) == 5
    assert node.call(made, A.os_pid) != os.getpid()


def test_arrays_go_through_a_pool_by_shared_memory(node: Node) -> None:
    made = node.start(WorkerPool, about, size=1, spares=0)
    kind, writeable, doubled = node.call(made, np.ones(1 << 20))
    assert (kind, writeable) == (A.ndarray, False)
    assert doubled.sum() == 2 << 20


def test_a_crash_is_told_also_to_a_caller_inside_another_worker(node: Node, tmp_path: Path) -> None:
    crashing = Scene(node, tmp_path, size=1, spares=0).pool
    asking = node.start(Worker, ask)
    assert node.call(asking, (A.call, crashing, A.segfault))[1][0] == (A.os_signal, A.sigsegv)


def test_a_target_that_can_not_be_loaded_is_told_by_the_start(node: Node) -> None:
    with pytest.raises(StartFailed, match="No module named"):
        node.start(WorkerPool, "no_such_module:nothing", size=2)
    with pytest.raises(StartFailed, match="at least one worker"):
        node.start(WorkerPool, double, size=0)


def test_a_pool_without_any_worker_that_starts_ends_with_the_reason(node: Node, tmp_path: Path) -> None:
    scene = Scene(node, tmp_path, size=1, spares=0)
    process = node.system.process(scene.pool)
    assert process is not None
    process.handler.target = "no_such_module:nothing"
    node.monitor(scene.pool)
    with pytest.raises(ServerExit):
        node.call(scene.pool, A.segfault)
    reason = node.receive(timeout=patience())[4]
    assert reason[0] is A.no_workers


def test_a_supervisor_holds_a_pool(node: Node) -> None:
    class Tree(Supervisor):
        def init(self) -> Supervise:
            start = (WorkerPool, [double], {"size": 1, "spares": 0, "name": "double"})
            return Supervise([{"id": "double", "start": start}])

    tree = node.start(Tree)
    assert node.call("double", 4) == 8
    first = node.system.whereis("double")
    assert first is not None
    node.exit(first, A.kill)
    wait_for(lambda: node.system.whereis("double") not in (None, first))
    assert node.call("double", 4, timeout=patience()) == 8
    node.stop_process(tree, A.shutdown)
