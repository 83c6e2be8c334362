"""The two halves of a GenStage stage as machines: what comes in gives effects, carried out in their order.

Reference: the messages of Elixir's `gen_stage` 1.x. `Tag` names a subscription: any term, made by the consumer.

    consumer to producer     {'$gen_producer', {ConsumerPid, Tag}, {subscribe, nil | {OldTag, Reason}, Options}}
                             {'$gen_producer', {ConsumerPid, Tag}, {ask, N}}
                             {'$gen_producer', {ConsumerPid, Tag}, {cancel, Reason}}
    producer to consumer     {'$gen_consumer', {ProducerPid, Tag}, [Event, ...]}
                             {'$gen_consumer', {ProducerPid, Tag}, {cancel, Reason}}

`Emitter` is the half of a producer, `Receiver` that of a consumer; a producer-consumer has both, with `Relay` between
them. The laws, each for one subscription, whatever the callbacks do:

- Never more events are sent than were asked for; what is beyond is buffered, the buffer is bounded, and what it drops
  is counted.
- Demand is passed on once: `Emitter.asked` is what the producer was asked for and has not given. It is asked for more
  exactly when the dispatcher could take more than that.
- Events arrive in the order in which they were emitted.
- Every subscription ends once, by a cancellation or by a DOWN, and whoever was subscribed is told.

Where GenStage would crash a stage for what a peer sends (a partition that is taken, a tag or count of a wrong type),
this refuses the one subscription; where GenStage forgets demand (events that a dispatcher drops), this asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.bridges.gen_stage.dispatchers_core import Deliveries, Demand, Dispatcher, Downstream, Refused
from pyerlnode.brief import short
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict, Key
from pyerlnode.term.pid import Pid

GEN_PRODUCER: Final = A["$gen_producer"]
GEN_CONSUMER: Final = A["$gen_consumer"]
MAX_DEMAND: Final = 1_000_000_000
"""Events that one consumer may have asked for and not received; one that asks for more is cancelled."""
DEFAULT_DEMAND: Final = 1000
BUFFER_SIZE: Final = 10_000
MODES: Final = (A.permanent, A.transient, A.temporary)


# --- effects -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Send:
    """Send ``{Label, {self(), Tag}, Body}``, over connections that stand; to a process that is gone it is dropped."""

    to: Any
    label: Atom
    tag: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Watch:
    """Monitor `pid`; its DOWN is that of `tag`."""

    pid: Pid
    tag: Any


@dataclass(frozen=True, slots=True)
class Unwatch:
    """The consumer's subscription `tag` is over: drop its monitor, and a DOWN that is under way."""

    tag: Any


@dataclass(frozen=True, slots=True)
class Demonitor:
    """The subscription to a producer is over: drop its monitor `ref`, and a DOWN that is under way."""

    ref: Any


@dataclass(frozen=True, slots=True)
class HandleDemand:
    """Call ``handle_demand(count)``."""

    count: int


@dataclass(frozen=True, slots=True)
class HandleEvents:
    """Call ``handle_events(events, from_)``, then ask for `ask` more if `tag` is still subscribed."""

    events: list[Any]
    producer: Any
    tag: Any
    ask: int


@dataclass(frozen=True, slots=True)
class HandleCancel:
    """Call ``handle_cancel(reason, from_)``; then end with `stop` unless that is None."""

    reason: tuple[Atom, Any]
    peer: Any
    tag: Any
    stop: tuple[Any] | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """Have ``handle_info(message)`` called, after what is in the mailbox."""

    message: Any


@dataclass(frozen=True, slots=True)
class Settle:
    """Call `settle` again, after what is in the mailbox: there is demand that dropped events have left behind."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """`count` events were dropped from the buffer."""

    count: int


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell the log."""

    text: str


Effect = (
    Send | Watch | Unwatch | Demonitor | HandleDemand | HandleEvents | HandleCancel | Info | Settle | Discarded | Warn
)


# --- options -----------------------------------------------------------------------------------
class BadOptions(Exception):
    """Options of a subscription or a stage that GenStage would not take either; says why."""


def option(options: list[Any], name: str, default: Any) -> Any:
    for entry in options:
        if type(entry) is tuple and len(entry) == 2 and entry[0] is A[name]:
            return entry[1]
    return default


