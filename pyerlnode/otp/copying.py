"""Messages as copies, for development and tests: what is changed behind a message's back is found.

Between processes of one node a message is the object itself, not a copy as on a BEAM: a list that its sender changes
afterwards is another one for its receiver, too, and the other way round; on another node neither would see it. With

    with copied_messages() as changes:
        ...
    assert not changes()

every message and every answer to a call is copied when it is sent, so both sides have their own, and each that either
side has changed since is told once: in the log, and by `changes`. ``PYERLNODE_COPY_MESSAGES=1`` in the environment
switches it on for a whole program. It costs two copies of each message, and is for all nodes of the program.

Containers are copied: tuples, lists, dicts, sets, bytearrays, dataclasses, and the containers of `pyerlnode.term`.
Whatever else a message holds, as functions, is no term that could be changed, and stays as it is.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import sys as python
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.otp.gen import LocalCall
from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.term import exact
from pyerlnode.term.containers import ImproperList, Struct, TermMap

log = logging.getLogger("pyerlnode.copying")

VARIABLE: Final = "PYERLNODE_COPY_MESSAGES"
KEPT: Final = 128
"""Messages of late that are looked at again."""
AT_ONCE: Final = 4
"""So many with each message that is sent."""


def copied(term: Any) -> Any:
    """A copy of the containers in `term`; what is nested too deep, or holds itself, stays as it is."""
    try:
        return _copied(term)
    except RecursionError:
        return term


def _copied(term: Any) -> Any:  # one line for each kind
    kind = type(term)
    if kind is tuple:
        return tuple([_copied(part) for part in term])
    if kind is list:
        return [_copied(part) for part in term]
    if kind is dict:
        return {key: _copied(value) for key, value in term.items()}
    if kind is set or kind is bytearray:
        return kind(term)
    if kind is ImproperList:
        return ImproperList(tuple([_copied(part) for part in term.items]), _copied(term.tail))
    if kind is TermMap:
        return TermMap([(key, _copied(value)) for key, value in term.pairs])
    if isinstance(term, tuple) and hasattr(term, "_make"):
        return term._make([_copied(part) for part in term])
    if kind is Struct or (dataclasses.is_dataclass(term) and not isinstance(term, type)):
        return copy.deepcopy(term)
    return term


@dataclasses.dataclass(frozen=True)
class Change:
    """A message that was changed after it was sent: by whom, where it was sent from, and to whom."""

    side: str
    place: str
    to: str

    def __str__(self) -> str:
        return f"the {self.side} of a message to {self.to} has changed it; it was sent at {self.place}"


class Watch:
    """The messages of late, each beside what it was."""

    def __init__(self) -> None:
        self.found: list[Change] = []
        self._kept: deque[tuple[Any, Any, Any, str, str]] = deque(maxlen=KEPT)

    def sent(self, message: Any, to: str) -> Any:
        """The copy that the receiver gets."""
        self._look_at(AT_ONCE)
        given = copied(message)
        if given is not message:
            self._kept.append((message, given, copied(message), _place(), to))
        return given

    def look(self) -> None:
        """Note what has changed."""
        self._look_at(len(self._kept))

    def _look_at(self, count: int) -> None:
        """Look at the first `count`, which go to the end if they are as they were."""
        for _ in range(min(count, len(self._kept))):
            before, given, was, place, to = each = self._kept.popleft()
            sides = [side for side, now in (("sender", before), ("receiver", given)) if not _alike(now, was)]
            if sides:
                self._note([Change(side, place, to) for side in sides])
            else:
                self._kept.append(each)

    def _note(self, changes: list[Change]) -> None:
        for change in changes:
            if change not in self.found:
                log.warning("%s", change)
            self.found.append(change)


def _alike(one: Any, other: Any) -> bool:
    try:
        return exact.same(_comparable(one), _comparable(other))
    except BaseException as error:  # of a user's object, or of one that holds itself
        caught(error)
        return True


def _comparable(term: Any) -> Any:
    """`term` with maps in the place of sets, which are no terms."""
    kind = type(term)
    if kind is tuple or kind is list:
        return kind([_comparable(part) for part in term])
    if kind is dict:
        return {key: _comparable(value) for key, value in term.items()}
    return dict.fromkeys(term, True) if kind is set or kind is frozenset else term


def _place() -> str:
    """The line outside of this library that sends just now."""
    frame: Any = python._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "?").startswith("pyerlnode."):
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


_deliver, _settle = Process.deliver, Waiter.settle


def switch_on() -> Watch:
    """From now on messages are copied, in all nodes of the program, until `switch_off`."""
    watch = Watch()

    def deliver(process: Process, message: Any) -> None:
        _deliver(process, watch.sent(message, short(process.name or process.pid)))

    def settle(call: Any, state: int, value: Any) -> Any:
        return _settle(call, state, watch.sent(value, "its caller") if state == REPLY else value)

    _replace(deliver, settle)
    return watch


def switch_off() -> None:
    _replace(_deliver, _settle)


def _replace(deliver: Any, settle: Any) -> None:
    """The two ways of a message within a node; nothing on them asks whether this module is there."""
    setattr(Process, "deliver", deliver)  # noqa: B010  # for all processes, those that run too
    setattr(LocalCall, "settle", settle)  # noqa: B010


@contextmanager
def copied_messages() -> Iterator[Callable[[], list[Change]]]:
    """Copy messages meanwhile. Gives a function that tells the changes that were found up to now."""
    watch = switch_on()

    def changes() -> list[Change]:
        watch.look()
        return watch.found

    try:
        yield changes
    finally:
        switch_off()
        watch.look()
