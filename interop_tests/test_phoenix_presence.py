"""Presences of Python among trackers of several BEAMs that replicate: what becomes of one is nothing to the others.

The BEAM's side is `beam_src/tracker_peer.erl` in the library's place, or the library itself with
`PYERLNODE_PHOENIX_PUBSUB` (and `ERL_LIBS`, where Elixir is), as in `test_phoenix_pubsub`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.bridges.phoenix import Presence
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

EBIN = os.environ.get("PYERLNODE_PHOENIX_PUBSUB")
LIBRARIES = ["ours", "phoenix"] if EBIN else ["ours"]
PUBSUB, TRACKER = A["Elixir.MyApp.PubSub"], A["Elixir.MyApp.Presence"]
SOURCES = Path(__file__).parent / "beam_src"
COUNT = 1000
LEDGER = """
    register(ledger, spawn(fun() -> (fun L(All) -> receive
        {diff, _, Joins, Leaves} -> L([{length(Joins), [K || {K, _} <- Leaves]} | All]);
        {ask, From} -> From ! {ledger, lists:append([Ls || {_, Ls} <- All])}, L(All) end end)([]) end))"""
"""A process that is told all diffs of its node's tracker."""


class App:
    """A BEAM with a tracker."""

    def __init__(self, beam: Beam, library: str, *options: Any) -> None:
        self.beam = beam
        self.real = library == "phoenix"
        self.options = list(options)
        for source in ("pubsub_peer.erl", "tracker_peer.erl"):
            beam.load(SOURCES / source)
        if self.real:
            beam.eval("code:add_patha(binary_to_list(D))", D=str(EBIN).encode())
        beam.eval(LEDGER)
        pubsub = A["Elixir.Phoenix.PubSub"] if self.real else A.pubsub_peer
        beam.rpc("pubsub_peer", "start", pubsub, PUBSUB, 2)
        self.start()

    def start(self) -> None:
        module = A["Elixir.Phoenix.Tracker"] if self.real else A.tracker_peer
        start = "tracker_peer:start(M, T, P, whereis(ledger), O)"
        self.holder = self.beam.eval(start, M=module, T=TRACKER, P=PUBSUB, O=self.options)

    def stop(self) -> None:
        """The tracker, in order."""
        self.beam.eval(
            "R = monitor(process, H), exit(H, shutdown), receive {'DOWN', R, _, _, _} -> ok end", H=self.holder
        )
        self.beam.wait_until("whereis(T) =:= undefined", T=TRACKER)

    def keys(self) -> list[Any]:
        return sorted(key for key, _ in self.beam.rpc("Elixir.Phoenix.Tracker", "list", TRACKER, b"room"))

    def left(self) -> list[Any]:
        """Keys of which a diff of this node has told that they left."""
        found: list[Any] = self.beam.eval("ledger ! {ask, self()}, receive {ledger, Left} -> Left end")
        return found


@pytest.fixture(params=LIBRARIES)
def app(request: pytest.FixtureRequest, beam_factory: Callable[..., Beam], beam: Beam) -> Callable[..., App]:
    return lambda *options: App(beam_factory(cookie=beam.cookie), request.param, *options)


def joined(node: Any, *apps: App) -> Presence:
    for one in apps:
        node.connect(one.beam.name)
    for one in apps[1:]:
        apps[0].beam.rpc("net_kernel", "connect_node", A[one.beam.name])
    presence = Presence(node, "MyApp.Presence", every=0.02)
    for one in apps:
        presence.await_node(one.beam.name, 60.0)
    return presence


def track(node: Any, presence: Presence, count: int) -> tuple[Any, list[bytes]]:
    """One process of ours under so many keys."""
    keys = [b"%04d" % number for number in range(count)]
    worker = node.spawn(lambda: node.receive())
    for key in keys:
        presence.track("room", key, {A.at: 1}, pid=worker)
    return worker, keys


def test_a_node_that_is_killed_and_one_that_comes_in_its_place_take_nobody_away(
    app: Callable[..., App], node: Any
) -> None:
    first, second = app(), app()
    presence = joined(node, first, second)
    worker, keys = track(node, presence, COUNT)
    for one in (first, second):
        wait_for(lambda one=one: one.keys() == keys)
    first.beam.kill9()
    wait_for(lambda: node.nodes() == [second.beam.name])
    later = app()
    later.beam.rpc("net_kernel", "connect_node", A[second.beam.name])
    node.connect(later.beam.name)
    wait_for(lambda: later.keys() == keys)
    assert (second.keys(), second.left()) == (keys, [])
    node.exit(worker, A.kill)
    for one in (second, later):
        wait_for(lambda one=one: one.keys() == [])
        assert sorted(one.left()) == keys


def test_lost_connections_and_trackers_that_start_anew_take_nobody_away(app: Callable[..., App], node: Any) -> None:
    first, second = app(), app()
    presence = joined(node, first, second)
    _, keys = track(node, presence, 5)
    for one in (first, second):
        wait_for(lambda one=one: one.keys() == keys)
    node.disconnect(first.beam.name)
    first.beam.eval("erlang:disconnect_node(N)", N=A[second.beam.name])
    presence.track("room", "later")
    wait_for(lambda: second.keys() == [*keys, b"later"])
    node.connect(first.beam.name)
    first.beam.rpc("net_kernel", "connect_node", A[second.beam.name])
    wait_for(lambda: first.keys() == [*keys, b"later"])
    second.stop()
    second.start()
    wait_for(lambda: second.keys() == [*keys, b"later"])
    assert (first.keys(), first.left(), second.left()) == ([*keys, b"later"], [], [])
    presence.stop()
    for one in (first, second):
        wait_for(lambda one=one: one.keys() == [])