def demands_of(options: Any) -> tuple[int, int, Atom]:
    """(max_demand, min_demand, cancel) of a subscription's keyword list. Raises `BadOptions`."""
    if type(options) is not list:
        raise BadOptions("the options of a subscription are a keyword list")
    most = _integer(options, "max_demand", DEFAULT_DEMAND, 1, MAX_DEMAND)
    least = _integer(options, "min_demand", most // 2, 0, most - 1)
    mode = option(options, "cancel", A.permanent)
    if not isinstance(mode, Atom) or mode not in MODES:
        raise BadOptions("expected cancel to be one of permanent, transient, temporary")
    return most, least, mode


def _integer(options: list[Any], name: str, default: int, least: int, most: int) -> int:
    value = option(options, name, default)
    if type(value) is not int:
        raise BadOptions(f"expected {name} to be an integer, got: {type(value).__name__}")
    if not least <= value <= most:
        raise BadOptions(f"expected {name} to be from {least} to {most}, got: {value}")
    return value


def is_transient_shutdown(reason: Any) -> bool:
    """Reasons that do not end a transient consumer."""
    return reason in (A.normal, A.shutdown) or (type(reason) is tuple and len(reason) == 2 and reason[0] is A.shutdown)


# --- the buffer --------------------------------------------------------------------------------
class Buffer:
    """Events that nobody has asked for yet, and info messages that come behind them.

    Positions count the events that were ever stored: an info message is due when all events before it have left.
    """

    __slots__ = ("_events", "_head", "_infos", "keep_last", "size")

    def __init__(self, size: int | None = BUFFER_SIZE, *, keep_last: bool = True) -> None:
        self._events: deque[Any] = deque()
        self._head = 0
        self._infos: deque[tuple[int, Any]] = deque()
        self.size = size
        self.keep_last = keep_last

    def __len__(self) -> int:
        return len(self._events)

    def store(self, events: list[Any]) -> int:
        """Store events; gives how many were dropped for it: the oldest, or with `keep_last` false the newest."""
        excess = 0 if self.size is None else max(0, len(self._events) + len(events) - self.size)
        if not excess:
            self._events.extend(events)
        elif self.keep_last:
            self._events.extend(events)
            for _ in range(excess):
                self._events.popleft()
            self._head += excess
        else:
            self._events.extend(events[: len(events) - excess])
        return excess

    def store_info(self, message: Any) -> bool:
        """Put `message` behind the events; False when there are none, so that it is due at once."""
        if not self._events:
            return False
        self._infos.append((self._head + len(self._events), message))
        return True

    def take(self, count: int) -> list[Any]:
        """At most `count` events, and not beyond the next info message."""
        if self._infos:
            count = min(count, self._infos[0][0] - self._head)
        events = self._events
        taken = [events.popleft() for _ in range(min(count, len(events)))]
        self._head += len(taken)
        return taken

    def due(self) -> list[Any]:
        """The info messages whose events have left."""
        found = []
        while self._infos and self._infos[0][0] <= self._head:
            found.append(self._infos.popleft()[1])
        return found


# --- a producer's half -------------------------------------------------------------------------
class Emitter:
    """The half that has consumers.

    `asked` is also what a producer-consumer goes by: while it is above zero it handles the events that wait in it.

    Args:
        dispatcher: the policy; an object of its own.
        buffer: where events beyond the demand wait.
        accumulate: keep demand and events back until `forward`.
    """

    __slots__ = ("_infos", "accumulate", "asked", "buffer", "consumers", "dispatcher")

    def __init__(
        self, dispatcher: Dispatcher | None = None, buffer: Buffer | None = None, *, accumulate: bool = False
    ) -> None:
        self.dispatcher = Demand() if dispatcher is None else dispatcher
        self.buffer = Buffer() if buffer is None else buffer
        self.accumulate = accumulate
        self.asked = 0
        self.consumers: ExactDict[Downstream] = ExactDict()
        self._infos: list[tuple[dict[Key, int], Any]] = []  # of a dispatcher that keeps events for single consumers

    # --- from consumers
    def subscribe(self, pid: Pid, tag: Any, current: Any) -> tuple[bool, list[Effect]]:
        """A consumer wants to subscribe; when True comes back, ask the program, then `subscribed` or `cancel`.

        `current` is nil, or the tag and the reason of a subscription that this one replaces.
        """
        if tag in self.consumers:
            refusal: Effect = Send(pid, GEN_CONSUMER, tag, (A.cancel, A.duplicated_subscription))
            return False, [Warn(f"got a duplicated subscription from {pid}"), refusal]
        effects: list[Effect] = []
        if type(current) is tuple and len(current) == 2:
            effects = self.cancel(current[0], A.cancel, current[1])
        self.consumers[tag] = Downstream(pid, tag)
        return True, [*effects, Watch(pid, tag)]

    def subscribed(self, tag: Any, options: Any) -> list[Effect]:
        """The program takes the consumer; the dispatcher may still refuse it."""
        consumer = self.consumers.get(tag)
        if consumer is None:
            return []
        try:
            self.dispatcher.subscribe(consumer, options if type(options) is list else [])
        except Refused as refused:
            text = f"refused the subscription of {consumer.pid}: its dispatcher does not take it"
            return [Warn(text), *self._end(consumer, A.cancel, refused.reason)]
        return self.settle()

    def ask(self, pid: Pid, tag: Any, count: Any) -> list[Effect]:
        """A consumer asks for `count` events more."""
        consumer = self.consumers.get(tag)
        if consumer is None:
            return [Send(pid, GEN_CONSUMER, tag, (A.cancel, A.unknown_subscription))]
        if type(count) is not int or count < 0 or consumer.demand + count > MAX_DEMAND:
            reason = (A.bad_demand, count if type(count) is int else A.not_an_integer)
            text = f"cancels {consumer.pid}, which asked for what is no number of events from 0 to {MAX_DEMAND}"
            return [Warn(text), *self.cancel(tag, A.cancel, reason)]
        warning = self.dispatcher.warning(consumer, count)
        effects: list[Effect] = [] if warning is None else [Warn(warning)]
        self._deliver(self.dispatcher.ask(consumer, count), effects)
        effects.extend(self.settle())
        return effects

    def cancel(self, tag: Any, kind: Atom, reason: Any) -> list[Effect]:
        """A subscription ends: by a message (``cancel``) or because the consumer is gone (``down``)."""
        consumer = self.consumers.get(tag)
        if consumer is None:
            return []
        effects: list[Effect] = []
        if consumer in self.dispatcher.consumers:
            lost = self.dispatcher.cancel(consumer)
            if lost:
                effects.append(Discarded(lost))
            self._pass_infos(effects)
        return [*effects, *self._end(consumer, kind, reason), *self.settle()]

    def _end(self, consumer: Downstream, kind: Atom, reason: Any) -> list[Effect]:
        del self.consumers[consumer.tag]
        tell = Send(consumer.pid, GEN_CONSUMER, consumer.tag, (A.cancel, reason))
        return [Unwatch(consumer.tag), tell, HandleCancel((kind, reason), consumer.pid, consumer.tag)]

    # --- from the program
    def emit(self, events: list[Any]) -> list[Effect]:
        """The program has events."""
        if not events:
            return []
        effects: list[Effect] = []
        self.asked = max(0, self.asked - len(events))
        rest = events
        if not self.buffer and not self.accumulate:
            rest = self._dispatch(events, effects)
        if rest:
            dropped = self.buffer.store(rest)
            if dropped:
                effects.append(Discarded(dropped))
                self._release(effects)
        if not self.accumulate and not self.buffer and self.dispatcher.capacity > self.asked:
            effects.append(Settle())  # some were wanted by nobody
        return effects

    def info(self, message: Any) -> list[Effect]:
        """An info message that comes behind the events that are buffered now."""
        effects: list[Effect] = []
        if not self.buffer.store_info(message):
            self._dispatch_info(message, effects)
        return effects

    def forward(self) -> list[Effect]:
        """Demand mode ``forward``: what was kept back goes."""
        self.accumulate = False
        return self.settle()

    def settle(self) -> list[Effect]:
        """Send from the buffer what can be sent, and ask the program for what else is wanted."""
        if self.accumulate:
            return []
        effects: list[Effect] = []
        buffer, dispatcher = self.buffer, self.dispatcher
        while buffer and (capacity := dispatcher.capacity):
            self._dispatch(buffer.take(capacity), effects)
            self._release(effects)
        wanted = 0 if buffer else dispatcher.capacity - self.asked
        if wanted > 0:
            self.asked += wanted
            effects.append(HandleDemand(wanted))
        return effects

    def _dispatch(self, events: list[Any], effects: list[Effect]) -> list[Any]:
        """Send what can be sent; gives the rest."""
        while events and (capacity := self.dispatcher.capacity):
            now, events = (events, []) if len(events) <= capacity else (events[:capacity], events[capacity:])
            self._deliver(self.dispatcher.dispatch(now), effects)
        return events

    def _deliver(self, deliveries: Deliveries, effects: list[Effect]) -> None:
        for consumer, events in deliveries:
            effects.append(Send(consumer.pid, GEN_CONSUMER, consumer.tag, events))
        if self._infos:
            self._pass_infos(effects)

    def _pass_infos(self, effects: list[Effect]) -> None:
        """Info messages that waited for events of single consumers."""
        passed = self.dispatcher.passed
        effects.extend(Info(message) for mark, message in self._infos if passed(mark))
        self._infos = [entry for entry in self._infos if not passed(entry[0])]

    def _release(self, effects: list[Effect]) -> None:
        """Info messages whose events have left the buffer."""
        for message in self.buffer.due():
            self._dispatch_info(message, effects)

    def _dispatch_info(self, message: Any, effects: list[Effect]) -> None:
        mark = self.dispatcher.mark()
        if mark:
            self._infos.append((mark, message))
        else:
            effects.append(Info(message))


# --- a consumer's half -------------------------------------------------------------------------
class Upstream:
    """A producer, as its consumer sees it. `demand`: what was asked for and has not come; None if asked by hand."""

    __slots__ = ("demand", "least", "mode", "most", "tag", "to")

    def __init__(self, to: Any, tag: Any, most: int, least: int, mode: Atom) -> None:
        self.to = to
        self.tag = tag
        self.most = most
        self.least = least
        self.mode = mode
        self.demand: int | None = None

    def batches(self, events: list[Any]) -> Iterator[tuple[list[Any], int]]:
        """The events in chunks of ``max - min``, each with what is to be asked for behind it."""
        if self.demand is None:
            yield events, 0
            return
        step, expected = self.most - self.least, self.demand
        for begin in range(0, len(events), step):
            batch = events if len(events) <= step else events[begin : begin + step]
            counted = min(len(batch), expected)
            expected -= counted
            left = self.demand - counted
            ask = self.most - left if left <= self.least else 0
            self.demand = left + ask
            yield batch, ask


class Receiver:
    """The half that is subscribed to producers."""

    __slots__ = ("producers",)

    def __init__(self) -> None:
        self.producers: ExactDict[Upstream] = ExactDict()

    @staticmethod
    def check(options: Any) -> Atom:
        """The mode of a subscription with these options. Raises `BadOptions`."""
        return demands_of(options)[2]

    def subscribe(self, to: Any, tag: Any, current: Any, options: list[Any]) -> list[Effect]:
        """Subscribe; the monitor stands already. Then ask the program, and `subscribed`. Raises `BadOptions`."""
        self.producers[tag] = Upstream(to, tag, *demands_of(options))
        return [Send(to, GEN_PRODUCER, tag, (A.subscribe, current, options))]

    def subscribed(self, tag: Any, *, manual: bool) -> list[Effect]:
        """The program knows of it: ask for the first events, unless it does so by hand."""
        producer = self.producers.get(tag)
        if producer is None or manual:
            return []
        producer.demand = producer.most
        return [Send(producer.to, GEN_PRODUCER, tag, (A.ask, producer.most))]

    def receive(self, pid: Any, tag: Any, events: list[Any]) -> list[Effect]:
        """Events of a producer."""
        producer = self.producers.get(tag)
        if producer is None:
            return [Send(pid, GEN_PRODUCER, tag, (A.cancel, A.unknown_subscription))]
        effects: list[Effect] = []
        if producer.demand is not None and len(events) > producer.demand:
            excess = len(events) - producer.demand
            effects.append(Warn(f"has received {excess} events in excess from {short(pid)}"))
        effects.extend(HandleEvents(batch, pid, tag, ask) for batch, ask in producer.batches(events))
        return effects

    def cancel(self, tag: Any, kind: Atom, reason: Any) -> list[Effect]:
        """A subscription ended: the producer cancelled it (``cancel``) or is gone (``down``)."""
        producer = self.producers.pop(tag, None)
        if producer is None:
            return []
        stops = producer.mode is A.permanent or (producer.mode is A.transient and not is_transient_shutdown(reason))
        stop = (reason,) if stops and reason is not A.already_subscribed else None
        return [Demonitor(tag), HandleCancel((kind, reason), producer.to, tag, stop)]


class Relay(Receiver):
    """The receiving half of a producer-consumer: events wait until its own consumers want some.

    What waits is handled in the order of arrival: events, info messages and the ends of subscriptions, of which each
    comes behind the events before it.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[Atom, Any, Any, Any]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def receive(self, pid: Any, tag: Any, events: list[Any]) -> list[Effect]:
        if tag not in self.producers:
            return super().receive(pid, tag, events)
        self._waiting.append((A.events, pid, tag, events))
        return []

    def cancel(self, tag: Any, kind: Atom, reason: Any) -> list[Effect]:
        effects = super().cancel(tag, kind, reason)
        if not effects or not self._waiting:
            return effects
        self._waiting.append((A.cancel, None, tag, effects[1]))
        return effects[:1]

    def info(self, message: Any) -> bool:
        """Put `message` behind the events that wait; False when there are none."""
        if self._waiting:
            self._waiting.append((A.info, None, None, message))
        return bool(self._waiting)

    def next(self, demand: int) -> tuple[list[Effect], Any]:
        """What is to be done next while the consumers want `demand` events: (effects, (info,) or None)."""
        if demand <= 0 or not self._waiting:
            return [], None
        kind, pid, tag, what = self._waiting.popleft()
        if kind is A.cancel:
            return [what], None
        if kind is A.info:
            return [], (what,)
        if tag in self.producers:
            return super().receive(pid, tag, what), None
        return [HandleEvents(what, pid, tag, 0)], None  # its subscription has ended meanwhile: nothing more is asked
