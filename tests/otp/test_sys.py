"""What `sys` asks of a process, and what it answers (protocol.md E.2)."""

import logging
import os

import gevent
import pytest

from pyerlnode.errors import Error, Exit, Throw
from pyerlnode.otp import gen, gen_server, sys
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Timeout
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.waiting import settle, wait_for


class Counter(GenServer):
    def init(self, start=0):
        self.value = start
        self.vsn = 1

    def handle_call(self, request, from_):
        return Reply(self.value)

    def handle_cast(self, request):
        self.value += request

    def code_change(self, old_vsn, extra):
        if extra is A.refuse:
            raise ValueError("not this one")
        self.vsn = (old_vsn, extra)

    def terminate(self, reason):
        ended.append(reason)


ended = []


@pytest.fixture
def system():
    ended.clear()
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def pid(system):
    return gen_server.start(system, Counter, (41,))


def test_get_state_gives_the_attributes_and_replace_state_changes_them(system, pid):
    assert sys.get_state(system, pid) == {A.value: 41, A.vsn: 1}
    assert sys.replace_state(system, pid, lambda s: {**s, A.value: 1}) == {A.value: 1, A.vsn: 1}
    assert gen.call(system, pid, A.get) == 1


def test_replace_state_by_a_function_that_fails_or_is_none_leaves_the_state(system, pid):
    for fun in (lambda s: s.no_such, A.no_function):
        with pytest.raises(Exit) as caught:
            sys.replace_state(system, pid, fun)
        assert caught.value.reason[0] is A.callback_failed
    assert gen.call(system, pid, A.get) == 41


def test_a_suspended_process_keeps_its_messages_in_order_and_answers_sys(system, pid):
    sys.suspend(system, pid)
    gen.cast(system, pid, 1)
    gen.cast(system, pid, 2)
    assert sys.get_state(system, pid)[A.value] == 41
    status = sys.get_status(system, pid)
    assert status[3][1] is A.suspended
    sys.resume(system, pid)
    assert gen.call(system, pid, A.get) == 44


def test_messages_behind_a_suspend_in_one_batch_wait_and_those_behind_the_resume_too(system, pid):
    ref = system.new_ref()
    me = system.adopt()
    seen = []

    class Log(GenServer):
        def handle_info(self, message):
            seen.append(message)

    log = gen_server.start(system, Log)
    for message in (1, (A.system, (me.pid, ref), A.suspend), 2, 3, (A.system, (me.pid, ref), A.resume), 4):
        system.send(log, message)
    gen.stop(system, log)
    assert seen == [1, 2, 3, 4]


def test_the_parents_exit_ends_a_suspended_process(system):
    me = system.adopt()
    me.trap_exit = True
    pid = gen_server.start(system, Counter, link=me)
    system.process(pid).trap_exit = True
    sys.suspend(system, pid)
    ref = system.monitor(me, pid)
    system.exit(pid, A.shutdown)
    assert me.receive(lambda m: m[0] is A.DOWN, 1) == (A.DOWN, ref, A.process, pid, A.shutdown)
    assert ended == [A.shutdown]


def test_get_status_has_the_shape_of_otp(system, pid):
    word, of, module, (pdict, state, parent, debug, misc) = sys.get_status(system, pid)
    assert (word, of, module, state, parent, debug) == (A.status, pid, (A.module, A.gen_server), A.running, pid, [])
    assert dict(pdict)[A["$initial_call"]][1:] == (A.init, 1)
    assert dict(pdict)[A["$ancestors"]] == [system.root.pid]
    assert [part[0] for part in misc] == [A.header, A.data, A.data]
    assert misc[2] == (A.data, [("State", {A.value: 41, A.vsn: 1})])


