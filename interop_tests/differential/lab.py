"""Carries out scripts on both sides and tells what differs."""

from __future__ import annotations

import difflib
import logging
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop_tests.differential.kinds import Kind
from interop_tests.differential.shrink import shrunk
from pyerlnode import A
from pyerlnode.term.text import format_term
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

BEAM_SRC = Path(__file__).parent.parent / "beam_src"
HUNG_S = 60
"""What one script may take on a quiet machine: most take some milliseconds."""
AT_ONCE = 50
"""Scripts in one request."""


@dataclass(frozen=True)
class Place:
    """Which sides a script runs on: OTP's own nodes, and those that stand for them."""

    name: str
    otp: tuple[Any, Any]
    ours: tuple[Any, Any]


@dataclass(frozen=True)
class Difference:
    kind: str
    place: Place
    seed: Any
    script: Any
    expected: list[str]
    found: list[str]

    def __str__(self) -> str:
        lines = difflib.unified_diff(self.expected, self.found, "OTP", "here", lineterm="", n=1)
        told = "\n".join(line if len(line) < 400 else line[:400] + " ..." for line in lines)
        return f"{self.kind}, seed {self.seed}, {self.place.name}:\n{printed(self.script)}\n{told}"


def printed(script: Any) -> str:
    """A script as it is kept: an Erlang term."""
    return format_term(script)


class Lab:
    """A BEAM, maybe a second one, and a Python node that are connected; and another one for kinds that are visible."""

    def __init__(
        self,
        beam: Beam,
        node: Any,
        second: Callable[[str | None], Beam] | None = None,
        visible: Callable[[str | None], Any] | None = None,
    ) -> None:
        self.beam, self.node = beam, node
        self._second = second
        self._visible = visible
        self._member: Any = None
        self._away: Beam | None = None
        self._ordered: dict[str, tuple[Beam, Any]] = {}
        self._ready: set[str] = set()
        node.connect(beam.name)

    def places(self, kind: Kind, *, alone: bool = False) -> list[Place]:
        """Where scripts of a kind are run; `alone` without a second BEAM."""
        if kind.ordered:
            return [self._meeting(kind, order, name) for order, name in (("lesser", "aa"), ("greater", "zz"))]
        home, ours = self.beam.node, A[self.ours(kind).name]
        one = Place("on one node", (home, home), (ours, ours))
        if alone or not kind.pair or self._second is None:
            return [one]
        away = self.away(kind)
        if kind.visible:
            self._met()
        return [
            one,
            Place("ours is the second", (home, away.node), (home, ours)),
            Place("ours is the first", (home, away.node), (ours, home)),
        ]

    def ours(self, kind: Kind) -> Any:
        """The Python node that carries out scripts of a kind."""
        if not kind.visible:
            return self.node
        if self._member is None:
            assert self._visible is not None
            self._member = self._visible(None)
            self._member.connect(self.beam.name)
            self._met()
        return self._member

    def _meeting(self, kind: Kind, order: str, name: str) -> Place:
        """The BEAM and a second node, of another BEAM and of ours, with names on the same side of its own."""
        if name not in self._ordered:
            assert self._second is not None
            assert self._visible is not None
            away, ours = self._second(on_its_side(name)), self._visible(on_its_side(name))
            self._load(away, kind)
            kind.prepare(ours)
            self._ordered[name] = away, ours
        away, ours = self._ordered[name]
        assert (away.name < self.beam.name) == (ours.name < self.beam.name) == (order == "lesser")
        return Place(f"ours is the {order}", (self.beam.node, away.node), (self.beam.node, A[ours.name]))

    def _met(self) -> None:
        """All nodes of the cluster know each other's names."""
        beams = [self.beam] if self._away is None else [self.beam, self._away]
        names = {A[self._member.name], *(beam.node for beam in beams)}
        for beam in beams:
            others = list(names - {beam.node})
            beam.wait_until("Nodes -- gen_server:call(global_name_server, get_known) =:= []", Nodes=others)
        server = self._member.system.global_names.server
        wait_for(lambda: {A[self._member.name], *server.nodes} >= names and not server.is_locked())

    def away(self, kind: Kind) -> Beam:
        if self._away is None:
            assert self._second is not None
            self._away = self._second(None)
            self.node.connect(self._away.name)
            self.beam.eval("true = net_kernel:connect_node(Node)", Node=self._away.node)
        self._load(self._away, kind)
        return self._away

    def _load(self, beam: Beam, kind: Kind) -> None:
        for name in ("differential", *kind.erlang):
            beam.load(BEAM_SRC / f"{name}.erl")

    def ready(self, kind: Kind) -> None:
        if kind.name not in self._ready:
            self._load(self.beam, kind)
            if not kind.ordered:
                kind.prepare(self.ours(kind))
            self._ready.add(kind.name)

    # --- running -----------------------------------------------------------------------------------
    def differing(self, kind: Kind, place: Place, scripts: Sequence[tuple[Any, Any]]) -> list[Difference]:
        """Those of (id, script) that are seen differently."""
        self.ready(kind)
        by_id = dict(scripts)
        limit = patience(HUNG_S)
        found = []
        for at in range(0, len(scripts), AT_ONCE):
            some = list(scripts[at : at + AT_ONCE])
            texts = [(id, printed(script).encode()) for id, script in some]
            found += self.beam.eval(
                "differential:run(Kind, One, Other, Scripts, Limit)", (len(some) + 1) * 2 * HUNG_S,
                Kind=A[kind.erlang[0]], One=place.otp, Other=place.ours, Scripts=texts, Limit=int(limit * 1000),
            )  # fmt: skip
        return [
            Difference(
                kind.name, place, id, by_id[id], [line.decode() for line in one], [line.decode() for line in other]
            )
            for id, one, other in found
        ]

    def smallest(self, kind: Kind, difference: Difference) -> Difference:
        """The same difference with a smaller script."""

        def fails(scripts: list[Any]) -> list[bool]:
            found = {one.seed for one in self.differing(kind, difference.place, list(enumerate(scripts)))}
            return [number in found for number in range(len(scripts))]

        script = shrunk(difference.script, fails)
        again = self.differing(kind, difference.place, [(difference.seed, script)])
        return again[0] if again else difference


