"""Requests that survive crashes, the requester's half as values: what an outbox keeps, sends and forgets.

The laws of both halves; `inbox_core` is the other one, `docs/durable-requests.md` tells it to users.

1. What `submit` has answered is in the journal. It ends in exactly one outcome, which is in the journal before anybody
   is told of it: the receiver's ``{ok, Value}`` or ``{error, Reason}``, or our own ``{error, deadline}``, ``{error,
   cancelled}``.
2. A request is sent until its outcome is there: again after a back-off, again when its node comes up. The receiver
   tells repetitions by their number and runs none of them twice, so what happens at least once has its effect once.
3. Requests go from one outbox to one inbox in a *stream*, named by 16 random bytes and numbered from 0. Each message
   of a stream carries `low`: everything below has its outcome in our journal. The receiver forgets what is below, and
   drops a request below however late it comes: so both forget, and nothing is done again by a message that was slow.
4. Of the requests with one key one is on its way at a time, in the order of submission; others overtake each other.
5. Nothing leaves before the writes that it speaks of are on the disk: `drain` gives the writes, and the actions for
   behind their commit. A crash loses both or the actions alone, and each action is repeated until it is answered.
6. Everything is bounded: requests and bytes kept, requests of a stream on their way and between its lowest and its
   newest. A submission beyond that is refused with `Full`; nothing that was accepted is dropped.

The messages, between registered processes. `Request` and `Outcome` are terms in the external format, binaries, so that
both sides keep them as they came; `Key` is an empty binary where there is none.

    outbox → inbox   {pyerlnode_request, {Name, Node}, Stream, Number, Low, Key, Request}
    inbox → outbox   {pyerlnode_done, Stream, Number, Outcome}                    repeated until it is confirmed
    outbox → inbox   {pyerlnode_confirm, {Name, Node}, Stream, [Number], Low}     kept, or wanted no longer
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any, Final, Generic, TypeVar

from pyerlnode.errors import UsageError
from pyerlnode.etf import encode
from pyerlnode.term.atom import A, Atom

REQUEST: Final = A.pyerlnode_request
DONE: Final = A.pyerlnode_done
CONFIRM: Final = A.pyerlnode_confirm
DAY: Final = 86_400.0
BIGGEST: Final = 1 << 62
"""Numbers stay below: what a journal can hold."""
KEPT_STREAMS: Final = 30 * DAY
"""A stream without a request for so long is forgotten by both sides; the next request begins a new one."""

Key = TypeVar("Key")
Write = tuple[Any, ...]
"""The name of a statement of `journal`, and its parameters."""


class Full(UsageError):
    """The outbox holds as much as it may: take results, wait for outcomes, or give it larger limits."""


# --- what is to be done behind the commit ----------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Send:
    """A message to a registered process; it may be lost."""

    name: Atom
    node: Atom
    message: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """The request has its outcome: answer those who wait for it."""

    id: bytes
    outcome: bytes


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """How much an outbox holds, and how it repeats. Times in seconds.

    Attributes:
        requests: requests in it, those with a result that was not taken among them.
        bytes: of their requests and results.
        in_flight: requests of one stream on their way.
        span: numbers between the lowest of a stream without an outcome and the newest.
        first_retry, last_retry: the back-off doubles from the one to the other, each time with 50 % jitter.
        keep_results: how long a result that nobody takes is kept.
    """

    requests: int = 100_000
    bytes: int = 1 << 30
    in_flight: int = 256
    span: int = 50_000
    first_retry: float = 1.0
    last_retry: float = 10.0
    keep_results: float = 7 * DAY


class Alarms(Generic[Key]):
    """At most one time per key; a heap that is swept when half of it is out of date."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []

    def set(self, key: Key, when: float) -> None:
        self._times[key] = when
        heappush(self._heap, (when, key))
        if len(self._heap) > 2 * len(self._times) + 64:
            self._heap = [(when, key) for key, when in self._times.items()]
            heapify(self._heap)

    def clear(self, key: Key) -> None:
        self._times.pop(key, None)

    def next(self) -> float | None:
        while self._heap:
            when, key = self._heap[0]
            if self._times.get(key) == when:
                return when
            heappop(self._heap)
        return None

    def due(self, now: float) -> list[Key]:
        """The keys whose time has come, in its order; they have none any more."""
        found = []
        while (when := self.next()) is not None and when <= now:
            key = heappop(self._heap)[1]
            del self._times[key]
            found.append(key)
        return found


@dataclass(slots=True)
class Entry:
    """A request in an outbox. `outcome` is None until it has one; then `request` is empty."""

    id: bytes
    stream: bytes
    number: int
    key: bytes
    request: bytes
    deadline: float | None
    outcome: bytes | None = None
    finished: float = 0.0
    attempts: int = 0


