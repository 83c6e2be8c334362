"""Nodes that dial each other at the same time, round after round: none may lose what it asks, nor wait for a time-out.

    python benchmarks/simultaneous.py [--rounds 300] [--beam "a command before erl"] [NAME ...]

NAME picks parts: tcp, tls (two nodes dial each other, both orders of names, Python with Python and with a BEAM), mesh
(visible nodes of both kinds that start 0.3 s apart, or at once). Each node is an OS process of its own. Rounds begin
0.3 s apart, and within a round one side dials up to 3 ms after the other, each time a little later. Told are answers
that were lost, the good connections that were dropped, and the slowest answer: the figure of a machine that is quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gevent

from pyerlnode import A, Node
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.settings import Settings
from pyerlnode.testing.supply import Supply
from pyerlnode.testing.tls import Tls
from pyerlnode.testing.waiting import wait_for, wait_io

APART = 0.3
LONG = 60.0
PARTS = ("tcp", "tls", "mesh")
AT_ONCE = """
    Self = self(),
    spawn(fun() ->
        timer:sleep(max(0, At div 1000 - 2 - erlang:system_time(millisecond))),
        (fun Wait() -> case erlang:system_time(microsecond) < At of true -> Wait(); false -> ok end end)(),
        Began = erlang:monotonic_time(microsecond),
        Answer = (catch erpc:call(N, m, twice, [21], 60000)),
        Self ! {asked, Answer =:= 42, (erlang:monotonic_time(microsecond) - Began) / 1000000}
    end),
    receive {asked, Right, Took} -> {Right, Took} after 70000 -> {false, 70.0} end
