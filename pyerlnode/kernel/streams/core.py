"""What a stream does next: decisions alone, for `server`, which carries them out.

A generator is read by one process, its reader, which asks for so many items and gets no more than these. Until somebody
has asked it belongs to its owner, the process whose call it answers. On the wire, with `Ref` an alias of the reader,
and a monitor of the stream:

    reader → stream   {'$pyerlnode_ask', {Pid, Ref}, Count}   Count items more; the first one to ask is the reader
                      {'$pyerlnode_close', {Pid, Ref}}         no more: the generator is closed
    stream → Ref      {Ref, {item, Value}}
                      {Ref, done}                              it is through; nothing follows
                      {Ref, {Class, Reason, Stack}}            it has raised; nothing follows

The stream ends, and the generator is closed, with whichever comes first: its last item, its error, a close, the end of
the reader (before there is one: of the owner), the loss of the connection to either.

Of what was asked for the source is given a part at a time, up to `WINDOW` items that are not told yet: a reader that
asks for a million does not fill this node's memory, when the connection takes them slower than they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference

WINDOW: Final = 64
IN_USE: Final[tuple[Any, ...]] = (A.error, A.in_use, [])
"""Told to a second one that asks: a generator is read once."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Monitor this process: its end is to be told to `Flow.gone`."""

    who: Pid


@dataclass(frozen=True, slots=True)
class Run:
    """Let the source make so many items more."""

    count: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Send ``{Ref, what}`` to the alias `ref`."""

    ref: Reference
    what: Any


@dataclass(frozen=True, slots=True)
class End:
    """Close the generator and end."""


Effect = Watch | Run | Tell | End


class Flow:
    """One stream: who reads it, what is asked for, what is under way."""

    __slots__ = ("owner", "reader", "running", "wanted", "who")

    def __init__(self, owner: Pid) -> None:
        self.owner = owner
        self.who = owner
        """Whose end is its end."""
        self.reader: Reference | None = None
        self.wanted = 0
        """Items that are asked for and not told."""
        self.running = 0
        """Of these, those that the source is to make."""

    def begin(self) -> list[Effect]:
        return [Watch(self.owner)]

    def asked(self, who: Pid, ref: Reference, count: int) -> list[Effect]:
        """`count`, 1 or more, is asked for by `who`."""
        effects: list[Effect] = []
        if self.reader is None:
            self.reader = ref
            if who != self.who:
                self.who = who
                effects.append(Watch(who))
        elif ref != self.reader:
            return [Tell(ref, IN_USE)]
        self.wanted += count
        return effects + self._run()

    def closed(self, ref: Reference) -> list[Effect]:
        """The reader wants no more; or nobody has read, and whoever has the stream does not want to."""
        return [End()] if self.reader is None or ref == self.reader else []

    def gone(self, who: Pid) -> list[Effect]:
        return [End()] if who == self.who else []

    def item(self, value: Any) -> list[Effect]:
        """The source has made one of those that it was to make."""
        self.running -= 1
        self.wanted -= 1
        return [self._tell((A.item, value)), *self._run()]

    def finished(self) -> list[Effect]:
        return [self._tell(A.done), End()]

    def failed(self, kind: Any, reason: Any, stack: Any) -> list[Effect]:
        return [self._tell((kind, reason, stack)), End()]

    def _tell(self, what: Any) -> Effect:
        assert self.reader is not None  # it runs for a reader alone
        return Tell(self.reader, what)

    def _run(self) -> list[Effect]:
        """More for the source, when it has less than half a window: not a note for each item."""
        count = min(self.wanted, WINDOW) - self.running
        if count <= 0 or self.running > WINDOW // 2:
            return []
        self.running += count
        return [Run(count)]
