"""Exceptions as a BEAM sees them: an end is told once and with its reason, and nothing else ends."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.ending import KINDS, Ending, Handler, Machine, leave, raise_, thing
from pyerlnode import A
from pyerlnode.otp import gen_event, gen_statem
from pyerlnode.otp.agent import Agent
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

UNENCODABLE = (A.python_error, b"pyerlnode.errors.EncodeError")


@pytest.fixture
def served(node: Any) -> Any:
    """A node with a server that ends as it is told, `doomed`, and one that is to see nothing of it, `other`."""
    node.start(Ending, name="doomed")
    node.start(Ending, name="other")
    return node


def erlang(beam: Beam, node: Any, source: str, **values: Any) -> Any:
    return beam.eval(source, N=A[node.name], **values)


MONITORED = """
    R = monitor(process, {doomed, N}),
    {doomed, N} ! K,
    Reason = receive {'DOWN', R, process, _, Why} -> Why after 60000 -> hangs end,
    Second = receive {'DOWN', _, _, _, _} -> twice after 0 -> once end,
    {Reason, Second, gen_server:call({other, N}, count, 60000)}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_handler_raises_is_one_down_and_the_connection_lives(beam: Beam, served: Any, kind: str) -> None:
    (tag, name, _, stack), second, count = erlang(beam, served, MONITORED, K=A[kind])
    assert tag is A.python_error
    assert name.decode().endswith(KINDS[kind].__qualname__)
    assert stack[0][1] is A.raise_
    assert (second, count) == (A.once, 1)
    assert A[served.name] in beam.eval("nodes(connected)")