"""


# --- a Python node in a process of its own -----------------------------------------------------------
def serve(name: str, cookie: str, port: str, tls: str, hidden: str) -> None:
    """Commands on standard input, one answer for each on standard output."""
    options: dict[str, Any] = {"tls": tls} if tls else {}
    with Node(name, cookie=cookie, epmd="external", epmd_port=int(port), hidden=hidden == "hidden", **options) as node:
        downs: list[Any] = []
        node.telemetry.append(lambda event, *rest: downs.append(rest) if event == "connection.down" else None)
        node.export("m", {"twice": lambda x: 2 * x})
        commands: dict[str, Callable[..., Any]] = {
            "dial": lambda other, call, at: (downs.clear(), [*_dial(node, other, call, at), len(downs)])[1],
            "drop": node.disconnect,
            "downs": lambda: len(downs),
            "alone": lambda: wait_for(lambda: not node.nodes(), timeout=LONG),
            "join": lambda others: [gevent.spawn(node.ping, other) and other for other in others],
            "nodes": lambda: sorted(node.nodes("visible")),
        }
        print("ready", flush=True)
        while line := _read_line(sys.stdin.fileno()):
            what, *args = json.loads(line)
            print(json.dumps(commands[what](*args)), flush=True)


def _dial(node: Node, other: str, call: list[Any], at: float) -> tuple[bool, float]:
    gevent.sleep(max(0.0, at - time.time() - 0.002))
    while time.time() < at:
        pass
    began = time.monotonic()
    module, function, args, right = call
    try:
        answer = node.rpc(other, module, function, args, timeout=LONG)
    except Exception as error:
        print(f"{node.name}: {error}", file=sys.stderr)
        answer = None
    return answer == right, time.monotonic() - began


def _read_line(number: int) -> bytes:
    """One line; the hub runs meanwhile."""
    line = b""
    while not line.endswith(b"\n"):
        if wait_io(number, timeout=LONG):
            byte = os.read(number, 1)
            if not byte:
                return b""
            line += byte
    return line


class Peer:
    """Such a process."""

    def __init__(self, name: str, cookie: str, port: int, tls: str = "", *, hidden: bool = True) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name, cookie, str(port), tls, "hidden" if hidden else "visible"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ready(self) -> Peer:
        assert self._line() == b"ready\n"
        return self

    def begin(self, *command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> Any:
        return json.loads(self._line())

    def ask(self, *command: Any) -> Any:
        self.begin(*command)
        return self.end()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(LONG)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return _read_line(self._process.stdout.fileno())


# --- two that dial each other ------------------------------------------------------------------------
TWICE = ["m", "twice", [21], 42]


def two_pythons(one: Peer, other: Peer) -> Callable[[float, float], list[Any]]:
    def both(at: float, late: float) -> list[Any]:
        one.begin("dial", other.name, TWICE, at)
        other.begin("dial", one.name, TWICE, at + late)
        (right, took, downs), (other_right, other_took, other_downs) = one.end(), other.end()
        one.ask("drop", other.name)
        other.ask("alone")
        return [right, other_right, max(took, other_took), downs + other_downs]

    return both


def python_and_beam(one: Peer, beam: Beam) -> Callable[[float, float], list[Any]]:
    def both(at: float, late: float) -> list[Any]:
        one.begin("dial", beam.name, ["lists", "reverse", [[1, 2]], [2, 1]], at)
        other_right, other_took = beam.eval(AT_ONCE, N=A[one.name], At=int((at + late) * 1e6), timeout=80)
        right, took, _ = one.end()
        downs = one.ask("downs")
        one.ask("drop", beam.name)
        beam.wait_until("not lists:member(N, nodes(connected))", N=A[one.name])
        return [right, other_right, max(took, other_took), downs]

    return both


def rounds(label: str, both: Callable[[float, float], list[Any]], count: int) -> bool:
    lost = dropped = 0
    slowest = 0.0
    for number in range(count):
        at = time.time() + APART
        right, other_right, took, downs = both(at, ((number % 13) - 6) / 2000)
        lost += (not right) + (not other_right)
        dropped += downs > 0
        slowest = max(slowest, took)
    print(f"{label:48} {count:5} rounds  {lost:4} lost  {dropped:4} dropped  slowest {slowest:6.3f} s", flush=True)
    return not lost and not dropped


def dials(supply: Supply, count: int, *, tls: bool) -> bool:
    beam = supply.fresh(tls=tls)
    speaks = "TLS" if tls else "TCP"
    good = True
    with _tls_file(beam.tls) as file, ExitStack() as stack:

        def peer(name: str) -> Peer:
            made = Peer(name, beam.cookie, beam.epmd_port, file).ready()
            stack.callback(made.close)
            return made

        first, last, third = (peer(f"{alive}@127.0.0.1") for alive in ("aa_first", "zz_last", "mm_third"))
        good &= rounds(f"{speaks}, Python with Python", two_pythons(third, last), count)
        good &= rounds(f"{speaks}, Python with Python, names the other way", two_pythons(third, first), count)
        good &= rounds(f"{speaks}, Python with a BEAM of a greater name", python_and_beam(first, beam), count)
        good &= rounds(f"{speaks}, Python with a BEAM of a lesser name", python_and_beam(last, beam), count)
    supply.end(beam)
    return good


@contextmanager
def _tls_file(tls: Tls | None) -> Iterator[str]:
    """The option file, also for a BEAM that has it elsewhere."""
    if tls is None:
        yield ""
        return
    with tempfile.TemporaryDirectory() as at:
        copy = Path(at) / "tls.conf"
        copy.write_text(Path(tls).read_text(encoding="utf-8"), encoding="utf-8")
        yield str(copy)


# --- meshes -------------------------------------------------------------------------------------------
def mesh(supply: Supply, beams: int, pythons: int, apart: float, *, tls: bool) -> bool:
    """Visible nodes that start `apart` seconds after each other, each of which dials those before it."""
    first = supply.fresh(tls=tls)
    with _tls_file(first.tls) as file, ExitStack() as stack:
        stack.callback(supply.end, first)
        peers: list[Peer] = []
        began = time.monotonic()
        for number in range(pythons):
            made = Peer(f"mesh{number}@127.0.0.1", first.cookie, first.epmd_port, file, hidden=False)
            stack.callback(made.close)
            peers.append(made)
            gevent.sleep(apart)
        others = []
        for _ in range(beams - 1):
            others.append(supply.fresh(tls=tls, cookie=first.cookie))
            stack.callback(supply.end, others[-1])
        names = [first.name, *(beam.name for beam in others), *(peer.name for peer in peers)]
        for number, peer in enumerate(peers):
            peer.ready().ask("join", [name for name in names[: beams + number] if name != peer.name])
        for beam in (first, *others):
            beam.eval("[spawn(fun() -> net_kernel:connect_node(N) end) || N <- Ns], ok", Ns=[A[name] for name in names])
        whole = set(names)
        for peer in peers:
            wait_for(lambda peer=peer: {peer.name, *peer.ask("nodes")} == whole, timeout=2 * LONG, what=peer.name)
        for beam in (first, *others):
            beam.wait_until("lists:sort([node() | nodes()]) =:= lists:sort(Ns)", Ns=[A[name] for name in names])
        took = time.monotonic() - began
    kind = "TLS" if tls else "TCP"
    print(
        f"{kind}, mesh of {beams} BEAMs and {pythons} Pythons, {apart:g} s apart: whole after {took:.1f} s", flush=True
    )
    return True


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--beam", default="", help="a command put before erl, as of pytest's --beam")
    given = parser.parse_args()
    supply = Supply(Settings(beam=given.beam) if given.beam else Settings())
    good = True
    try:
        for part in given.parts or PARTS:
            if part == "mesh":
                for tls in (False, True):
                    for beams, pythons in ((1, 1), (1, 2), (2, 3), (2, 6)):
                        for apart in (0.0, APART):
                            good &= mesh(supply, beams, pythons, apart, tls=tls)
            else:
                good &= dials(supply, given.rounds, tls=part == "tls")
    finally:
        supply.stop()
    sys.exit(not good)


if __name__ == "__main__":
    main()
