"""Nodes without a name: those that ask Python for one, and a Python node that asks its peer."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.plain_erl import node as plain_node
from interop_tests.servers import Desk, next_message
from pyerlnode import A, Node
from pyerlnode.errors import ConnectError
from pyerlnode.testing.beam import Beam

Factory = Callable[..., Any]
GIVEN = re.compile(r"[0-9A-Z]+@127\.0\.0\.1")


# --- Python gives names ----------------------------------------------------------------------------------
def test_a_beam_without_a_name_gets_one_from_python_and_calls_it(beam: Beam, node: Any) -> None:
    node.start(Desk, name="desk")
    node.monitor_nodes(info=True)
    with plain_node("undefined@127.0.0.1", beam.epmd_port, "-hidden", cookie=beam.cookie) as guest:
        assert guest.eval("node().") == "nonode@nohost"
        assert guest.eval(f"net_kernel:connect_node('{node.name}').") == "true"
        name = guest.eval("node().").strip("'")
        assert GIVEN.fullmatch(name)
        assert guest.eval(f"gen_server:call({{desk, '{node.name}'}}, {{echo, 7}}).") == "7"
        assert node.nodes("hidden") == [name]
        assert node.rpc(name, "erlang", "node") is A[name]
        assert next_message() == (A.nodeup, A[name], {A.node_type: A.hidden})
    assert next_message()[:2] == (A.nodedown, A[name])
    with plain_node("undefined@127.0.0.1", beam.epmd_port, "-hidden", cookie=beam.cookie) as guest:
        assert guest.eval(f"net_kernel:connect_node('{node.name}').") == "true"
        assert guest.eval("node().").strip("'") == name  # given again, with the next creation


def test_two_nameless_beams_at_once_get_two_names(beam: Beam, node: Any) -> None:
    with (
        plain_node("undefined@127.0.0.1", beam.epmd_port, cookie=beam.cookie) as one,
        plain_node("undefined@127.0.0.1", beam.epmd_port, cookie=beam.cookie) as other,
    ):
        for guest in (one, other):
            assert guest.eval(f"net_kernel:connect_node('{node.name}').") == "true"
        assert one.eval("node().") != other.eval("node().")
        assert len(node.nodes()) == 2


def test_a_node_that_allows_certain_names_gives_none(
    beam: Beam, python: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    node = python(allow=[beam.name])
    with plain_node("undefined@127.0.0.1", beam.epmd_port, cookie=beam.cookie) as guest:
        assert guest.eval(f"net_kernel:connect_node('{node.name}').") == "false"
    assert "gives none" in caplog.text
    assert node.ping(beam.name)


# --- Python asks for one -----------------------------------------------------------------------------------
def test_a_python_node_takes_the_name_that_its_peer_gives(helper: Factory) -> None:
    beam = helper("desk.erl")
    with Node(ask_name_of=beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as node:
        assert GIVEN.fullmatch(node.name)
        assert node.port == 0
        beam.wait_until("nodes(hidden) =:= [N]", N=A[node.name])
        assert node.name.partition("@")[0] not in beam.epmd.names()
        assert node.call(beam.eval("desk:start()"), (A.echo, 1)) == 1
        node.start(Desk, name="desk")
        assert beam.eval("gen_server:call({desk, N}, {echo, 2})", N=A[node.name]) == 2
        first = node.name, node.creation
    beam.wait_until("nodes(connected) =:= []")
    with Node(ask_name_of=beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as node:
        assert (node.name, node.creation) != first


def test_it_reaches_other_nodes_by_that_name(beam: Beam, beam_factory: Factory) -> None:
    second = beam_factory(cookie=beam.cookie)
    with Node(ask_name_of=beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as node:
        assert node.ping(second.name)
        assert second.nodes() == [node.name]


def test_without_its_lender_it_has_no_name_and_says_so(beam: Beam, beam_factory: Factory) -> None:
    lender = beam_factory(cookie=beam.cookie)
    node = Node(ask_name_of=lender.name, cookie=beam.cookie, epmd_port=beam.epmd_port)
    with node:
        node.monitor_nodes()
        assert node.ping(beam.name)
        lender.kill9()
        assert [next_message(), next_message()] == [(A.nodeup, beam.node), (A.nodedown, lender.node)]
        with pytest.raises(ConnectError) as caught:
            node.connect(lender.name)
        assert "open it again" in str(caught.value)
        assert node.nodes() == [beam.name]
    lender.restart()
    with node:
        assert node.ping(lender.name)


def test_a_lender_that_is_not_there_is_a_clear_error(beam: Beam) -> None:
    with pytest.raises(ConnectError) as caught:
        Node(ask_name_of="nobody_here@127.0.0.1", cookie=beam.cookie, epmd_port=beam.epmd_port).open()
    assert caught.value.reason == "unknown_node"
    with pytest.raises(ConnectError) as caught:
        Node(ask_name_of=beam.name, cookie="another", epmd_port=beam.epmd_port).open()
    assert caught.value.reason == "bad_cookie"


def test_one_python_node_names_another(python: Factory, beam: Beam) -> None:
    lender = python()
    with Node(ask_name_of=lender.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as node:
        lender.start(Desk, name="desk")
        assert node.call(("desk", lender.name), (A.echo, A.hello)) is A.hello
        assert lender.nodes() == [node.name]