CALLED = """
    Reason = try gen_server:call({doomed, N}, {raise_, K}, 60000) catch exit:{Why, {gen_server, call, _}} -> Why end,
    {Reason, gen_server:call({other, N}, count, 60000)}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_exits_with_what_the_handler_raised(beam: Beam, served: Any, kind: str) -> None:
    (tag, name, _, _), count = erlang(beam, served, CALLED, K=A[kind])
    assert (tag, count) == (A.python_error, 1)
    assert name.decode().endswith(KINDS[kind].__qualname__)


@pytest.mark.beam(elixir=True)
def test_elixir_gets_its_down_of_a_server_with_an_attribute_named_server(beam: Beam, served: Any) -> None:
    source = """
    ref = Process.monitor({:doomed, n})
    GenServer.cast({:doomed, n}, :value_error)
    receive do
      {:DOWN, ^ref, :process, {:doomed, ^n}, {:python_error, name, _, _}} -> {name, GenServer.call({:other, n}, :count)}
    after
      60_000 -> :hangs
    end
    """
    assert beam.elixir(source, n=A[served.name]) == (b"ValueError", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_that_raises_it_costs_its_call(beam: Beam, served: Any, kind: str) -> None:
    served.export("ends", raise_, "raise_")
    served.export("ends", leave, "leave")
    caught = "try erpc:call(N, ends, {0}, {1}, 60000) catch error:{{exception, {{python_error, T, _}}, _}} -> T end"
    assert erlang(beam, served, caught.format("raise_", "[K]"), K=A[kind]).decode().endswith(KINDS[kind].__qualname__)
    assert erlang(beam, served, caught.format("leave", "[]")) == b"SystemExit"
    told = erlang(beam, served, "rpc:call(N, ends, raise_, [K], 60000)", K=A[kind])
    assert told[0] is A.badrpc
    assert erlang(beam, served, "gen_server:call({other, N}, count, 60000)") == 1


def test_a_spawned_function_that_leaves_is_one_down(beam: Beam, served: Any) -> None:
    served.export("ends", leave, "leave")
    source = "{P, R} = spawn_monitor(N, ends, leave, []), receive {'DOWN', R, _, P, {python_error, T, _, _}} -> T end"
    assert erlang(beam, served, source) == b"SystemExit"
    assert erlang(beam, served, "gen_server:call({other, N}, count, 60000)") == 1


@pytest.mark.parametrize("request_", ["thing", "early"])
def test_an_answer_that_is_no_term_fails_its_call_at_once_and_the_server_goes_on(
    beam: Beam, served: Any, request_: str
) -> None:
    source = """
    R = monitor(process, {doomed, N}),
    1 = gen_server:call({doomed, N}, count),
    Began = erlang:monotonic_time(millisecond),
    Reason = try gen_server:call({doomed, N}, Q, infinity) catch exit:{Why, {gen_server, call, _}} -> Why end,
    Count = gen_server:call({doomed, N}, count, 60000),
    {Reason, Count, receive {'DOWN', R, _, _, _} -> dead after 0 -> alive end}
    """
    (tag, name, message, [(_, function, _, _)]), count, state = erlang(beam, served, source, Q=A[request_])
    assert (tag, name) == UNENCODABLE
    assert b"Thing" in message
    assert function is A.handle_call
    assert (count, state) == (3, A.alive)


def test_requests_and_multicalls_learn_it_too(beam: Beam, served: Any) -> None:
    source = """
    Id = gen_server:send_request({doomed, N}, thing),
    {error, {Reason, _}} = gen_server:wait_response(Id, 60000),
    {Reason, gen_server:multi_call([N], doomed, thing, 60000), gen_server:call({doomed, N}, count)}
    """
    reason, multi, count = erlang(beam, served, source)
    assert reason[:2] == UNENCODABLE
    assert multi == ([], [A[served.name]])
    assert count == 3


def test_of_a_state_machine_an_event_handler_and_an_agent(beam: Beam, served: Any) -> None:
    gen_statem.start(served.system, Machine, name="machine")
    manager = gen_event.start(served.system, name="events", handlers=[Handler])
    gen_event.add_handler(served.system, manager, Handler)
    Agent.start(dict, name="agent", on=served.system)
    served.export("ends", thing, "thing")
    caught = "try {0} catch exit:{{{{python_error, T, _, _}}, _}} -> T end"
    handler = A[f"{Handler.__module__}.{Handler.__qualname__}"]
    for call in (
        "gen_statem:call({machine, N}, thing, 60000)",
        "gen_event:call({events, N}, H, thing, 60000)",
        "gen_server:call({agent, N}, {get, {ends, thing, []}}, 60000)",
    ):
        assert erlang(beam, served, caught.format(call), H=handler) == UNENCODABLE[1], call
    assert erlang(beam, served, "gen_statem:call({machine, N}, x)") == 1
    assert erlang(beam, served, "gen_event:call({events, N}, H, x)", H=handler) == 1
    assert erlang(beam, served, "gen_event:sync_notify({events, N}, panic)") is A.ok
    assert erlang(beam, served, "gen_event:which_handlers({events, N})") == []
    assert served.whereis("agent") is not None


def test_of_an_export(beam: Beam, served: Any) -> None:
    served.export("ends", thing, "thing")
    source = "try erpc:call(N, ends, thing, [], 60000) catch error:{exception, {python_error, T, _}, _} -> T end"
    assert erlang(beam, served, source) == UNENCODABLE[1]
    badrpc = erlang(beam, served, "rpc:block_call(N, ends, thing, [], 60000)")
    assert badrpc[0] is A.badrpc


@pytest.mark.parametrize("busy", [False, True])
def test_a_beam_sees_the_node_go_down_at_ctrl_c(beam: Beam, python_peer: Callable[..., Any], busy: bool) -> None:
    peer = python_peer()
    assert beam.eval("gen_server:call({desk, N}, {echo, 1}, 60000)", N=peer.node) == 1
    if busy:
        beam.eval("gen_server:cast({desk, N}, compute)", N=peer.node)
    peer.interrupt()
    beam.wait_until("not lists:member(N, nodes(connected))", N=peer.node)
    wait_for(lambda: peer.status() is not None, what="the end of the program")
