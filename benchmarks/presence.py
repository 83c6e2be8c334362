"""Three real trackers of Phoenix and 1,000 presences of Python, while nodes are killed, stopped, deployed and cut off.

    python benchmarks/presence.py EBIN [--presences 1000] [--beam "a command before erl"]

EBIN is a directory with phoenix_pubsub compiled (`elixirc -o EBIN $(find phoenix_pubsub/lib -name '*.ex')`); Elixir has
to be there, too. The trackers have two shards, a `broadcast_period` of 100 ms and a `down_period` of 2 s, and each has
a presence of its own. After each event it is told how long it took until every node, this one too, knew all presences
and no others, and of how many of Python's that lived some tracker has told its browsers that they left. It goes through
all twice, with `permdown_on_shutdown` both ways. Ends with status 1 when something was lost, left over, or told so.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import gevent

from pyerlnode import A, Node
from pyerlnode.bridges.phoenix import Presence
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.settings import Settings
from pyerlnode.testing.supply import Supply

SOURCES = Path(__file__).parent.parent / "interop_tests" / "beam_src"
TRACKER = A["Elixir.MyApp.Presence"]
LIMIT = 30.0
"""Seconds after which what has not come is called lost."""
START = """
    {ok, _} = application:ensure_all_started(elixir), {ok, _} = application:ensure_all_started(logger),
    register(ledger, spawn(fun() -> (fun Keep(All) -> receive
        {diff, _, _, Leaves} -> Keep([Key || {Key, _} <- Leaves] ++ All);
        {ask, From, Ref} -> From ! {Ref, All}, Keep([])
    end end)([]) end)),
    pubsub_peer:pretend(Tracker, {tracker_peer}, [{init, 1}, {handle_diff, 2}]),
    Self = self(),
    spawn(fun() ->
        {ok, _} = pg:start_link('Elixir.Phoenix.PubSub'),
        {ok, _} = 'Elixir.Phoenix.PubSub.Supervisor':start_link([{name, 'Elixir.MyApp.PubSub'}, {pool_size, 2}]),
        {ok, _} = 'Elixir.Phoenix.Tracker':start_link(Tracker, whereis(ledger), [
            {name, Tracker}, {pubsub_server, 'Elixir.MyApp.PubSub'}, {pool_size, 2}, {broadcast_period, 100},
            {permdown_on_shutdown, Permdown}]),
        Own = spawn(fun() -> receive stop -> ok end end),  % a tracker's shard is linked to whom it tracks
        {ok, _} = 'Elixir.Phoenix.Tracker':track(Tracker, Own, <<"room">>, atom_to_binary(node()), #{}),
        Self ! up,
        receive stop -> ok end
    end),
    receive up -> ok after 30000 -> error(late) end
"""
KEYS = """
    try lists:sort([Key || {Key, _} <- 'Elixir.Phoenix.Tracker':list(T, <<"room">>)])
    catch exit:{noproc, _} -> starts end
"""
ASK = "Ref = make_ref(), ledger ! {ask, self(), Ref}, receive {Ref, All} -> All end"
STOP = "catch 'Elixir.Phoenix.Tracker':graceful_permdown(T), init:stop()"
KILL = """[exit(whereis(Shard), kill) || Shard <- ['Elixir.MyApp.Presence_shard0', 'Elixir.MyApp.Presence_shard1']]"""


class Trial:
    """The trackers, Python's node, and what went wrong."""

    def __init__(self, supply: Supply, ebin: str, presences: int, permdown: bool) -> None:
        self.permdown = permdown
        self.good = True
        self.beams = [supply.fresh(args=("-pa", ebin), cookie="secret") for _ in range(3)]
        for beam in self.beams:
            self.begin(beam)
        first = self.beams[0]
        self.node = Node(cookie=first.cookie, epmd="external", epmd_port=first.epmd_port)
        self.node.__enter__()
        self.join(*self.beams)
        self.presence = Presence(self.node, str(TRACKER).removeprefix("Elixir."))
        self.tracked = self.node.spawn(self.node.receive)
        self.python = [b"%04d" % number for number in range(presences)]
        for key in self.python:
            self.presence.track("room", key, {A.n: 1}, pid=self.tracked)

    def begin(self, beam: Beam) -> None:
        beam.start()
        for name in ("pubsub_peer", "tracker_peer"):
            beam.load(SOURCES / f"{name}.erl")
        beam.eval(START, Tracker=TRACKER, Permdown=self.permdown)

    def join(self, *beams: Beam) -> None:
        for beam in beams:
            self.node.connect(beam.name)
            for other in self.beams:
                if other is not beam and other.running():
                    beam.eval("net_kernel:connect_node(N)", N=other.node)

    def stop(self, beam: Beam) -> None:
        beam.eval(STOP if self.permdown else "init:stop()", T=TRACKER)
        while beam.running():
            gevent.sleep(0.02)

    def settles(self, event: str, *, python: bool = True, without: Beam | None = None) -> None:
        """Wait until everybody knows all, and say how long that took and what was told falsely.

        `without`: a tracker that has lost its own presence, as Phoenix's do with their shards.
        """
        began = time.monotonic()
        there = [beam for beam in self.beams if beam.running()]
        own = [beam.name.encode() for beam in there if beam is not without]
        wanted = sorted([*(self.python if python else []), *own])
        while bad := [who for who, keys in self.known(there) if keys != wanted]:
            if time.monotonic() - began > LIMIT:
                break
            gevent.sleep(0.02)
        took = time.monotonic() - began
        told = sum(key in set(self.python) for beam in there for key in beam.eval(ASK)) if python else 0
        self.good &= not bad and not told
        what = f"wrong on {', '.join(bad)}" if bad else f"right after {took:.2f} s"
        print(f"  {event:<52} {what}; {told} false leaves told", flush=True)

    def known(self, there: list[Beam]) -> list[tuple[str, Any]]:
        return [
            ("python", sorted(self.presence.list("room"))),
            *((beam.name, beam.eval(KEYS, T=TRACKER)) for beam in there),
        ]

    def run(self) -> bool:
        first, second, third = self.beams
        self.settles("all are there")
        first.kill9()
        self.settles("one is killed; its own leaves after the down_period")
        self.begin(first)
        self.join(first)
        self.settles("it is back")
        for beam in self.beams:
            self.stop(beam)
            self.begin(beam)
            self.join(beam)
        self.settles("all were deployed, one after the other")
        self.node.disconnect(first.name)
        for beam in (second, third):
            beam.eval("erlang:disconnect_node(N)", N=first.node)
        gevent.sleep(0.5)
        self.join(first)
        self.settles("one was cut off for half a second")
        first.eval(KILL)
        self.settles("its shards are killed", without=first)
        self.node.exit(self.tracked, A.kill)
        self.settles("the process that was present ends", python=False, without=first)
        return self.good

    def close(self, supply: Supply) -> None:
        self.node.stop()
        for beam in self.beams:
            supply.end(beam)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ebin")
    parser.add_argument("--presences", type=int, default=1000)
    parser.add_argument("--beam", default="", help="a command put before erl, as of pytest's --beam")
    given = parser.parse_args()
    supply = Supply(Settings(beam=given.beam) if given.beam else Settings())
    good = True
    try:
        for permdown in (False, True):
            print(f"permdown_on_shutdown: {permdown}", flush=True)
            trial = Trial(supply, str(Path(given.ebin).resolve()), given.presences, permdown)
            try:
                good &= trial.run()
            finally:
                trial.close(supply)
    finally:
        supply.stop()
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