def test_format_status_hides_and_one_that_raises_is_reported_in_the_state(system):
    class Secret(Counter):
        def format_status(self, status):
            return {**status, A.state: A.hidden} if self.value else status[A.nothing]

    pid = gen_server.start(system, Secret, (1,))
    assert sys.get_status(system, pid)[3][4][2] == (A.data, [("State", A.hidden)])
    other = gen_server.start(system, Secret, (0,))
    assert "format_status raised KeyError" in sys.get_status(system, other)[3][4][2][1][0][1]
    assert gen.call(system, other, A.get) == 0


def test_terminate_runs_terminate_and_ends_with_the_reason(system, pid):
    me = system.adopt()
    ref = system.monitor(me, pid)
    sys.terminate(system, pid, A.shutdown)
    assert me.receive(None, 1) == (A.DOWN, ref, A.process, pid, A.shutdown)
    assert ended == [A.shutdown]


def test_change_code_needs_a_suspended_process_and_calls_code_change(system, pid):
    with pytest.raises(Exit) as caught:
        sys.change_code(system, pid, A.m, 1, A.extra)
    assert caught.value.reason == (A.unknown_system_msg, (A.change_code, A.m, 1, A.extra))
    sys.suspend(system, pid)
    sys.change_code(system, pid, A.m, 1, A.extra)
    with pytest.raises(Exit):
        sys.change_code(system, pid, A.m, 1, A.refuse)
    sys.resume(system, pid)
    assert sys.get_state(system, pid)[A.vsn] == (1, A.extra)


def test_a_code_change_that_fails_is_told_as_catch_gives_it_and_leaves_the_attributes(system):
    class Converted(GenServer):
        def init(self):
            self.value = 1

        def code_change(self, old_vsn, extra):
            self.value, self.other = 2, 3
            raise extra

    pid = gen_server.start(system, Converted)
    sys.suspend(system, pid)
    for extra, told in ((Exit(A.no), (A.EXIT, A.no)), (Throw(A.ball), A.ball)):
        assert gen.call(system, pid, (A.change_code, A.m, 1, extra), label=A.system) == (A.error, told)
    error, (exited, (reason, stack)) = gen.call(system, pid, (A.change_code, A.m, 1, Error(A.no)), label=A.system)
    assert (error, exited, reason) == (A.error, A.EXIT, A.no)
    assert isinstance(stack, list)
    assert sys.get_state(system, pid) == {A.value: 1}


def test_log_keeps_the_last_events_and_statistics_count_them(system, pid):
    assert sys.statistics(system, pid, A.get) is A.no_statistics
    sys.log_events(system, pid, (True, 3))
    sys.statistics(system, pid, True)
    gen.cast(system, pid, 1)
    assert gen.call(system, pid, A.get) == 42
    last = sys.log_events(system, pid, A.get)
    assert last[0] == (A.noreply, {A.value: 42, A.vsn: 1})
    assert last[1][0] is A["in"]
    assert last[2][:2] == (A.out, 42)
    counted = dict(sys.statistics(system, pid, A.get))
    assert (counted[A.messages_in], counted[A.messages_out]) == (2, 1)
    sys.no_debug(system, pid)
    assert system.process(pid).handler.__class__ is Counter
    assert sys.log_events(system, pid, A.get) == []


def log_to_file(system, pid, name):
    return gen.call(system, pid, (A.debug, (A.log_to_file, name)), label=A.system)


def test_trace_and_log_to_file_tell_events(system, pid, caplog, tmp_path):
    caplog.set_level(logging.INFO, "pyerlnode.sys")
    sys.trace(system, pid, True)
    file = tmp_path / "events"
    sys.allow_log_files(system, tmp_path)
    assert log_to_file(system, pid, "events") is A.ok
    gen.cast(system, pid, 1)
    gen.call(system, pid, A.get)
    assert "*DBG*" in caplog.text
    assert file.read_text().count("*DBG*") == 4
    assert log_to_file(system, pid, str(file)) is A.ok
    assert log_to_file(system, pid, str(tmp_path / "no" / "such")) == (A.error, A.open_file)


