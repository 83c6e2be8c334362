"""Requests that survive crashes, the receiver's half as values: what an inbox has accepted, runs and has answered.

The laws and the messages are told in `core`; these are added here.

1. A request is in the journal before it runs, and its outcome is there before it is told. Repetitions of one that
   waits or runs are joined to it, of one that is done get the outcome that is kept.
2. At most one of the requests of a stream with one key runs at a time, at most `running` in all.
3. What ran when the server died is known by its mark in the journal and treated as `interrupted` says: `fail` gives it
   the outcome ``{error, interrupted}``; `retry` runs it again and needs no mark. Where effect and outcome are committed
   together (`inbox`) a run that has no outcome had no effect, so that is `retry`.
4. An outcome is told again, while its requester's node is connected, until it is confirmed, and forgotten then, or
   after `keep_results`; of the request its number is kept until `low` has passed it. What is confirmed or below `low`
   before it ran does not run any more.
5. A request that would go beyond a limit is dropped: it comes again. One larger than any request may be is answered
   with ``{error, {refused, too_large}}``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pyerlnode.cluster.durable.core import (
    BIGGEST,
    CONFIRM,
    DAY,
    DONE,
    KEPT_STREAMS,
    REQUEST,
    Alarms,
    Send,
    Write,
    error_outcome,
)
from pyerlnode.term.atom import A, Atom

WAITS: Final = 0
RUNS: Final = 1
DONE_: Final = 2
GONE: Final = 3
"""States of an item, as they stand in the journal: GONE is a number that must not run, and nothing else."""

LINE: Final = -1
"""In the place of a number: the stream itself."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run a request; then tell by `finished`."""

    uid: bytes
    number: int
    key: bytes
    request: bytes


@dataclass(frozen=True, slots=True)
class InboxLimits:
    """How much an inbox holds, and how it repeats. Times in seconds.

    Attributes:
        running: requests that run at a time.
        requests: requests in it, those with an outcome that is not confirmed among them.
        bytes: of their requests and outcomes.
        request_bytes: of one request.
        streams: outboxes that it remembers.
        span: numbers of one stream between `low` and the newest.
        first_retry, last_retry: the pauses between tellings of an outcome double from the one to the other.
        keep_results: how long an outcome that is not confirmed is kept.
    """

    running: int = 64
    requests: int = 100_000
    bytes: int = 1 << 30
    request_bytes: int = 16 << 20
    streams: int = 10_000
    span: int = 100_000
    first_retry: float = 2.0
    last_retry: float = 600.0
    keep_results: float = 7 * DAY


@dataclass(slots=True)
class Item:
    """A request in an inbox."""

    number: int
    key: bytes = b""
    request: bytes = b""
    state: int = WAITS
    outcome: bytes = b""
    finished: float = 0.0
    attempts: int = 0


@dataclass(slots=True)
class Line:
    """What one outbox has sent here; `reply_to` is its name and node."""

    uid: bytes
    reply_to: tuple[Atom, Atom]
    low: int = 0
    heard: float = 0.0
    items: dict[int, Item] = field(default_factory=dict)


def _is_name(reply_to: Any) -> bool:
    return type(reply_to) is tuple and len(reply_to) == 2 and all(type(part) is Atom for part in reply_to)