@dataclass(slots=True)
class Stream:
    """What one outbox has sent to one inbox. `open`: without an outcome, by number; `flight`: of those, sent."""

    uid: bytes
    name: Atom
    node: Atom
    next: int = 0
    used: float = 0.0
    low: int = 0
    open: dict[int, Entry] = field(default_factory=dict)
    lanes: dict[bytes, deque[int]] = field(default_factory=dict)
    ready: deque[int] = field(default_factory=deque)
    flight: set[int] = field(default_factory=set)
    finished: list[int] = field(default_factory=list)


def error_outcome(reason: Any) -> bytes:
    return encode((A.error, reason))


class OutboxCore:
    """The state of an outbox. Methods change it; `drain` gives what is to be written, and done behind that.

    Args:
        reply_to: name and node of the outbox's process.
        entropy: gives numbers from 0 to 1, for the jitter.
    """

    def __init__(self, reply_to: tuple[Atom, Atom], limits: OutboxLimits, entropy: Callable[[], float]) -> None:
        self.reply_to = reply_to
        self.limits = limits
        self.entropy = entropy
        self.entries: dict[bytes, Entry] = {}
        self.streams: dict[bytes, Stream] = {}
        self.bytes = 0
        self._to: dict[tuple[Atom, Atom], Stream] = {}
        self._alarms: Alarms[bytes] = Alarms()
        self._writes: list[Write] = []
        self._actions: list[Send | Tell] = []
        self._used: dict[bytes, Stream] = {}
        self._confirming: dict[bytes, Stream] = {}

    def load(self, streams: Iterable[Stream], entries: Iterable[Entry], now: float) -> None:
        """What the journal had, entries by their numbers; everything without an outcome is on its way again."""
        for stream in streams:
            stream.low = stream.next
            self.streams[stream.uid] = self._to[stream.name, stream.node] = stream
        for entry in entries:
            stream = self.streams[entry.stream]
            self.entries[entry.id] = entry
            self.bytes += len(entry.request) + len(entry.outcome or b"")
            if entry.outcome is None:
                stream.low = min(stream.low, entry.number)
                self._open(stream, entry)
            else:
                self._alarms.set(entry.id, entry.finished + self.limits.keep_results)
        for stream in list(self.streams.values()):
            if not stream.open and stream.used + KEPT_STREAMS < now and not self._has_results(stream):
                del self.streams[stream.uid], self._to[stream.name, stream.node]
                self._writes.append(("out_drop_stream", stream.uid))
            else:
                self._confirming[stream.uid] = stream
                self._pump(stream, now)

    def _has_results(self, stream: Stream) -> bool:
        return any(entry.stream == stream.uid for entry in self.entries.values())

    # --- the requester -------------------------------------------------------------------------
    def submit(
        self,
        id: bytes,
        dest: tuple[Atom, Atom],
        request: bytes,
        now: float,
        uid: bytes,
        key: bytes = b"",
        deadline: float | None = None,
    ) -> Entry:
        """Accept a request, or find the one that has this id. `uid` names the stream if it is a new one.

        Raises:
            Full: a limit is reached.
        """
        known = self.entries.get(id)
        if known is not None:
            return known
        stream = self._to.get(dest)
        self._check_room(stream, len(request))
        if stream is None:
            stream = self.streams[uid] = self._to[dest] = Stream(uid, *dest)
        entry = self.entries[id] = Entry(id, stream.uid, stream.next, key, request, deadline)
        stream.next += 1
        stream.used = now
        self.bytes += len(request)
        self._used[stream.uid] = stream
        self._writes.append(("out_put", id, stream.uid, entry.number, key, request, deadline))
        self._open(stream, entry)
        self._pump(stream, now)
        return entry

    def _check_room(self, stream: Stream | None, size: int) -> None:
        limits = self.limits
        if len(self.entries) >= limits.requests:
            raise Full(f"the outbox holds {limits.requests} requests: take results, or raise its limit `requests`")
        if self.bytes + size > limits.bytes:
            raise Full(f"the outbox holds {self.bytes} bytes: take results, or raise its limit `bytes`")
        if stream is not None and stream.next - stream.low >= limits.span:
            raise Full(
                f"{stream.name}@{stream.node} has not answered request {stream.low} of this outbox, and {limits.span} "
                "came behind it: cancel that one, give requests a deadline, or raise the limit `span`"
            )

    def _open(self, stream: Stream, entry: Entry) -> None:
        stream.open[entry.number] = entry
        if entry.deadline is not None:
            self._alarms.set(entry.id, entry.deadline)
        if entry.key:
            lane = stream.lanes.setdefault(entry.key, deque())
            lane.append(entry.number)
            if len(lane) > 1:
                return
        stream.ready.append(entry.number)

    def cancel(self, id: bytes, now: float) -> bool:
        """Give a request the outcome ``{error, cancelled}``; False when it had one. Raises `KeyError`."""
        entry = self.entries[id]
        if entry.outcome is not None:
            return False
        self._finish(entry, error_outcome(A.cancelled), now)
        return True

    def take(self, id: bytes) -> bytes | None:
        """The outcome, which is forgotten with its request; None when there is none yet. Raises `KeyError`."""
        outcome = self.entries[id].outcome
        if outcome is not None:
            self._drop(id)
        return outcome

    def pending(self) -> list[bytes]:
        return [id for id, entry in self.entries.items() if entry.outcome is None]

    # --- the receiver --------------------------------------------------------------------------
    def heard(self, message: tuple[Any, ...], now: float) -> bool:
        """A message from an inbox; False when it is none that we understand."""
        match message:
            case (tag, bytes(uid), int(number), bytes(outcome)) if tag is DONE:
                stream = self.streams.get(uid)
                if stream is None:
                    return True  # of a journal that is no more; the receiver gives it up in time
                entry = stream.open.get(number)
                if entry is not None:
                    self._finish(entry, outcome, now)
                else:
                    stream.finished.append(number)
                    self._confirming[uid] = stream
                return True
        return False

    def node_up(self, node: Atom, now: float) -> None:
        """The node is there, again perhaps: what may be lost is sent at once."""
        for stream in self.streams.values():
            if stream.node is node:
                self._confirming[stream.uid] = stream
                for number in sorted(stream.flight):
                    stream.open[number].attempts = 0
                    self._send(stream, stream.open[number], now)

    # --- time ----------------------------------------------------------------------------------
    def next_alarm(self) -> float | None:
        return self._alarms.next()

    def alarm(self, now: float) -> None:
        """Repeat, end and forget what is due."""
        for id in self._alarms.due(now):
            entry = self.entries[id]
            if entry.outcome is not None:
                self._drop(id)
            elif entry.deadline is not None and entry.deadline <= now:
                self._finish(entry, error_outcome(A.deadline), now)
            else:
                self._send(self.streams[entry.stream], entry, now)

    # --- the steps -----------------------------------------------------------------------------
    def _pump(self, stream: Stream, now: float) -> None:
        while stream.ready and len(stream.flight) < self.limits.in_flight:
            entry = stream.open.get(stream.ready.popleft())
            if entry is not None:
                stream.flight.add(entry.number)
                self._send(stream, entry, now)

    def _send(self, stream: Stream, entry: Entry, now: float) -> None:
        limits = self.limits
        pause = min(limits.last_retry, limits.first_retry * 2.0 ** min(entry.attempts, 30))
        entry.attempts += 1
        due = now + pause * (0.5 + self.entropy())
        self._alarms.set(entry.id, due if entry.deadline is None else min(due, entry.deadline))
        message = (REQUEST, self.reply_to, stream.uid, entry.number, self._low(stream), entry.key, entry.request)
        self._actions.append(Send(stream.name, stream.node, message))

    def _low(self, stream: Stream) -> int:
        while stream.low < stream.next and stream.low not in stream.open:
            stream.low += 1
        return stream.low

    def _finish(self, entry: Entry, outcome: bytes, now: float) -> None:
        stream = self.streams[entry.stream]
        self.bytes += len(outcome) - len(entry.request)
        entry.outcome, entry.finished, entry.request = outcome, now, b""
        del stream.open[entry.number]
        stream.flight.discard(entry.number)
        stream.finished.append(entry.number)
        self._confirming[stream.uid] = stream
        self._low(stream)
        self._writes.append(("out_finish", outcome, now, entry.id))
        self._actions.append(Tell(entry.id, outcome))
        self._alarms.set(entry.id, now + self.limits.keep_results)
        if entry.key:
            self._next_of_lane(stream, entry)
        self._pump(stream, now)

    def _next_of_lane(self, stream: Stream, entry: Entry) -> None:
        lane = stream.lanes[entry.key]
        if lane[0] != entry.number:
            lane.remove(entry.number)
            return
        lane.popleft()
        if lane:
            stream.ready.append(lane[0])
        else:
            del stream.lanes[entry.key]

    def _drop(self, id: bytes) -> None:
        entry = self.entries.pop(id)
        self.bytes -= len(entry.outcome or b"")
        self._alarms.clear(id)
        self._writes.append(("out_drop", id))

    def drain(self) -> tuple[list[Write], list[Send | Tell]]:
        """The writes, in order and to be committed together, and what is to be done when they are."""
        writes, actions = self._writes, self._actions
        for stream in self._used.values():
            writes.append(("out_stream", stream.uid, str(stream.name), str(stream.node), stream.next, stream.used))
        for stream in self._confirming.values():
            low = self._low(stream)
            above = [number for number in stream.finished if number >= low]
            message = (CONFIRM, self.reply_to, stream.uid, above, low)
            actions.append(Send(stream.name, stream.node, message))
            stream.finished = []
        self._writes, self._actions = [], []
        self._used.clear()
        self._confirming.clear()
        return writes, actions
