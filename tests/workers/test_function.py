"""A function in an OS process: every call has an outcome, and the OS process takes the next one, whatever it did."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from interop_tests.worker_targets import RAISED, Rude, ask, misbehave, raising, returning, rude
from pyerlnode import A, Node, ServerExit
from pyerlnode.errors import PythonError
from pyerlnode.testing.patience import patience, promise
from pyerlnode.testing.waiting import wait_for
from pyerlnode.workers.pool import WorkerPool
from pyerlnode.workers.worker import Worker

KINDS = {
    "value_error": (b"ValueError", b"as asked"),
    "base_exception": (b"interop_tests.worker_targets.Foreign", b"panic"),
    "sys_exit": (b"SystemExit", b"3"),
    "keyboard_interrupt": (b"KeyboardInterrupt", b""),
    "generator_exit": (b"GeneratorExit", b""),
    "greenlet_exit": (b"greenlet.GreenletExit", b""),
    "gevent_timeout": (b"gevent.timeout.Timeout", b"7200 seconds"),
    "cancelled": (b"asyncio.exceptions.CancelledError", b""),
    "stop_iteration": (b"StopIteration", b""),
    "memory_error": (b"MemoryError", b""),
    "no_text": (b"interop_tests.worker_targets.Spiteful", b"<str() of the exception raised SystemExit>"),
    "no_name": (b"interop_tests.worker_targets.?", b""),
}


@pytest.fixture(params=["worker", "pool"])
def served(request: pytest.FixtureRequest, node: Node) -> Any:
    """A function behind a pid, alone or in a pool of one."""

    def start(function: Any, **options: Any) -> Any:
        if request.param == "worker":
            return node.start(Worker, function, **options)
        return node.start(WorkerPool, function, size=1, spares=0, **options)

    return start


def failure(node: Node, pid: Any, what: Any) -> ServerExit:
    with pytest.raises(ServerExit) as ended:
        node.call(pid, what, timeout=patience())
    return ended.value


def test_whatever_a_function_raises_is_an_answer_and_the_os_process_lives(node: Node, served: Any) -> None:
    pid = served(raising)
    os_pid = node.call(pid, A.pid)
    for name, (kind, message) in KINDS.items():
        error = failure(node, pid, A[name])
        assert error.reason[0][:3] == (A.python_error, kind, message)
        assert [frame[1] for frame in error.reason[0][3]] == [A.raising]
        assert node.call(pid, A.pid) == os_pid
    assert failure(node, pid, A.exit).reason[0] == (A.not_today, 1)
    assert failure(node, pid, A.exit_without_a_term).reason[0][0] is A.unencodable_reason
    assert node.call(pid, A.pid) == os_pid
    assert {*KINDS, "exit", "exit_without_a_term"} == {*RAISED}


def test_the_caller_has_the_class_the_message_and_the_stack(node: Node, served: Any) -> None:
    error = failure(node, served(raising), A.value_error)
    cause = error.__cause__
    assert "ValueError: as asked" in str(error)
    assert isinstance(cause, PythonError)
    assert (cause.kind, cause.message) == ("ValueError", "as asked")
    first, *_, frame, last = cause.traceback.splitlines()
    assert first == "Traceback (most recent call last):"
    assert "worker_targets.py" in frame
    assert frame.endswith("in raising")
    assert last == "ValueError: as asked"


def test_a_result_that_no_term_can_be_is_an_error_of_its_call(node: Node, served: Any) -> None:
    pid = served(returning)
    os_pid = node.call(pid, A.pid)
    for what in ("cycle", "loop", "object", "nan", "generator", "array_of_objects"):
        assert failure(node, pid, A[what]).reason[0][:2] == (A.python_error, b"pyerlnode.errors.EncodeError")
        assert node.call(pid, A.pid) == os_pid


def test_what_a_function_does_to_its_process_changes_no_answer(node: Node, served: Any) -> None:
    pid = served(rude)
    os_pid = node.call(pid, A.pid)
    for what in ("prints", "starts_threads", "starts_a_program", "closes_standard_descriptors"):
        assert node.call(pid, A[what], timeout=patience()) == os_pid
    assert failure(node, pid, A.recurses).reason[0][1] == b"RecursionError"
    assert node.call(pid, A.closes_standard_files) == os_pid
    assert failure(node, pid, A.prints).reason[0][1] == b"ValueError"
    node.cast(pid, A.prints)  # raises, and can not be logged where it runs
    assert node.call(pid, A.pid) == os_pid


def test_a_fork_answers_nobody_and_ends_where_the_function_does(node: Node, served: Any) -> None:
    pid = served(rude)
    os_pid = node.call(pid, A.pid)
    for how, status in (("returns", 0), ("raises", 1), ("exit", 9)):
        assert node.call(pid, (A.forks, A[how]), timeout=patience()) == status
        assert node.call(pid, A.pid) == os_pid


def test_a_fork_of_a_server_ends_with_the_callback(node: Node) -> None:
    pid = node.start(Worker, Rude)
    os_pid = node.call(pid, A.pid)
    for how, status in (("returns", 0), ("exit", 9)):
        assert node.call(pid, (A.forks, A[how]), timeout=patience()) == status
    assert node.call(pid, A.pid) == os_pid


def test_an_end_is_told_though_a_fork_lives_on(node: Node, served: Any, tmp_path: Path) -> None:
    pid = served(rude)
    left = tmp_path / "fork"
    assert failure(node, pid, (A.leaves_a_fork_and_dies, str(left).encode())).reason[0] == (A.exit_status, 7)
    os.kill(int(left.read_text()), signal.SIGKILL)


def test_only_a_crash_a_signal_and_a_limit_end_it(node: Node, served: Any) -> None:
    for how, reason in (
        (A.segfault, (A.os_signal, A.sigsegv)),
        (A.exit, (A.exit_status, 3)),
        (A.memory, A.out_of_memory),
        (A.spin, A.time_limit),
    ):
        limits: dict[Any, Any] = {A.memory: {"memory": 2 << 30}, A.spin: {"time_limit": promise(0.5)}}
        pid = served(misbehave, **limits.get(how, {}))
        os_pid = node.call(pid, A.pid)
        assert failure(node, pid, how).reason[0] == reason
        wait_for(lambda os_pid=os_pid: not Path(f"/proc/{os_pid}").exists())


def test_a_server_that_raises_ends_as_any_server_does(node: Node) -> None:
    pid = node.start(Worker, Rude)
    assert failure(node, pid, A.value_error).reason[0][:3] == (A.python_error, b"ValueError", b"as asked")
    assert node.system.process(pid) is None


def test_a_cast_that_raises_is_logged_and_the_next_is_done(node: Node, served: Any, capfd: Any) -> None:
    pid = served(raising)
    os_pid = node.call(pid, A.pid)
    for name in ("value_error", "sys_exit"):
        node.cast(pid, A[name])
    assert node.call(pid, A.pid) == os_pid
    assert "ValueError: as asked" in capfd.readouterr().err


def test_a_pool_counts_what_failed_apart_from_what_crashed(node: Node) -> None:
    pool = node.start(WorkerPool, raising, size=1, spares=0)
    for _ in range(3):
        failure(node, pool, A.value_error)
    node.call(pool, A.pid)
    stats = WorkerPool.stats(pool, on=node)
    assert (stats[A.failed], stats[A.done], stats[A.crashed], stats[A.workers]) == (3, 1, 0, 1)


def test_a_caller_inside_another_worker_is_told_what_was_raised(node: Node, served: Any) -> None:
    pid = served(raising)
    what, reason = node.call(node.start(Worker, ask), (A.call, pid, A.value_error))
    assert (what, reason[0][:3]) == (A.exit, (A.python_error, b"ValueError", b"as asked"))
    assert node.call(pid, A.pid)
