"""A blocked hub is told of while it is blocked: who does it, and nothing that he knows.

Whoever blocks here does so until the line has come, so nothing depends on how fast the machine is.
"""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import gevent
import pytest
from gevent.event import Event

import pyerlnode
from pyerlnode import A, GenServer, Node, Reply, receive
from pyerlnode.errors import UsageError
from pyerlnode.kernel.blocked import EVERY, FRAMES, _Lines
from pyerlnode.net.watchdog import Watchdog
from pyerlnode.testing.patience import patience

LIMIT = 0.1


class Lines(logging.Handler):
    """What `pyerlnode.hub` logs."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        assert record.levelno == logging.WARNING
        self.lines.append(record.getMessage())

    def block(self, who):
        """Block this thread until a line accuses `who`; gevent has patched nothing here."""
        deadline = time.monotonic() + patience()
        while not self.of(who):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def of(self, who):
        """The first line that accuses `who`: on a crowded machine others may be told of first."""
        return next((line for line in self.lines if "has been blocked" in line and str(who) in line), "")


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr("pyerlnode.kernel.blocked.EVERY", 0.0)
    handler = Lines()
    logger = logging.getLogger("pyerlnode.hub")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def events():
    return []


@pytest.fixture
def node(events):
    with Node(cookie="x", epmd="none", long_schedule=LIMIT) as node:
        node.telemetry.append(lambda event, numbers, about: events.append((event, numbers, about)))
        yield node


class Stock(GenServer):
    def init(self, log):
        self.log = log

    def handle_call(self, request, from_):
        self.compute("a secret")
        return Reply(A.ok)

    def handle_cast(self, request):
        deep(50, lambda: self.log.block(self.pid))

    def compute(self, secret):
        self.log.block(self.pid)


def deep(levels, function):
    return deep(levels - 1, function) if levels else function()


def until(condition):
    deadline = time.monotonic() + patience()
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


def test_the_line_names_the_process_its_callback_and_the_stack(node, log):
    pid = node.start(Stock, log, name="stock")
    node.call(pid, (A.secret, b"a secret"), None)
    line = log.of(pid)
    assert f"the hub of {node.name} has been blocked for" in line
    assert f"process {pid} (stock), started as {__name__}.Stock:init/1" in line
    assert "Stock.handle_call [" in line
    assert f"{__file__}:" in line
    assert line.index(" handle_call > ") < line.index(" compute > ")
    assert "secret" not in line
    assert "\n" not in line


def test_the_alarm_is_set_while_it_lasts_and_seen_by_other_threads(node, log, events):
    seen = []

    class Blocker(GenServer):
        def handle_call(self, request, from_):
            log.block(self.pid)
            looker = threading.Thread(target=lambda: seen.extend(node.alarms.get_alarms()))
            looker.start()
            looker.join()
            return Reply(A.ok)

    pid = node.start(Blocker)
    node.call(pid, A.block, None)
    [(name, description)] = seen
    assert name is A.hub_blocked
    assert str(pid) in description
    until(lambda: events and events[-1][0] == "alarm.clear")
    assert node.alarms.get_alarms() == []
    [at] = [at for at, (event, _, about) in enumerate(events) if event == "hub.blocked" and about["pid"] == pid]
    numbers, about = events[at][1:]
    assert numbers["seconds"] >= LIMIT
    assert about["pid"] == pid
    assert about["name"] is None
    assert about["initial_call"][1:] == (A.init, 1)
    assert about["callback"].endswith("Blocker.handle_call")
    assert [(event, told["alarm"]) for event, _, told in (events[at - 1], events[at + 1])] == [
        ("alarm.set", "hub_blocked"), ("alarm.clear", "hub_blocked"),
    ]  # fmt: skip


def test_a_function_body_is_told(node, log):
    def body():
        log.block(receive())

    pid = node.spawn(body)
    node.send(pid, pid)
    until(lambda: log.of(pid))
    assert f"process {pid}, started as {__name__}:" in log.of(pid)


def test_the_program_itself_is_told_as_no_process(node, log):
    gevent.spawn(log.block, "by code that is no process, in ").join()
    assert "block" in log.of("by code that is no process, in ")


def test_an_init_that_blocks_is_told_by_its_own_pid(node, log):
    pids = []

    class Slow(GenServer):
        def init(self):
            pids.append(self.pid)
            log.block(self.pid)

    node.start(Slow)
    assert f"process {pids[0]}, started as" in log.of(pids[0])


def test_of_a_deep_stack_the_innermost_frames_are_told(node, log):
    pid = node.start(Stock, log)
    node.cast(pid, A.block)
    until(lambda: log.of(pid))
    assert log.of(pid).count(" > ") == FRAMES - 1
    assert "Stock.handle_cast [" in log.of(pid)


def test_one_line_for_many_blocks_and_the_next_one_tells_how_many():
    lines = []
    log = _Lines(lambda text, *args: lines.append(text % args))
    for now in (1000.0, 1001.0, 1000.0 + EVERY - 1):
        log.warning(now, "blocked by %s%s", now)
    log.warning(1000.0 + EVERY, "blocked by %s%s", "again")
    log.warning(1000.0 + 3 * EVERY, "blocked by %s%s", "once more")
    assert lines == [
        "blocked by 1000.0",
        "blocked by again (and 2 times since the last such line)",
        "blocked by once more",
    ]


def test_every_look_at_an_idle_hub_finds_it_idle():
    looks, enough = [], Event()
    hub = gevent.get_hub()

    def look(now, cpu, turns, frame):
        looks.append(frame)
        if len(looks) == 50:
            hub.loop.run_callback_threadsafe(enough.set)

    watchdog = Watchdog(look, 0.001)
    watchdog.start()
    assert enough.wait(patience())
    watchdog.stop()
    assert looks[5:45] == [None] * 40
    assert watchdog.thread.ended


def test_the_thread_ends_with_the_node():
    node = Node(cookie="x", epmd="none", long_schedule=LIMIT).open()
    watch = node._watch
    assert not watch.ended
    node.stop()
    assert watch.ended


@pytest.mark.parametrize("off", [0, None])
def test_it_can_be_switched_off(off):
    with Node(cookie="x", epmd="none", long_schedule=off) as node:
        assert node._watch is None
        assert node.alarms.get_alarms() == []


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError, match="long_schedule"):
        Node(cookie="x", long_schedule=wrong)


def test_a_hub_in_a_thread_of_its_own_is_watched_too(log):
    with pyerlnode.connect(cookie="x", epmd="none", long_schedule=LIMIT) as cluster:
        pid = cluster.start(Stock, log)
        assert cluster.call(pid, A.block, None) is A.ok
        assert log.of(pid)


def test_alarms_of_the_program(node, events):
    node.alarms.set_alarm("disk_full", b"/var")
    node.alarms.set_alarm(A.too_hot)
    assert node.alarms.get_alarms() == [(A.too_hot, A.undefined), (A.disk_full, b"/var")]
    node.alarms.clear_alarm("disk_full")
    node.alarms.clear_alarm("disk_full")
    until(lambda: len(events) == 3)
    assert [(event, about["alarm"]) for event, _, about in events] == [
        ("alarm.set", "disk_full"), ("alarm.set", "too_hot"), ("alarm.clear", "disk_full"),
    ]  # fmt: skip


# --- programs of their own -----------------------------------------------------------------------
PROGRAM = """
import logging, sys, time
import gevent
from pyerlnode import A, GenServer, Node, Reply

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
with Node(cookie="x", epmd="none", long_schedule=0.2) as node:
    node.telemetry.append(lambda event, numbers, about: sys.stdout.write(f"event {event}\\n"))
