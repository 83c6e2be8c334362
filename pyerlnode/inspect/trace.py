"""A trace of calls on a peer: kept by a tracer there, and fetched from here. See `peer/trace.erl`."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from pyerlnode.inspect.session import Session
from pyerlnode.inspect.trace_core import Event, event
from pyerlnode.term.atom import A

BATCH = 0.2
"""Seconds for which events are gathered before they come."""


class Trace:
    """Iterate over it for its `Event`s, until the trace ends; `ended` says why: a key of `trace_core.ENDS`."""

    def __init__(self, session: Session, question: dict[Any, Any], timeout: float) -> None:
        self.ended = ""
        self._session = session
        self._timeout = timeout
        self._pid = session.open("trace", question, timeout)

    def __iter__(self) -> Iterator[Event]:
        while not self.ended:
            yield from self.next()

    def next(self) -> list[Event]:
        """What was seen since the last time; waits a moment for it. Sets `ended` when there will be no more."""
        request = (A.next, round(BATCH * 1000))
        told, _, _, state = self._session.next("trace", self._pid, request, self._timeout)
        if state is not A.on:
            self.ended = state.name
        return [event(*one) for one in told]

    def close(self) -> None:
        """End it, if it goes on."""
        self._session.close(self._pid, self._timeout)

    def __enter__(self) -> Trace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