class InboxCore:
    """The state of an inbox. Methods change it; `drain` gives what is to be written, and done behind that."""

    def __init__(
        self, limits: InboxLimits, entropy: Callable[[], float], interrupted: Literal["fail", "retry"] = "fail"
    ) -> None:
        self.limits = limits
        self.entropy = entropy
        self.marks = interrupted == "fail"
        self.lines: dict[bytes, Line] = {}
        self.count = self.bytes = self.dropped = 0
        self.running: dict[tuple[bytes, int], bytes] = {}
        self._ready: deque[tuple[bytes, int]] = deque()
        self._lanes: dict[tuple[bytes, bytes], deque[int]] = {}
        self._alarms: Alarms[tuple[bytes, int]] = Alarms()
        self._writes: list[Write] = []
        self._actions: list[Send | Run] = []
        self._changed: dict[bytes, Line] = {}

    def load(self, lines: Iterable[Line], items: Iterable[tuple[bytes, Item]], now: float) -> None:
        """What the journal had, items in the order of their arrival."""
        for line in lines:
            self.lines[line.uid] = line
            self._alarms.set((line.uid, LINE), line.heard + KEPT_STREAMS)
        for uid, item in items:
            line = self.lines[uid]
            line.items[item.number] = item
            if item.state == GONE:
                continue
            self.count += 1
            self.bytes += len(item.request) + len(item.outcome)
            if item.state == DONE_:
                self._tell(line, item, now)
            elif item.state == RUNS and self.marks:
                self._done(line, item, error_outcome(A.interrupted), now)
            else:
                item.state = WAITS
                self._queue(uid, item)
        self._pump()

    # --- messages ------------------------------------------------------------------------------
    def heard(self, message: tuple[Any, ...], now: float) -> bool:
        """A message from an outbox; False when it is none that we understand."""
        match message:
            case (tag, reply_to, bytes(uid), int(number), int(low), bytes(key), bytes(request)) if tag is REQUEST:
                if not (_is_name(reply_to) and 0 <= low <= number < BIGGEST and len(uid) == 16):
                    return False
                line = self._line(uid, reply_to, low, now)
                if line is not None:
                    self._request(line, number, key, request, now)
            case (tag, reply_to, bytes(uid), list(numbers), int(low)) if tag is CONFIRM:
                if not (_is_name(reply_to) and 0 <= low < BIGGEST and len(uid) == 16):
                    return False
                line = self._line(uid, reply_to, low, now)
                for number in numbers:
                    if line is not None and type(number) is int and line.low <= number < line.low + self.limits.span:
                        self._forget(line, number)
            case _:
                return False
        self._pump()
        return True

    def _line(self, uid: bytes, reply_to: tuple[Atom, Atom], low: int, now: float) -> Line | None:
        line = self.lines.get(uid)
        if line is None:
            if len(self.lines) >= self.limits.streams:
                self.dropped += 1
                return None
            line = self.lines[uid] = Line(uid, reply_to, low, now)
            self._alarms.set((uid, LINE), now + KEPT_STREAMS)
            self._changed[uid] = line
        elif low > line.low or reply_to != line.reply_to or now - line.heard > 3600.0:
            self._advance(line, low)
            line.reply_to = reply_to
            line.heard = now
            self._changed[uid] = line
        return line

    def _request(self, line: Line, number: int, key: bytes, request: bytes, now: float) -> None:
        item = line.items.get(number)
        if number < line.low:
            return  # it was late: its requester has the outcome
        if item is not None:
            if item.state == DONE_:
                self._tell(line, item, now)
            elif item.state == GONE:
                self._actions.append(Send(*line.reply_to, (DONE, line.uid, number, error_outcome(A.expired))))
            return
        limits = self.limits
        if len(request) > limits.request_bytes:
            refused = error_outcome((A.refused, A.too_large))
            self._actions.append(Send(*line.reply_to, (DONE, line.uid, number, refused)))
        elif (
            self.count >= limits.requests
            or self.bytes + len(request) > limits.bytes
            or number - line.low >= limits.span
        ):
            self.dropped += 1
        else:
            item = line.items[number] = Item(number, key, request)
            self.count += 1
            self.bytes += len(request)
            self._writes.append(("in_put", line.uid, number, key, request))
            self._queue(line.uid, item)

    def _queue(self, uid: bytes, item: Item) -> None:
        if item.key:
            lane = self._lanes.setdefault((uid, item.key), deque())
            lane.append(item.number)
            if len(lane) > 1:
                return
        self._ready.append((uid, item.number))

    def _pump(self) -> None:
        while self._ready and len(self.running) < self.limits.running:
            uid, number = self._ready.popleft()
            line = self.lines.get(uid)
            item = None if line is None else line.items.get(number)
            if item is None or item.state != WAITS:
                continue
            item.state = RUNS
            self.running[uid, number] = item.key
            if self.marks:
                self._writes.append(("in_runs", uid, number))
            self._actions.append(Run(uid, number, item.key, item.request))

    def finished(self, uid: bytes, number: int, outcome: bytes, now: float) -> None:
        """A request that `Run` asked for has come to its end."""
        key = self.running.pop((uid, number), None)
        if key is None:
            return
        line = self.lines.get(uid)
        item = None if line is None else line.items.get(number)
        if line is not None and item is not None and item.state == RUNS:
            self._done(line, item, outcome, now)
        if key:
            self._leave_lane(uid, key, number)
        self._pump()

    # --- the steps -----------------------------------------------------------------------------
    def _done(self, line: Line, item: Item, outcome: bytes, now: float) -> None:
        self.bytes += len(outcome) - len(item.request)
        item.state, item.outcome, item.request, item.finished = DONE_, outcome, b"", now
        self._writes.append(("in_done", outcome, now, line.uid, item.number))
        self._tell(line, item, now)

    def _tell(self, line: Line, item: Item, now: float) -> None:
        limits = self.limits
        pause = min(limits.last_retry, limits.first_retry * 2.0 ** min(item.attempts, 30)) * (0.5 + self.entropy())
        item.attempts += 1
        self._alarms.set((line.uid, item.number), min(now + pause, item.finished + limits.keep_results))
        self._actions.append(Send(*line.reply_to, (DONE, line.uid, item.number, item.outcome)))

    def _leave_lane(self, uid: bytes, key: bytes, number: int) -> None:
        lane = self._lanes[uid, key]
        if lane[0] != number:
            lane.remove(number)
            return
        lane.popleft()
        if lane:
            self._ready.append((uid, lane[0]))
        else:
            del self._lanes[uid, key]

    def _forget(self, line: Line, number: int) -> None:
        """The requester has the outcome, or wants none: keep the number alone, so that nothing late runs."""
        item = line.items.get(number)
        if item is None:
            line.items[number] = Item(number, state=GONE)
        elif item.state == GONE:
            return
        else:
            self._free(line, item)
            item.state, item.request, item.outcome = GONE, b"", b""
        self._writes.append(("in_gone", line.uid, number))
        self._changed[line.uid] = line

    def _free(self, line: Line, item: Item) -> None:
        if item.state == GONE:
            return
        self.count -= 1
        self.bytes -= len(item.request) + len(item.outcome)
        self._alarms.clear((line.uid, item.number))
        if item.state == WAITS and item.key:
            self._leave_lane(line.uid, item.key, item.number)

    def _advance(self, line: Line, low: int) -> None:
        if low <= line.low:
            return
        few = low - line.low <= len(line.items)
        for number in range(line.low, low) if few else [known for known in line.items if known < low]:
            item = line.items.pop(number, None)
            if item is not None:
                self._free(line, item)
        line.low = low

    # --- time ----------------------------------------------------------------------------------
    def next_alarm(self) -> float | None:
        return self._alarms.next()

    def alarm(self, now: float) -> None:
        """Tell again, and forget, what is due."""
        for uid, number in self._alarms.due(now):
            line = self.lines.get(uid)
            if line is None:
                continue  # it was forgotten a moment ago, with all of its items
            if number == LINE:
                self._line_due(line, now)
                continue
            item = line.items[number]
            if item.finished + self.limits.keep_results <= now:
                self._forget(line, number)
            else:
                self._tell(line, item, now)
        self._pump()

    def _line_due(self, line: Line, now: float) -> None:
        last = max([line.heard, *(item.finished for item in line.items.values())])
        busy = any(item.state in (WAITS, RUNS) for item in line.items.values())
        if busy or last + KEPT_STREAMS > now:
            self._alarms.set((line.uid, LINE), (now if busy else last) + KEPT_STREAMS)
            return
        for item in line.items.values():
            self._free(line, item)
        del self.lines[line.uid]
        self._changed.pop(line.uid, None)
        self._writes.append(("in_drop_line", line.uid))

    def drain(self) -> tuple[list[Write], list[Send | Run]]:
        """The writes, in order and to be committed together, and what is to be done when they are."""
        writes, actions = self._writes, self._actions
        for line in self._changed.values():
            name, node = line.reply_to
            writes.append(("in_line", line.uid, str(name), str(node), line.low, line.heard))
            writes.append(("in_below", line.uid, line.low))
        self._writes, self._actions = [], []
        self._changed.clear()
        return writes, actions
