"""What trackers say to each other, as terms: read with care, written exactly.

Reference: phoenix_pubsub 2.0 to 2.2 (`Phoenix.Tracker.Shard`), which are the same on the wire. The messages are
broadcast under the topic ``phx_presence:SHARD`` of the tracker's PubSub:

    {pub, heartbeat, Ref, empty | Delta, Clocks}         from time to time, and when something has changed
    {pub, transfer_req, Unique, Ref, Clocks}             to one node: give me what I do not know
    {pub, transfer_ack, Unique, Ref, Delta | {State, Values}}
    {pub, graceful_permdown, Ref}                        this tracker is no more

``Ref`` is ``{Node, Vsn}``, ``Clocks`` is ``{Ref, #{Ref => Clock}}``, deltas and states are `%Phoenix.Tracker.State{}`.
A shard of the BEAM ends by a message that is anything else, and what comes from one is dropped here when it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pyerlnode.bridges.phoenix.tracker_core import Clouds, Context, Delta, Other, Ref, Tag, Value, Values
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Struct
from pyerlnode.term.pid import Pid

STATE: Final = Atom("Elixir.Phoenix.Tracker.State")
MAP_SET: Final = Atom("Elixir.MapSet")
NORMAL, DELTA, EMPTY, UNSET = A.normal, A.delta, A.empty, A.unset


@dataclass(frozen=True, slots=True)
class Config:
    """How a cluster's trackers of one name are configured; times are in seconds, as in Phoenix unless given."""

    pubsub: Atom
    pool_size: int = 1
    broadcast_period: float = 1.5
    max_silent_periods: int = 10
    down_period: float = 30.0
    permdown_period: float = 1200.0
    clock_sample_periods: int = 2

    def options(self) -> list[tuple[Atom, Any]]:
        """As the trackers of the BEAM are given them."""
        times = {name: round(getattr(self, name) * 1000) for name in _TIMES}
        others = {name: getattr(self, name) for name in _COUNTS}
        return [(A.pubsub_server, self.pubsub), *((Atom(name), value) for name, value in {**others, **times}.items())]


_TIMES: Final = ("broadcast_period", "down_period", "permdown_period")
_COUNTS: Final = ("pool_size", "max_silent_periods", "clock_sample_periods")


def config_of(spec: Any) -> Config | None:
    """The configuration in a supervisor's answer to ``{get_childspec, Shard}``; None when there is none."""
    match spec:
        case (A.ok, Mapping() as found):
            start = found.get(A.start)
        case _:
            return None
    match start:
        case (Atom(), Atom(), [_, _, list() as options]):
            given = {pair[0]: pair[1] for pair in options if type(pair) is tuple and type(pair[0]) is Atom}
            return _config(given)
    return None


def _config(given: Mapping[Atom, Any]) -> Config | None:
    pubsub = given.get(A.pubsub_server)
    if type(pubsub) is not Atom:
        return None
    counts: dict[str, Any] = {name: given[Atom(name)] for name in _COUNTS if _positive(given.get(Atom(name)))}
    times: dict[str, Any] = {name: given[Atom(name)] / 1000 for name in _TIMES if _positive(given.get(Atom(name)))}
    made = Config(pubsub, **counts, **times)
    if "down_period" in times:
        return made
    return replace(made, down_period=made.broadcast_period * made.max_silent_periods * 2)


def _positive(value: Any) -> bool:
    return type(value) is int and value > 0


# --- out -------------------------------------------------------------------------------------------
def heartbeat(ref: Ref, delta: Delta | None, clocks: Context) -> Any:
    return A.pub, A.heartbeat, ref, EMPTY if delta is None else _delta(delta), (ref, clocks)


def transfer_req(unique: Any, ref: Ref, clocks: Context) -> Any:
    return A.pub, A.transfer_req, unique, ref, (ref, clocks)


def transfer_ack(unique: Any, ref: Ref, given: Other) -> Any:
    values: Any = {tag: tuple(value) for tag, value in given.values.items()}
    return A.pub, A.transfer_ack, unique, ref, (state(ref, given), values)


def graceful_permdown(ref: Ref) -> Any:
    return A.pub, A.graceful_permdown, ref


def state(ref: Ref, given: Other) -> Struct:
    """A whole state without its tables."""
    fields = {A.context: given.context, A.clouds: _clouds(given.clouds), A.mode: NORMAL, A.replicas: {ref: A.up}}
    return Struct(STATE, {**_EMPTY, A.replica: ref, **fields})


def _delta(delta: Delta) -> Struct:
    values: Any = {tag: tuple(value) for tag, value in delta.values.items()}
    fields = {A.values: values, A.clouds: _clouds(delta.clouds), A.mode: DELTA, A.range: (delta.start, delta.end)}
    return Struct(STATE, {**_EMPTY, A.replica: delta.replica, **fields})


