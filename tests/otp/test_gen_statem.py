"""State machines as processes."""

import gevent
import pytest

from pyerlnode.errors import ServerExit, StartFailed, UsageError
from pyerlnode.otp import gen, gen_fsm, gen_statem, sys
from pyerlnode.otp.gen_fsm import GenFsm
from pyerlnode.otp.gen_statem import (
    GenStatem,
    KeepState,
    NextEvent,
    NextState,
    Postpone,
    ReplyTo,
    Started,
    Stop,
    event_timeout,
    state_timeout,
)
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation
from pyerlnode.testing.waiting import settle, wait_for

ended = []


class Door(GenStatem):
    def init(self, code, stay=0.01):
        self.code = code
        self.stay = stay
        self.seen = []
        return A.locked

    def locked(self, kind, content):
        match kind, content:
            case (A.call, from_), A.enter:
                return KeepState(Postpone())
            case (A.call, from_), (A.code, code):
                if code == self.code:
                    return NextState(A.open, ReplyTo(from_, A.ok), state_timeout(self.stay))
                return KeepState(ReplyTo(from_, A.wrong))
        return self.common(kind, content)

    def open(self, kind, content):
        match kind, content:
            case A.state_timeout, _:
                return NextState(A.locked)
            case (A.call, from_), A.enter:
                return KeepState(ReplyTo(from_, A.welcome))
        return self.common(kind, content)

    def common(self, kind, content):
        match kind, content:
            case (A.call, from_), A.state:
                return KeepState(ReplyTo(from_, self.state))
            case (A.call, from_), A.stop:
                return Stop(A.normal, reply=A.bye)
            case (A.call, _), A.crash:
                raise ValueError("as asked")
            case (A.call, _), A.nowhere:
                return NextState(A.nowhere, NextEvent(A.internal, 1))
        self.seen.append((kind, content))
        return None

    def terminate(self, reason):
        ended.append((self.state, reason))


@pytest.fixture
def system():
    ended.clear()
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def test_calls_casts_messages_and_time_outs_are_events_of_the_state(system):
    pid = gen_statem.start(system, Door, (7,), name="door")
    assert gen.call(system, "door", (A.code, 1)) is A.wrong
    waiting = gevent.spawn(gen.call, system, pid, A.enter)
    settle(system)
    assert gen.call(system, pid, A.state) is A.locked
    assert gen.call(system, pid, (A.code, 7)) is A.ok
    assert waiting.get() is A.welcome
    gen.cast(system, pid, 1)
    system.send(pid, 2)
    wait_for(lambda: gen.call(system, pid, A.state) is A.locked)
    assert sys.get_state(system, pid)[1][A.seen] == [(A.cast, 1), (A.info, 2)]


def test_the_end_by_stop_crash_unknown_state_and_parent_runs_terminate_once(system, caplog):
    pid = gen_statem.start(system, Door, (7, 5.0))
    gen.call(system, pid, (A.code, 7))
    assert gen.call(system, pid, A.stop) is A.bye
    assert ended == [(A.open, A.normal)]
    assert not caplog.records
    pid = gen_statem.start(system, Door, (7,))
    with pytest.raises(ServerExit) as caught:
        gen.call(system, pid, A.crash)
    assert caught.value.reason[0][1] == b"ValueError"
    assert "as asked" in caplog.text
    assert caplog.records[0].erlang["label"] == (A.gen_statem, A.terminate)
    pid = gen_statem.start(system, Door, (7,))
    with pytest.raises(ServerExit) as caught:
        gen.call(system, pid, A.nowhere)
    assert caught.value.reason[0] == (A.undef, A.nowhere)
    me = system.adopt()
    pid = gen_statem.start(system, Door, (7,), link=me)
    system.process(pid).trap_exit = True
    system.process(pid).link_broken(me.pid, A.shutdown)
    settle(system)
    assert ended[-1] == (A.locked, A.shutdown)
    assert len(ended) == 4
    wait_for(lambda: len(system.timers.wheel) == 0)  # the calls kept one for those that take longer


def test_init_decides_the_first_state_its_actions_or_that_there_is_none(system):
    class Machine(GenStatem):
        callback_mode = A.handle_event_function
        state_enter = True

        def init(self, result):
            self.seen = []
            return result

        def handle_event(self, kind, content, state):
            self.seen.append((kind, content, state))
            if kind is A.timeout:
                return NextState((A.pair, 2))
            return None

    pid = gen_statem.start(system, Machine, (Started({"a": 1}, NextEvent(A.internal, 1), event_timeout(0.001)),))
    settle(system)
    state, data = sys.get_state(system, pid)
    assert state == {"a": 1}
    assert data[A.seen] == [(A.enter, {"a": 1}, {"a": 1}), (A.internal, 1, {"a": 1})]
    pid = gen_statem.start(system, Machine, (Started(1, event_timeout(0.001)),))
    wait_for(lambda: len(sys.get_state(system, pid)[1][A.seen]) > 2)
    assert sys.get_state(system, pid)[1][A.seen][1:] == [(A.timeout, A.timeout, 1), (A.enter, 1, (A.pair, 2))]
    with pytest.raises(StartFailed):
        gen_statem.start(system, Machine, (Stop(A.no),))
    with pytest.raises(StartFailed):
        gen_statem.start(system, GenStatem)
    with pytest.raises(UsageError):
        gen_statem.start(system, object)


def test_replace_state_puts_both_state_and_data(system):
    pid = gen_statem.start(system, Door, (7,))
    sys.replace_state(system, pid, lambda s: (A.open, {**s[1], A.code: 8}))
    assert gen.call(system, pid, A.state) is A.open
    assert sys.get_status(system, pid)[2] == (A.module, A.gen_statem)


def test_a_fsm_takes_the_messages_of_gen_fsm(system):
    class Fsm(GenFsm):
        def init(self):
            self.seen = []
            return A.idle

        def idle(self, kind, content):
            match kind:
                case (A.sync_event | A.sync_all_state_event, from_):
                    return KeepState(ReplyTo(from_, (kind[0], content)))
                case (A.call, from_):
                    return KeepState(ReplyTo(from_, self.seen))
            self.seen.append((kind, content))
            return None

    pid = gen_fsm.start(system, Fsm)
    gen_fsm.send_event(system, pid, 1)
    gen_fsm.send_all_state_event(system, pid, 2)
    assert gen_fsm.sync_send_event(system, pid, 3) == (A.sync_event, 3)
    assert gen_fsm.sync_send_all_state_event(system, pid, 4) == (A.sync_all_state_event, 4)
    assert gen.call(system, pid, A.seen) == [(A.event, 1), (A.all_state_event, 2)]


def test_an_absolute_time_out_comes_at_its_moment_or_at_once_when_that_has_passed():
    seen = []

    class Clock(gen_statem.GenStatem):
        callback_mode = A.handle_event_function

        def init(self):
            at = self.now() + 60
            return Started(
                A.here,
                gen_statem.timeout(A.early, at - 3600, A.x, absolute=True),
                gen_statem.timeout(A.late, at, A.y, absolute=True),
                state_timeout(at - 30, A.z, absolute=True),
            )

        def handle_event(self, kind, content, state):
            seen.append((self.now(), kind, content))

    with Simulation(start=5_000.0) as simulation:
        gen_statem.start(simulation.system(), Clock)
        simulation.advance(100)
    assert [(round(at), kind, content) for at, kind, content in seen] == [
        (5_000, (A.timeout, A.early), A.x),
        (5_030, A.state_timeout, A.z),
        (5_060, (A.timeout, A.late), A.y),
    ]
