"""Spawn requests against a system: what the wire says, what happens, and what goes back on it (protocol.md C.6)."""

from typing import Any

import pytest

from pyerlnode.kernel.remote import spawn as spawner
from pyerlnode.term.atom import A
from tests.kernel.wire import B1, B2, NOTHING, PEER, REF, TOKEN, Wire, mail


def spawn(wire: Wire, options: Any, mfa: Any = (A.app, A.run, 0), args: Any = (), op: int = 29) -> None:
    control = (op, REF, B1, B2, mfa, options)
    wire.push(control if op == 29 else (*control, TOKEN), list(args))


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ([], 0),
        ([A.link], 1),
        ([A.monitor], 2),
        ([A.link, A.monitor], 3),
        ([A.monitor, (A.priority, A.high), (A.min_heap_size, 100), (A.async_dist, True)], 2),
    ],
)
@pytest.mark.parametrize("op", [29, 30])
def test_a_spawn_request_is_answered_before_anything_that_the_child_causes(options: Any, flags: int, op: int) -> None:
    wire = Wire()
    spawn(wire, options, (A.nothing, A.here, 0), op=op)
    wire.system.scheduler.drain()
    ops = [control[0] for control, _ in wire.sent]
    reply = wire.sent[0][0]
    assert ops[0] == (31 if op == 29 else 32)
    assert (reply[1], reply[2], reply[3]) == (REF, B1, flags)
    child = reply[4]
    exit_op = 24 if op == 29 else 25  # what has a token gives it to its exit
    assert sorted(ops[1:]) == sorted(([exit_op] if flags & 1 else []) + ([28] if flags & 2 else []))
    for control, reason in wire.sent[1:]:
        assert control[1] == child
        assert reason[0] is A.undef


@pytest.mark.parametrize(
    "options",
    [[A.no_such_option], [(A.reply, A.no)], A.link, [(A.priority,)]],
    ids=["unknown", "reply", "no list", "odd"],
)
def test_options_that_otp_does_not_have_are_badopt(options: Any) -> None:
    wire = Wire()
    spawn(wire, options)
    ((control, _),) = wire.sent
    assert control == (31, REF, B1, 0, A.badopt)


@pytest.mark.parametrize("op", [31, 32])
@pytest.mark.parametrize(("flags", "answers"), [(0, []), (1, [24]), (2, [20]), (3, [24, 20])])
def test_what_comes_of_an_abandoned_spawn_request_is_unlinked_and_demonitored(
    op: int, flags: int, answers: list[int]
) -> None:
    wire = Wire()
    process = wire.process()
    ref = spawner.spawn_request(wire.system, process, PEER, (A.m, A.f, []), [A.link, A.monitor], "yes", A.spawn_reply)
    wire.sent.clear()
    assert spawner.spawn_request_abandon(wire.system, ref)
    assert not spawner.spawn_request_abandon(wire.system, ref)
    token = (TOKEN,) if op == 32 else ()
    wire.push((op, ref, process.pid, flags, B1, *token))
    assert mail(process) == []
    assert [control[0] for control, _ in wire.sent] == answers
    for control, reason in wire.sent:
        assert control[1:3] == (process.pid, B1)
        assert reason is (A.abandoned if control[0] == 24 else NOTHING)
    wire.push((24, B1, process.pid), A.boom)
    assert process.alive


def test_an_abandoned_spawn_request_that_failed_is_not_told() -> None:
    wire = Wire()
    process = wire.process()
    ref = spawner.spawn_request(wire.system, process, PEER, (A.m, A.f, []), [], "yes", A.spawn_reply)
    assert spawner.spawn_request_abandon(wire.system, ref)
    wire.push((31, ref, process.pid, 0, A.badopt))
    assert mail(process) == []
    assert not spawner.spawn_request_abandon(wire.system, ref)
