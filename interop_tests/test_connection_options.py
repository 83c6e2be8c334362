"""How nodes find and admit each other without the usual: fixed ports, maps, IPv6, cookies and lists per peer, ticks."""

import os
import socket
import time
from collections.abc import Callable
from math import ceil
from typing import Any

import pytest
from machine import needs_ipv6

from interop_tests.plain_erl import Erl
from interop_tests.servers import Desk, next_message
from pyerlnode import A, GenServer, Reply
from pyerlnode.errors import ConnectError, NetworkError, UsageError
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.patience import deadline, patience, promise

Factory = Callable[..., Any]


# --- without EPMD --------------------------------------------------------------------------------------------
def test_two_nodes_without_any_epmd_meet_at_a_fixed_port(python: Factory) -> None:
    port = free_port()
    args = ("-start_epmd", "false", "-erl_epmd_port", str(port), "-name", "fixed@127.0.0.1", "-setcookie", "secret")
    with Erl(1, *args) as erl:
        node = python(cookie="secret", epmd="none", addresses={"fixed@127.0.0.1": ("127.0.0.1", port)})
        assert node.ping("fixed@127.0.0.1")
        assert erl.eval("nodes(hidden).") == f"['{node.name}']"
        with pytest.raises(ConnectError) as caught:
            node.connect("other@127.0.0.1")
        assert "not in the map" in str(caught.value)
        for where in (port, lambda name: port if name.startswith("fixed@") else None):
            assert python(cookie="secret", epmd="none", addresses=where).ping("fixed@127.0.0.1")


def test_a_beam_without_epmd_dials_a_python_node_at_the_port_that_both_know(python: Factory) -> None:
    port = free_port()
    node = python(cookie="secret", epmd="none", ports=port)
    node.start(Desk, name="desk")
    args = (
        "-start_epmd", "false", "-erl_epmd_port", str(port), "-dist_listen", "false", "-name", "silent@127.0.0.1",
        "-setcookie", "secret", "-hidden",
    )  # fmt: skip
    with Erl(1, *args) as erl:
        assert erl.eval(f"gen_server:call({{desk, '{node.name}'}}, {{echo, 7}}).") == "7"


def test_a_node_listens_on_the_first_free_port_of_its_range(beam: Beam, python: Factory) -> None:
    first = free_port()
    with socket.create_server(("127.0.0.1", first)):
        node = python(ports=range(first, min(first + 20, 65536)))
        assert first < node.port < first + 20
        assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
        with pytest.raises(NetworkError) as caught:
            python(ports=range(first, first + 1))
        assert str(first) in str(caught.value)


# --- IPv6 --------------------------------------------------------------------------------------------------------
@needs_ipv6
def test_nodes_of_ipv6_talk_both_ways(python: Factory) -> None:
    port = free_port("::1")
    args = (
        "-proto_dist", "inet6_tcp", "-start_epmd", "false", "-erl_epmd_port", str(port), "-name", "six@::1",
        "-setcookie", "secret",
    )  # fmt: skip
    with Erl(1, *args) as erl:
        node = python("py_six@::1", cookie="secret", epmd="none", addresses={"six@::1": ("::1", port)})
        node.start(Desk, name="desk")
        assert node.ping("six@::1")
        assert erl.eval("gen_server:call({desk, 'py_six@::1'}, {echo, 6}).") == "6"


# --- who may come in ---------------------------------------------------------------------------------------------
def test_each_peer_has_the_cookie_that_is_its_own(beam: Beam, beam_factory: Factory, python: Factory) -> None:
    other = beam_factory(cookie="another_cookie")
    node = python(cookies={other.name: "another_cookie"})
    assert node.ping(beam.name)
    assert node.ping(other.name)
    node.disconnect(other.name)
    other.wait_until("nodes(connected) =:= []")
    assert other.eval("net_adm:ping(N)", N=A[node.name]) is A.pong


def test_only_those_on_the_list_come_in(beam: Beam, beam_factory: Factory, python: Factory) -> None:
    guest = beam_factory(cookie=beam.cookie)
    node = python(allow=[guest.name])
    assert guest.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pang
    assert node.nodes() == [guest.name]


