"""Priority messages (OTP 28): by way of a priority alias they come first, in the order that a BEAM's own process sees.

The BEAM is the oracle: the same sender sends the same to a process of its own and to one of Python. Before OTP 28 there
are no such messages: its aliases are ordinary, and what Python sends with priority arrives as everything else.
"""

from typing import Any

import pytest

from pyerlnode import A, receive
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

RECEIVER = """
Me = self(),
Receiver = spawn(fun() ->
    process_flag(trap_exit, true),
    Me ! {self(), alias([priority]), alias()},
    receive go -> ok end,
    Drain = fun F(Seen) -> receive {tell, To} -> To ! {saw, lists:reverse(Seen)}; M -> F([M | Seen]) end end,
    receive after 100 -> ok end,
    Drain([])
end),
receive {Receiver, Prio, Plain} -> {Receiver, Prio, Plain} end
"""
SENDER = """
Sender = spawn(fun() ->
    receive start -> ok end,
    P ! {1}, erlang:send(Prio, {p1}, [priority]), P ! {2},
    erlang:send(Prio, {p2}, [priority]), Prio ! {3},
    erlang:send(Plain, {4}, [priority]), erlang:send(P, {5}, [priority]),
    exit(Prio, {p3}, [priority]), exit(P, {6}), exit(P, {7}, [priority]),
    erlang:send(Prio, {p4}, [priority, nosuspend]),
    P ! go, erlang:send(Prio, {p5}, [priority]), P ! {tell, To},
    receive stop -> ok end
end), Sender ! start, Sender
"""


def listener(node: Any, told: Any) -> Any:
    """The same receiver in Python."""

    def body() -> None:
        node.process_flag("trap_exit", True)
        node.send(told, (A.made, node.self_(), node.alias(priority=True), node.alias()))
        receive(lambda message: message is A.go)
        seen = []
        while True:
            match receive():
                case (A.tell, to):
                    node.send(to, (A.saw, seen))
                    return
                case message:
                    seen.append(message)

    return node.spawn(body)


def told_by_kind(seen: list[Any]) -> list[Any]:
    """Without the sender's pid in exits, which differs."""
    return [(m[0], m[2]) if m[0] is A.EXIT else m for m in seen]


def test_priority_messages_come_in_the_order_that_a_process_of_the_beam_sees(beam: Beam, node: Any) -> None:
    node.connect(beam.name)
    listener(node, node.self_())
    tag, ours, prio, plain = node.receive(timeout=patience())
    assert tag is A.made
    if beam.otp < 28:
        with pytest.raises(Exception, match="badarg"):
            beam.eval("erlang:send(P, x, [priority])", P=prio)
        beam.eval(
            "P ! {1}, Prio ! {2}, Plain ! {3}, P ! go, P ! {tell, To}", P=ours, Prio=prio, Plain=plain, To=node.self_()
        )
        assert node.receive(timeout=patience()) == (A.saw, [(1,), (2,), (3,)])
        return
    theirs, its_prio, its_plain = beam.eval(RECEIVER)
    expected = []
    for to, alias, other in ((theirs, its_prio, its_plain), (ours, prio, plain)):
        beam.eval(SENDER, P=to, Prio=alias, Plain=other, To=node.self_())
        tag, seen = node.receive(timeout=patience())
        assert tag is A.saw
        expected.append(told_by_kind(seen))
    assert (A.p1,) in expected[0]
    assert expected[1] == expected[0]


def test_python_sends_with_priority_to_a_process_of_the_beam(beam: Beam, node: Any) -> None:
    node.connect(beam.name)
    if beam.otp < 28:
        theirs, prio = beam.eval(
            "Me = self(), P = spawn(fun() -> Me ! {self(), alias()}, receive go -> ok end, "
            "receive after 100 -> ok end, F = fun F(S) -> receive {tell, T} -> T ! {saw, lists:reverse(S)}; "
            "M -> F([M | S]) end end, F([]) end), receive {P, A} -> {P, A} end"
        )
    else:
        theirs, prio, _ = beam.eval(RECEIVER)
    node.send(theirs, (1,))
    assert node.send_with(prio, (A.p1,), priority=True) is A.ok
    node.send(theirs, (2,))
    assert node.send_with(prio, (A.p2,), priority=True, nosuspend=True) is A.ok
    assert node.send_with(theirs, (3,), priority=True) is A.ok
    node.send(theirs, A.go)
    node.send(theirs, (A.tell, node.self_()))
    ordinary = [(1,), (2,), (3,)]
    first = [(A.p1,), (A.p2,)]
    seen = first + ordinary if beam.otp >= 28 else [(1,), (A.p1,), (2,), (A.p2,), (3,)]
    assert node.receive(timeout=patience()) == (A.saw, seen)


def test_priority_within_python_is_the_same(node: Any) -> None:
    listener(node, node.self_())
    _, ours, prio, plain = node.receive(timeout=patience())
    node.send(ours, (1,))
    node.send_with(prio, (A.p1,), priority=True)
    node.send_with(plain, (2,), priority=True)
    node.send_with(ours, (3,), priority=True)
    node.send(prio, (4,))
    node.send_with(prio, (A.p2,), priority=True)
    node.send(ours, A.go)
    node.send(ours, (A.tell, node.self_()))
    assert node.receive(timeout=patience()) == (A.saw, [(A.p1,), (A.p2,), (1,), (2,), (3,), (4,)])