_EMPTY: Final[dict[Atom, Any]] = {
    A.replica: None, A.context: {}, A.clouds: {}, A.values: None, A.pids: None, A.mode: UNSET, A.delta: UNSET,
    A.replicas: {}, A.range: ({}, {}),
}  # fmt: skip


def _clouds(clouds: Clouds) -> dict[Ref, Struct]:
    return {ref: _map_set(ref, cloud) for ref, cloud in clouds.items()}


def _map_set(ref: Ref, cloud: set[int]) -> Struct:
    """With the ``version`` by which Elixir before 1.15 tells its sets; later ones do not look at it."""
    tags: Any = {(ref, clock): [] for clock in cloud}
    return Struct(MAP_SET, {A.map: tags, A.version: 2})


# --- in --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Heartbeat:
    ref: Ref
    delta: Other | None
    clocks: tuple[Ref, Context]


@dataclass(frozen=True, slots=True)
class Request:
    ref: Ref
    unique: Any
    context: Context


@dataclass(frozen=True, slots=True)
class Answer:
    ref: Ref
    given: Other


@dataclass(frozen=True, slots=True)
class Ended:
    ref: Ref


class _Garbage(Exception):
    """It is none of these."""


def read(message: Any) -> Heartbeat | Request | Answer | Ended | None:
    """A message of another tracker; None for anything else."""
    try:
        return _read(message)
    except _Garbage:
        return None


def state_of(answer: Any) -> tuple[Ref, Context] | None:
    """Which replica a shard is, and what it knows, from its answer to ``{list, Topic}``; None for anything else."""
    try:
        fields = _fields(answer)
        return _ref(fields.get(A.replica)), _context(fields.get(A.context))
    except _Garbage:
        return None


def _read(message: Any) -> Heartbeat | Request | Answer | Ended:
    match message:
        case (A.pub, A.heartbeat, ref, A.empty, clocks):
            return Heartbeat(_ref(ref), None, _clocks(clocks))
        case (A.pub, A.heartbeat, ref, delta, clocks):
            return Heartbeat(_ref(ref), _other(delta), _clocks(clocks))
        case (A.pub, A.transfer_req, unique, ref, clocks):
            return Request(_ref(ref), unique, _clocks(clocks)[1])
        case (A.pub, A.transfer_ack, _, ref, given):
            return Answer(_ref(ref), _other(given))
        case (A.pub, A.graceful_permdown, ref):
            return Ended(_ref(ref))
    raise _Garbage


def _other(term: Any) -> Other:
    match term:
        case (struct, values):
            fields = _fields(struct)
        case struct:
            fields = _fields(struct)
            values = fields.get(A.values)
    return Other(_values(values), _clouds_of(fields.get(A.clouds)), _context(fields.get(A.context)))


def _fields(term: Any) -> Mapping[Any, Any]:
    if type(term) is not Struct or term.module is not STATE:
        raise _Garbage
    return term.fields


def _items(term: Any) -> list[tuple[Any, Any]]:
    if not isinstance(term, Mapping):
        raise _Garbage
    return list(term.items())


def _ref(term: Any) -> Ref:
    match term:
        case (Atom() as name, int() as vsn) if type(vsn) is int:
            return name, vsn
    raise _Garbage


def _clock(term: Any) -> int:
    if type(term) is not int or term < 0:
        raise _Garbage
    return term


def _context(term: Any) -> Context:
    return {_ref(ref): _clock(clock) for ref, clock in _items(term)}


def _clocks(term: Any) -> tuple[Ref, Context]:
    match term:
        case (ref, context):
            return _ref(ref), _context(context)
    raise _Garbage


def _tag(term: Any) -> Tag:
    match term:
        case (ref, clock):
            return _ref(ref), _clock(clock)
    raise _Garbage


def _values(term: Any) -> Values:
    found: Values = {}
    for tag, value in _items(term):
        match value:
            case (Pid() as pid, bytes() as topic, key, meta) if isinstance(meta, Mapping):
                found[_tag(tag)] = Value(pid, topic, key, meta)
            case _:
                raise _Garbage
    return found


def _clouds_of(term: Any) -> Clouds:
    found: Clouds = {}
    for name, cloud in _items(term):
        ref = _ref(name)
        tags = [_tag(tag) for tag in _elements(cloud)]
        if any(tag[0] != ref for tag in tags):
            raise _Garbage
        found[ref] = {clock for _, clock in tags}
    return found


def _elements(term: Any) -> list[Any]:
    if isinstance(term, frozenset):
        return list(term)
    if type(term) is Struct and term.module is MAP_SET:
        return [element for element, _ in _items(term.fields.get(A.map))]
    raise _Garbage