def test_a_beam_that_does_not_allow_us_is_a_clear_error(beam: Beam, beam_factory: Factory, node: Any) -> None:
    closed = beam_factory(cookie=beam.cookie)
    closed.eval("net_kernel:allow(['nobody@127.0.0.1'])")
    with pytest.raises(ConnectError) as caught:
        node.connect(closed.name)
    assert caught.value.reason == "not_allowed"


# --- ticks -----------------------------------------------------------------------------------------------------------
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
TICKTIME = ceil(promise(4 if LONG else 2))
COMPUTES = TICKTIME * (7.5 if LONG else 3.0)
"""Seconds; the long profile computes for more than seven tick times."""


class Hog(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        end = time.monotonic() + request
        while time.monotonic() < end:
            sum(range(10_000))
        return Reply(A.done)


def test_computing_for_many_tick_times_keeps_the_connection_and_cuts_no_frame(
    beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    watcher = beam_factory(
        cookie=beam.cookie, files=["beam_src/desk.erl"], args=["-kernel", "net_ticktime", str(TICKTIME)]
    )
    node = python(ticktime=float(TICKTIME))
    node.start(Hog, name="hog")
    pid = watcher.eval("desk:start()")
    node.call(pid, (A.echo, 1))
    node.monitor_nodes()
    for number in range(40):  # so much that it is half written when the hub stands still
        node.send(pid, (number, b"x" * 200_000))
    call = "gen_server:call({hog, N}, Seconds, infinity)"
    assert watcher.eval(call, 60.0 + COMPUTES, N=A[node.name], Seconds=COMPUTES) is A.done
    kept = node.call(pid, A.kept, timeout=patience())
    assert [message[0] for _, message in kept] == list(range(40))
    assert {len(message[1]) for _, message in kept} == {200_000}
    assert node.receive(timeout=0, default=None) is None
    assert watcher.nodes() == [node.name]


def test_intensity_divides_the_tick_time(beam: Beam, beam_factory: Factory, python: Factory) -> None:
    peer = beam_factory(cookie=beam.cookie, args=["-kernel", "net_ticktime", str(TICKTIME), "net_tickintensity", "8"])
    node = python(ticktime=TICKTIME, tickintensity=8)
    node.connect(peer.name)
    node.monitor_nodes()
    pid = peer.eval("whereis(init)")
    ref = node.monitor(pid)
    start = time.monotonic()
    with peer.suspended_for_block(), deadline(2 * TICKTIME, "noticing a peer that hangs"):
        assert {next_message(), next_message()} == {
            (A.DOWN, ref, A.process, pid, A.noconnection),
            (A.nodedown, peer.node),
        }
        assert time.monotonic() - start > TICKTIME / 2
    for wrong in (3, 1001):
        with pytest.raises(UsageError):
            python(tickintensity=wrong)


def test_a_peer_that_is_stopped_and_goes_on_in_time_is_kept(beam: Beam, beam_factory: Factory, python: Factory) -> None:
    peer = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])
    node = python(ticktime=8.0)
    pid = peer.eval("desk:start()")
    node.call(pid, (A.echo, 1))
    node.monitor_nodes()
    with peer.suspended_for_block():
        node.send(pid, A.meanwhile)
        assert node.receive(timeout=1.0, default=None) is None
    assert node.call(pid, A.kept) == [(A.info, A.meanwhile)]
    assert node.receive(timeout=0, default=None) is None


# --- waiting -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wanted", [True, False])
def test_a_node_stays_awake_between_quick_packets_unless_told_to_sleep(
    beam: Beam, python: Factory, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    asked = []
    monkeypatch.setattr("pyerlnode.net.busy_wait.BusyWait.rest", lambda self, _: asked.append(self))
    node = python(busy_wait=wanted)
    node.start(Desk, name="desk")
    assert beam.eval("gen_server:call({desk, N}, {echo, 7})", N=A[node.name]) == 7
    assert bool(asked) is wanted
