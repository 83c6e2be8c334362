"""Sequential trace tokens: what goes through a process of Python carries them on as through one of a BEAM.

The oracle is the same relay in Erlang: a driver on the BEAM sends both the same with a token, and compares with which
label, serial and previous serial each message comes back.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A, GenServer, receive
from pyerlnode.errors import Exit
from pyerlnode.testing.beam import Beam

Relay = Callable[[Any], Any]
SOURCE = Path(__file__).parent / "beam_src"


def carried_out(node: Any, command: Any) -> None:
    """One command of `beam_src/trace_relay.erl`."""
    match command:
        case (A.to, dests, message):
            for dest in dests:
                node.send(dest, message)
        case (A.call, server, to):
            node.send(to, (A.called, node.call(server, (A.echo, 1))))
        case (A.child, to):
            node.spawn(node.send, to, A.child)
        case (A.child_on, other, to):
            node.spawn_on(other, "trace_relay", "say", [to])
        case (A.die, reason):
            raise Exit(reason)


def in_a_function(node: Any) -> Any:
    def body() -> None:
        while True:
            command = receive()
            if command[0] is A.pick:
                wanted = receive(lambda message: message[0] is A.wanted)
                node.send(command[1], (A.picked, wanted[1]))
            else:
                carried_out(node, command)

    return node.spawn(body)


def in_a_server(node: Any) -> Any:
    class Server(GenServer):
        def handle_info(self, message: Any) -> None:
            carried_out(node, message)

    return node.start(Server)


ME = [A.me]
STEPS = {
    "one message": [(A.traced, (A.to, ME, A.x), 1)],
    "several, and again": [(A.traced, (A.to, [A.me, A.me, A.me], A.x), 3), (A.traced, (A.to, ME, A.y), 1)],
    "to a name and an alias": [(A.traced, (A.to, [A.name], A.x), 1), (A.traced, (A.to, [A.alias], A.y), 1)],
    "a message without one ends it": [
        (A.traced, (A.to, ME, A.x), 1),
        (A.untraced, (A.to, ME, A.y), 1),
        (A.traced, (A.to, ME, A.z), 1),
    ],
    "none at all": [(A.untraced, (A.to, ME, A.x), 1)],
    "a call on the way": [(A.traced, (A.call, A.server, A.me), 1), (A.traced, (A.to, ME, A.x), 1)],
    "a child": [(A.traced, (A.child, A.me), 1)],
    "a child at the driver": [(A.traced, (A.child_on, A.my_node, A.me), 1), (A.traced, (A.to, ME, A.x), 1)],
    "a spawn at the relay": [(A.spawn_at, 1), (A.traced, (A.to, ME, A.x), 1)],
    "the end of a link": [(A.traced, (A.die, A.bye), 1)],
    "the end of a link without one": [(A.traced, (A.to, ME, A.x), 1), (A.untraced, (A.die, A.bye), 1)],
}


@pytest.fixture
def other(beam: Beam, beam_factory: Callable[..., Beam]) -> Beam:
    """Where the relays in Erlang live."""
    beam.load(SOURCE / "trace_relay.erl")
    beam.load(SOURCE / "desk.erl")
    return beam_factory(cookie=beam.cookie, files=[SOURCE / "trace_relay.erl"])


def drive(beam: Beam, relay: Any, script: list[Any]) -> Any:
    """What the driver on `beam` got back from `relay`."""
    server = beam.eval("{ok, P} = gen_server:start(desk, [], []), P")

    def named(value: Any) -> Any:
        if value is A.server:
            return server
        return tuple(map(named, value)) if isinstance(value, tuple) else value

    return beam.eval("trace_relay:drive(Relay, Steps)", Relay=relay, Steps=[named(step) for step in script])


def in_erlang(beam: Beam, other: Beam) -> Any:
    return beam.eval("spawn(Other, trace_relay, relay, [])", Other=A[other.name])


@pytest.mark.parametrize("body", [in_a_function, in_a_server])
def test_a_token_goes_through_python_as_through_a_beam(beam: Beam, other: Beam, node: Any, body: Relay) -> None:
    node.export("trace_relay", lambda to: node.send(to, A.said), name="say")
    expected = {what: drive(beam, in_erlang(beam, other), script) for what, script in STEPS.items()}
    assert not any(A.none in found for found in expected.values()), expected
    assert {what: drive(beam, body(node), script) for what, script in STEPS.items()} == expected


def test_a_selective_receive_takes_the_token_of_the_message_that_it_takes(beam: Beam, other: Beam, node: Any) -> None:
    script = [
        (A.untraced, (A.pick, A.me), 0),
        (A.untraced, (A.to, ME, A.x), 0),
        (A.traced, (A.wanted, 1), 1),
        (A.untraced, (A.to, ME, A.y), 2),
    ]
    expected = drive(beam, in_erlang(beam, other), script)
    assert expected == [((A.picked, 1), (17, 2, 1, True)), (A.x, A.none), (A.y, A.none)]
    assert drive(beam, in_a_function(node), script) == expected


def test_a_call_of_a_beam_carries_its_token_to_the_server_and_back(node: Any, beam: Beam) -> None:
    node.start(Desk, name="desk")
    script = """
    Me = self(),
    spawn(fun() ->
        seq_trace:set_token(label, 17),
        {ok, 1} = {ok, gen_server:call({desk, N}, {echo, 1})},
        Token = seq_trace:get_token(),
        seq_trace:set_token([]),
        Me ! {token, Token}
    end),
    receive {token, {_, Label, Serial, _, Previous}} -> {Label, Serial, Previous} after 60000 -> late end
    """
    assert beam.eval(script, N=A[node.name]) == (17, 2, 1)


def test_a_node_that_has_seen_no_token_keeps_none(node: Any, beam: Beam) -> None:
    node.start(Desk, name="desk")
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1
    assert node.system.trace_tokens is None
