"""A node in figures, and the cluster as a node sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyerlnode.inspect import text_core as text
from pyerlnode.term.atom import A

NEAR = 0.85
"""The part of a limit from which on it is near."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of what the node can have it has; `most` is None where there is no limit."""

    used: int
    most: int | None

    @property
    def near(self) -> bool:
        return self.most is not None and self.used > NEAR * self.most


@dataclass(frozen=True, slots=True)
class NodeInfo:
    node: str
    otp: str
    erts: str
    elixir: str | None
    system: str
    uptime: float
    schedulers: tuple[int, int]
    run_queue: int
    reductions: int
    io: tuple[int, int]
    memory: dict[str, int]
    limits: dict[str, Limit]
    connected: int
    applications: int
    ticktime: int | None


def node_info(answer: dict[Any, Any]) -> NodeInfo:
    told = text.fields(answer)
    ticktime = told["ticktime"]
    return NodeInfo(
        node=told["node"].name,
        otp=told["otp"].decode(),
        erts=told["erts"].decode(),
        elixir=text.text(told["elixir"]),
        system=told["system"].decode(),
        uptime=told["uptime_ms"] / 1000,
        schedulers=told["schedulers"],
        run_queue=told["run_queue"],
        reductions=told["reductions"],
        io=told["io"],
        memory=text.fields(told["memory"]),
        limits={name: _limit(*pair) for name, pair in text.fields(told["limits"]).items() if isinstance(pair[0], int)},
        connected=told["connected"],
        applications=told["applications"],
        ticktime=ticktime if isinstance(ticktime, int) else None,
    )


def _limit(used: int, most: Any) -> Limit:
    return Limit(used, most if isinstance(most, int) else None)


@dataclass(frozen=True, slots=True)
class Seen:
    """A node that another sees: `sees` is None when it was not asked or gave no answer in time.

    `traffic` is bytes in, bytes out, bytes that wait; None over TLS and of the node that was asked itself.
    """

    node: str
    kind: str
    asked: bool
    sees: tuple[str, ...] | None
    traffic: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """The nodes as `node` sees them. `splits` are pairs of visible nodes that do not see each other."""

    node: str
    nodes: tuple[Seen, ...]
    visible: int
    hidden: int
    splits: tuple[tuple[str, str], ...]

    @property
    def cut(self) -> int:
        return self.visible + self.hidden + 1 - len(self.nodes)


def cluster(answer: dict[Any, Any]) -> ClusterMap:
    told = text.fields(answer)
    nodes = tuple(_seen(*row) for row in told["nodes"])
    return ClusterMap(told["node"].name, nodes, told["visible"], told["hidden"], splits(nodes))


def _seen(node: Any, kind: Any, sees: Any, traffic: Any) -> Seen:
    names = tuple(n.name for n in sees[1]) if isinstance(sees, tuple) else None
    return Seen(node.name, kind.name, sees is not A.unasked, names, traffic if isinstance(traffic, tuple) else None)


def splits(nodes: tuple[Seen, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of visible nodes of which one at least does not see the other, though both answered."""
    sees = {seen.node: {*seen.sees} for seen in nodes if seen.sees is not None}
    names = sorted(sees)
    return tuple((a, b) for i, a in enumerate(names) for b in names[i + 1 :] if b not in sees[a] or a not in sees[b])
