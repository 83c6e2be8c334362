"""Presences as a tracker lists them, and what has changed from one list to the next.

Reference: `Phoenix.Tracker.list/2` and the ``presence_diff`` of `Phoenix.Presence`. A presence is a key and a map of
metadata, in which the tracker keeps a reference of its own under ``phx_ref``; several processes may share a key. An
update gives a new reference, so it is a leave of the old metadata and a join of the new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyerlnode.bridges.phoenix.pubsub_core import Broadcast
from pyerlnode.etf.common import build_map
from pyerlnode.term import exact
from pyerlnode.term.atom import A
from pyerlnode.term.containers import Struct
from pyerlnode.term.exact import ExactDict, Key

Presences = Mapping[Any, list[Any]]
"""The metadata of each key, as many as processes are tracked under it."""

DIFF: Final = "presence_diff"


def presences_of(listed: Any) -> Presences | None:
    """The answer of ``Phoenix.Tracker.list/2``, ``[{Key, Meta}]``, by key; None when it is none."""
    found: ExactDict[list[Any]] = ExactDict()
    if not isinstance(listed, list):
        return None
    for item in listed:
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[1], Mapping):
            return None
        found.setdefault(item[0], []).append(item[1])
    return _map_of(found)


def difference(before: Presences, now: Presences) -> tuple[Presences, Presences]:
    """(joins, leaves), both by key."""
    old, new = _by_ref(before), _by_ref(now)
    return _without(now, old), _without(before, new)


def _map_of(found: ExactDict[Any]) -> Mapping[Any, Any]:
    """As it would be decoded: a dict where Python tells the keys apart."""
    return build_map(list(found), list(found.values()), 0)


def _by_ref(presences: Presences) -> set[Key]:
    return {_mark(key, meta) for key, metas in presences.items() for meta in metas}


def _mark(key: Any, meta: Any) -> Key:
    """What tells one presence, as it is now, from every other one."""
    return exact.key((key, meta.get(A.phx_ref)))


def _without(presences: Presences, known: set[Key]) -> Presences:
    found: ExactDict[list[Any]] = ExactDict()
    for key, metas in presences.items():
        rest = [meta for meta in metas if _mark(key, meta) not in known]
        if rest:
            found[key] = rest
    return _map_of(found)


def diff_message(topic: bytes, joins: Presences, leaves: Presences) -> Struct:
    """What a process of the BEAM gets that is subscribed to the topic of a Presence."""
    payload = {A.joins: _metas(joins), A.leaves: _metas(leaves)}
    made = Broadcast("", DIFF, payload).as_struct()
    return Struct(made.module, {A.topic: topic, A.event: DIFF.encode(), A.payload: payload})


def _metas(presences: Presences) -> Mapping[Any, Any]:
    return _map_of(ExactDict([(key, {A.metas: metas}) for key, metas in presences.items()]))
