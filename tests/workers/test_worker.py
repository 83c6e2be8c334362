"""Workers without a BEAM: what goes in and out, what is called from inside, and who is told of which end."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest

from interop_tests.worker_targets import about, ask, double, hold, misbehave
from pyerlnode import A, CallTimeout, GenServer, Node, NoReply, Reply, ServerExit
from pyerlnode.errors import UsageError
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.workers.inside import call as call_inside
from pyerlnode.workers.shared_core import LIMIT
from pyerlnode.workers.worker import Worker

LARGE = 2 * LIMIT


class Stock(GenServer):
    """Answers, does not answer, ends."""

    def init(self) -> None:
        self.seen: list[Any] = []

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.never:
                return NoReply()
            case A.die:
                self.process.exit(A.gone)
            case A.caller:
                return Reply(from_[0])
            case A.object:
                return Reply(object())
            case A.seen:
                return Reply(self.seen)
        return Reply((A.price, request))

    def handle_info(self, message: Any) -> None:
        self.seen.append(message)

    def handle_cast(self, message: Any) -> None:
        self.seen.append((A.cast, message))


@pytest.fixture
def asking(node: Node) -> Any:
    node.start(Stock, name="stock")
    return node.start(Worker, ask)


STOCK = (A.stock, A["workers@127.0.0.1"])


def test_code_inside_calls_the_processes_of_its_node(node: Node, asking: Any) -> None:
    assert node.call(asking, A.node) is A["workers@127.0.0.1"]
    assert node.call(asking, (A.call, STOCK, b"sku")) == (A.ok, (A.price, b"sku"))
    assert node.call(asking, (A.call, node.system.whereis("stock"), 1)) == (A.ok, (A.price, 1))


def test_who_is_called_sees_the_pid_that_others_know(node: Node, asking: Any) -> None:
    assert node.call(asking, (A.call, STOCK, A.caller)) == (A.ok, asking)


def test_each_outcome_of_a_call_from_inside_is_told_there(node: Node, asking: Any) -> None:
    nobody = (A.nobody, A["workers@127.0.0.1"])
    away = (A.stock, A["nowhere@127.0.0.1"])
    assert node.call(asking, (A.call, nobody, 1))[1][0] is A.noproc
    assert node.call(asking, (A.call, away, 1))[1][0] == (A.nodedown, A["nowhere@127.0.0.1"])
    assert node.call(asking, (A.call, STOCK, A.never, 0.01))[1][0] is A.timeout
    assert node.call(asking, (A.call, STOCK, A.object))[1][0] is A.error
    assert node.call(asking, (A.call, STOCK, A.die))[1][0] is A.gone


def test_nothing_is_left_of_a_call_from_inside(node: Node, asking: Any) -> None:
    for what in (1, A.never):
        node.call(asking, (A.call, STOCK, what, 0.01))
    process = node.system.process(asking)
    assert process is not None
    wait_for(lambda: not process.monitors)
    assert not node.system.aliases
    assert not process.handler._answers


def test_a_worker_that_dies_in_a_call_leaves_no_alias(node: Node, asking: Any) -> None:
    node.cast(asking, (A.call, STOCK, A.never, 60.0))
    wait_for(lambda: node.system.aliases)
    node.exit(asking, A.kill)
    wait_for(lambda: not node.system.aliases)


def test_code_inside_sends_casts_and_monitors(node: Node, asking: Any) -> None:
    node.call(asking, (A.send, STOCK, 1))
    node.call(asking, (A.cast, STOCK, 2))
    assert wait_for(lambda: node.call("stock", A.seen)) == [1, (A.cast, 2)]
    assert node.call(asking, (A.send, (A.stock, A["nowhere@127.0.0.1"]), 1)) is A.ok
    assert node.call(asking, (A.monitor, (A.nobody, A["workers@127.0.0.1"]))) is A.noproc


def test_the_functions_for_the_inside_are_refused_outside(node: Node) -> None:
    with pytest.raises(UsageError, match="what runs in a Worker"):
        call_inside("stock", 1)


@pytest.mark.parametrize("size", [10, LARGE])
def test_an_array_arrives_as_an_array_that_is_read_only_and_so_does_the_answer(node: Node, size: int) -> None:
    pid = node.start(Worker, about)
    sent = np.arange(size, dtype=np.int32)
    kind, writeable, doubled = node.call(pid, sent)
    assert (kind, writeable) == (A.ndarray, False)
    assert np.array_equal(doubled, sent * 2)
    assert not doubled.flags.writeable


@pytest.mark.parametrize("size", [10, LARGE])
def test_bytes_stay_bytes_and_views_views(node: Node, size: int) -> None:
    pid = node.start(Worker, about)
    assert node.call(pid, b"x" * size) == (A.bytes, size, b"x" * size)
    kind, length, back = node.call(pid, memoryview(b"x" * size))
    assert (kind, length, type(back)) == (A.memoryview, size, memoryview)


def test_an_array_of_objects_is_refused_and_the_worker_lives(node: Node) -> None:
    pid = node.start(Worker, about)
    kind, (what, _) = node.call(pid, np.array([object()]))
    assert (kind, what) == (A.error, A.unencodable)
    assert node.call(pid, b"x") == (A.bytes, 1, b"x")


def test_a_worker_that_is_killed_with_an_array_in_hand_leaves_nothing(node: Node) -> None:
    shared, descriptors = os.listdir("/dev/shm"), len(os.listdir("/proc/self/fd"))
    pid = node.start(Worker, hold)
    os_pid = node.system.process(pid).handler.os_pid  # type: ignore[union-attr]  # it has just been started
    array = np.ones(LARGE)
    node.cast(pid, array)
    wait_for(lambda: "memfd:pyerlnode" in Path(f"/proc/{os_pid}/maps").read_text())
    node.cast(pid, array)  # this one is still in the socket when it dies
    node.monitor(pid)
    os.kill(os_pid, signal.SIGKILL)
    assert node.receive(timeout=patience())[4] == (A.os_signal, A.sigkill)
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    assert os.listdir("/dev/shm") == shared


def test_a_worker_that_does_not_read_suspends_its_own_sender_alone(node: Node) -> None:
    stopped, other = node.start(Worker, double), node.start(Worker, double)
    os_pid = node.system.process(stopped).handler.os_pid  # type: ignore[union-attr]  # it has just been started
    os.kill(os_pid, signal.SIGSTOP)
    for _ in range(40):
        node.cast(stopped, b"x" * (LIMIT // 2))
    with pytest.raises(CallTimeout):
        node.call(stopped, 1, timeout=0.05)
    assert node.call(other, 2) == 4
    node.monitor(stopped)
    node.exit(stopped, A.kill)
    assert node.receive(timeout=patience())[4] is A.killed


def test_what_is_no_term_ends_the_worker_and_is_a_line_in_the_log(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    pid = node.start(Worker, "interop_tests.worker_targets:garble")
    with pytest.raises(ServerExit) as ended:
        node.call(pid, 1)
    assert ended.value.reason[0] == (A.os_signal, A.sigkill)
    assert "its words are none" in caplog.text


def test_the_callers_of_a_worker_whose_node_stops_are_told(node: Node) -> None:
    pid = node.start(Worker, hold)
    asked = []

    def ask_it() -> None:
        try:
            node.call(pid, 1, timeout=None)
        except ServerExit as ended:
            asked.append(ended.reason[0])

    waiting = node.spawn(ask_it)
    gevent.sleep(0)
    node.exit(pid, A.kill)
    wait_for(lambda: asked)
    assert asked == [A.killed]
    assert node.system.process(waiting) is None


def test_a_start_that_fails_leaves_no_os_process(node: Node) -> None:
    with pytest.raises(Exception, match="No module named"):
        node.start(Worker, "no_such_module:nothing")
    with pytest.raises(Exception, match="imports what it runs"):
        node.start(Worker, lambda x: x)


def test_an_os_process_whose_node_is_killed_ends_though_it_computes(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from pyerlnode import A, Node\n"
        "from pyerlnode.workers.worker import Worker\n"
        "with Node('killed@127.0.0.1', cookie='secret', epmd='none') as node:\n"
        "    pid = node.start(Worker, 'interop_tests.worker_targets:misbehave')\n"
        "    os_pid = node.call(pid, A.pid)\n"
        "    node.cast(pid, A.spin)\n"
        "    print(os_pid, flush=True)\n"
        "    node.receive()\n"
    )
    ran = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert ran.stdout is not None
    os_pid = int(ran.stdout.readline())
    ran.kill()
    ran.communicate()
    wait_for(lambda: has_ended(os_pid))


def test_what_a_terminal_sends_to_a_program_is_not_for_its_workers(node: Node) -> None:
    pid = node.start(Worker, misbehave)
    assert os.getsid(node.call(pid, A.pid)) != os.getsid(0)


def has_ended(os_pid: int) -> bool:
    """Whether it is gone, or waits for its parent to ask how it ended."""
    try:
        return Path(f"/proc/{os_pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_worker_ends_by_the_reason_that_misbehaviour_is(node: Node) -> None:
    pid = node.start(Worker, misbehave)
    with pytest.raises(ServerExit) as ended:
        node.call(pid, A.exit)
    assert ended.value.reason[0] == (A.exit_status, 3)