def on_its_side(prefix: str) -> str:
    """A new node name that begins with `prefix`."""
    return f"{prefix}_{uuid.uuid4().hex[:10]}@127.0.0.1"


def named(name: str | None) -> dict[str, str]:
    """The option of a BEAM that has a name of ours."""
    return {} if name is None else {"name": name}


def of_seeds(kind: Kind, seeds: Sequence[int]) -> list[tuple[int, Any]]:
    return [(seed, kind.script(random.Random(f"{kind.name} {seed}"))) for seed in seeds]


@contextmanager
def quiet() -> Iterator[None]:
    """Scripts are about processes that crash; what is logged of it stays with those who look for it."""
    logger = logging.getLogger("pyerlnode")
    logger.propagate = False
    logger.addHandler(silent := logging.NullHandler())
    try:
        yield
    finally:
        logger.removeHandler(silent)
        logger.propagate = True


@contextmanager
def lab(command: str = "auto", *, pair: bool = True) -> Iterator[Lab]:
    """A lab outside of a test: BEAMs as `--beam` names them."""
    from pyerlnode import Node
    from pyerlnode.testing.plugin import python_name
    from pyerlnode.testing.settings import Settings
    from pyerlnode.testing.supply import Supply

    supply = Supply(Settings(beam=command))
    try:
        beam = supply.shared()
        second = (lambda name: supply.fresh(None, cookie=beam.cookie, **named(name))) if pair else None
        with ExitStack() as stack:

            def python(name: str | None, *, hidden: bool) -> Node:
                settings = {"cookie": beam.cookie, "epmd": "external", "epmd_port": beam.epmd_port}
                return stack.enter_context(Node(name or python_name(), hidden=hidden, **settings))

            yield Lab(beam, python(None, hidden=True), second, lambda name: python(name, hidden=False))
    finally:
        supply.stop()
