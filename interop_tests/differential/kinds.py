"""What a kind of script is, and all kinds by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One vocabulary of scripts.

    Attributes:
        name: how it is called.
        erlang: modules of `beam_src`; the first one's `trace/2` carries out a script.
        script: the script of a seed.
        prepare: exports from a node what the Erlang side starts there.
        pair: whether a script runs on two nodes, so that one of them may be a BEAM and the other ours.
        few: how many seeds the suite takes.
        visible: whether ours is a node that takes part in the cluster.
        ordered: whether a script meets a second node with the first, BEAM or ours, of a lesser name and of a greater.
    """

    name: str
    erlang: tuple[str, ...]
    script: Callable[[Random], Any]
    prepare: Callable[[Any], None]
    pair: bool = False
    few: int = 60
    visible: bool = False
    ordered: bool = False


def kinds() -> dict[str, Kind]:
    from interop_tests.differential import actors, events, groups, machines, meetings, names, servers, trees

    found = (actors.KIND, servers.KIND, machines.KIND, events.KIND, trees.KIND, groups.KIND, names.KIND, meetings.KIND)
    return {kind.name: kind for kind in found}
