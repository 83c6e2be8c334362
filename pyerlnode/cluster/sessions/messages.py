"""What routers of sessions say to each other: plain messages, read with every field checked.

{session_claim, Pid, Partitions, Number, [P]}        give me these; of a ring of Partitions
{session_offer, Pid, Partitions, [P]}                I have sessions of these, and they are yours
{session_states, Pid, [{Key, State, [{Pid, Number}]}]}   sessions handed over; whose requests may be unanswered
{session_done, Pid, Number, [P]}                     the answer to a claim, behind the states
{session_forward, Pid, Number, Hops, Kind, From, Key, Request}   a request that the router Pid has taken
{session_moved, Key, Number, Pid}                    your requests for Key up to Number are with Pid now
{session_failed, Key, First, Last, Reason}           they will not be answered
{session_refused, Pid, Partitions}                   your ring has another size: you can not take part
"""

from __future__ import annotations

from typing import Any, Final

from pyerlnode.cluster.sessions.callers import is_caller
from pyerlnode.etf import decode, encode
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid

CALL: Final = A.call
CAST: Final = A.cast
WHEREIS: Final = A.whereis
KINDS: Final = (CALL, CAST, WHEREIS)


class Req:
    """One request for a session; `origin` is the router that took it, None here, and `number` what it calls it."""

    __slots__ = ("from_", "hops", "key", "kind", "known", "number", "origin", "request")

    def __init__(
        self,
        kind: Atom,
        key: Any,
        request: Any,
        from_: Any = None,
        origin: Pid | None = None,
        number: int = 0,
        hops: int = 0,
    ) -> None:
        self.kind = kind
        self.key = as_seen(key)
        self.known = known_as(self.key)
        self.request = request
        self.from_ = from_
        self.origin = origin
        self.number = number
        self.hops = hops


def as_seen(key: Any) -> Any:
    """The key as every node sees it: text is a binary. Raises `EncodeError` for what is no term, or has no hash."""
    kind = type(key)
    if kind is str:
        return key.encode()
    if kind in (bytes, Atom, int):
        return key
    seen = decode(encode(key))
    phash2(seen)  # of a native record there is none, and its place on the ring would be asked for later
    return seen


def known_as(key: Any) -> Key:
    """What stands for a key in a table: 1 is not 1.0."""
    return exact.key(as_seen(key))


def read_forward(message: tuple[Any, ...]) -> Req | None:
    match message:
        case (_, Pid() as origin, int(number), int(hops), Atom() as kind, from_, key, request) if hops >= 0:
            if kind in KINDS and (kind is CAST or is_caller(from_)):
                return Req(kind, key, request, from_, origin, number, hops)
    return None


def numbers(items: Any) -> list[int] | None:
    """A list of partitions."""
    if isinstance(items, list) and all(type(item) is int for item in items):
        return items
    return None


def read_states(items: Any) -> list[tuple[Any, Any, dict[Pid, int]]] | None:
    """(key, state, last request of each router) of each session."""
    made = []
    for item in items if isinstance(items, list) else [None]:
        match item:
            case (key, state, list() as origins):
                if not all(
                    type(o) is tuple and len(o) == 2 and type(o[0]) is Pid and type(o[1]) is int for o in origins
                ):
                    return None
                made.append((key, state, dict(origins)))
            case _:
                return None
    return made