"""


def program(text, *first):
    code = "\n".join(first) + PROGRAM + textwrap.indent(textwrap.dedent(text), "    ")
    return subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_program_that_was_stopped_accuses_nobody():
    """The duration of the stop is what is tested; the program is idle or not, as it happens."""
    text = """
    seen = []
    node.telemetry.append(lambda event, *_: seen.append(event))
    print("ready", flush=True)
    while "hub.not_run" not in seen:
        gevent.sleep(0.01)
    """
    started = program(text)
    assert started.stdout.readline() == "ready\n"
    os.kill(started.pid, signal.SIGSTOP)
    time.sleep(2.0)
    os.kill(started.pid, signal.SIGCONT)
    printed, _ = started.communicate(timeout=patience())
    assert "event hub.not_run" in printed
    assert "did not run for" in printed
    assert "has been blocked" not in printed


def test_a_program_that_gevent_has_patched_is_watched_and_ends():
    text = """
    class Slow(GenServer):
        def handle_call(self, request, from_):
            until = time.monotonic() + 60
            while not node.alarms.get_alarms() and time.monotonic() < until:
                sum(range(1000))
            return Reply(A.ok)

    node.call(node.start(Slow), A.block, None)
    print("answered", flush=True)
    """
    started = program(text, "from gevent import monkey; monkey.patch_all()")
    printed, _ = started.communicate(timeout=patience())
    assert started.returncode == 0
    assert "WARNING pyerlnode.hub the hub of" in printed
    assert "Slow.handle_call [" in printed
    assert "answered" in printed