def test_a_peer_writes_no_file_that_the_program_did_not_allow(system, pid, tmp_path):
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.mkdir()
    other.mkdir()
    assert log_to_file(system, pid, str(allowed / "events")) == (A.error, A.open_file)
    sys.allow_log_files(system, allowed)
    (allowed / "link").symlink_to(other / "target")
    (allowed / "out").symlink_to(other)
    (allowed / "circle").symlink_to(allowed / "circle")
    os.mkfifo(allowed / "pipe")
    for name in (
        "../other/x",
        str(other / "x"),
        "link",
        "out/x",
        "circle/x",
        "pipe",
        ".",
        "..",
        "",
        "/dev/null",
        "a\0b",
    ):
        assert log_to_file(system, pid, name) == (A.error, A.open_file), name
    assert list(other.iterdir()) == []
    sys.allow_log_files(system, None)
    assert log_to_file(system, pid, "events") == (A.error, A.open_file)
    assert system.process(pid).handler.__class__ is Counter


def test_a_file_of_events_that_becomes_a_pipe_hangs_nobody(system, pid, tmp_path):
    sys.allow_log_files(system, tmp_path)
    assert log_to_file(system, pid, "events") is A.ok
    (tmp_path / "events").unlink()
    os.mkfifo(tmp_path / "events")
    gen.cast(system, pid, 1)
    gen.call(system, pid, A.get)
    assert system.process(pid).handler.__class__ is Counter


def test_an_installed_function_sees_events_until_it_is_done_or_fails(system, pid, caplog):
    seen = []

    def watch(state, event, who):
        seen.append((state, event[0]))
        return A.done if state == 2 else state + 1

    sys.install(system, pid, watch, 1)
    for _ in range(3):
        gen.cast(system, pid, 1)
    gen.call(system, pid, A.get)
    assert seen == [(1, A["in"]), (2, A.noreply)]
    sys.install(system, pid, lambda state, event, who: state.no_such, 1)
    gen.call(system, pid, A.get)
    assert "was removed" in caplog.text
    assert system.process(pid).handler.__class__ is Counter
    sys.install(system, pid, watch, 1)
    sys.remove(system, pid, watch)
    assert system.process(pid).handler.__class__ is Counter


def test_unknown_requests_are_answered(system, pid):
    assert gen.call(system, pid, A.what, label=A.system) == (A.error, (A.unknown_system_msg, A.what))
    assert gen.call(system, pid, (A.debug, A.what), label=A.system) is A.unknown_debug


def test_a_time_out_begins_anew_behind_a_system_message_and_rests_while_suspended(system):
    class Idle(GenServer):
        def init(self):
            self.timeouts = 0
            return Timeout(0.02)

        def handle_call(self, request, from_):
            return Reply(self.timeouts)

        def handle_info(self, message):
            self.timeouts += message is A.timeout
            return NoReply()

    pid = gen_server.start(system, Idle)
    sys.suspend(system, pid)
    timer = system.process(pid).timer
    assert not timer.active
    sys.resume(system, pid)
    assert system.process(pid).timer.active
    handler = system.process(pid).handler
    wait_for(lambda: handler.timeouts)  # a call would begin the time-out anew
    assert gen.call(system, pid, A.get) == 1


def test_a_flooded_mailbox_lets_system_messages_overtake(system, monkeypatch):
    order = []

    class Slow(GenServer):
        def handle_info(self, message):
            order.append(message)

        def terminate(self, reason):
            order.append(reason)

    pid = gen_server.start(system, Slow)
    process = system.process(pid)
    for number in range(10_001):
        system.send(pid, number)
    me = system.adopt()
    process.deliver_urgent((A.system, (me.pid, system.new_ref()), A.get_state))
    process.deliver_urgent((A.system, (me.pid, system.new_ref()), (A.terminate, A.enough)))
    settle(system)
    assert order == [A.enough]
