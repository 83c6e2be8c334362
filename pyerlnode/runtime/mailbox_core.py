"""Selective receive over an ordered mailbox: the first message that matches, the others stay in order.

The mailbox is a `deque`, and what was looked at in vain is not looked at again. A `Place` is how far one pattern has
got: no message before `seen` matches it. Places are kept from one receive to the next, so a process that waits for the
same pattern again and again looks at each message once, whatever lies before it; OTP looks from the first message on
each time. A pattern that holds a reference begins behind the messages that had come when the reference was made, since
none of them can hold it: OTP's own trick.

Laws:
- What is taken is what a look from the first message on would have found: `tests/property/test_mailbox.py`.
- Only patterns of constants, plain types and `ANY` are kept (`is_constant`): a function may think otherwise next time.
- Whoever takes a message out of the middle, or puts one there, tells `removed` or `inserted`.

What a look costs: nothing for messages before the place; for those behind it, one call of the matcher each. To reach or
remove the message at `index` a deque moves along min(index, len - index) others, at 1 to 2 ns each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from pyerlnode.term.atom import Atom
from pyerlnode.term.pattern import ANY
from pyerlnode.term.pid import Pid, Port, Reference

NOTHING: Final = object()
"""What a receive gives when no message matches; no term is this object."""
MOST_PLACES: Final = 8
"""Patterns and references that a process keeps the places of."""
ONE_BY_ONE: Final = 500
"""Messages that are reached by their index before all the rest is walked along."""

_BY_VALUE: Final = frozenset((int, bytes, str, Pid, Reference, Port))


class Place:
    """No message before `seen` matches `pattern`; `matches` is the pattern compiled, None for a reference alone."""

    __slots__ = ("has_reference", "matches", "pattern", "seen")

    def __init__(self, pattern: Any, matches: Callable[[Any], Any] | None, seen: int = 0) -> None:
        self.pattern = pattern
        self.matches = matches
        self.seen = seen
        self.has_reference = has_reference(pattern)


def find(queue: deque[Any], matches: Callable[[Any], Any], start: int = 0) -> int:
    """The index of the first message at or behind `start` that `matches`; -1 when there is none."""
    length = len(queue)
    if start:
        one_by_one = min(length, start + ONE_BY_ONE)
        for index in range(start, one_by_one):
            if matches(queue[index]):
                return index
        start = one_by_one
    left = length - start
    messages: Any = islice(queue, start, None) if start <= left else reversed([*islice(reversed(queue), left)])
    for index, message in enumerate(messages, start):
        if matches(message):
            return index
    return -1


# --- places ------------------------------------------------------------------------------------
def removed(places: list[Place], index: int) -> None:
    """The message at `index` was taken out."""
    for place in places:
        if place.seen > index:
            place.seen -= 1


def inserted(places: list[Place], index: int) -> None:
    """A message was put at `index`, which need not be the end."""
    for place in places:
        if place.seen > index:
            place.seen = index


def place_of(places: list[Place], pattern: Any) -> Place | None:
    """The place of this very pattern, which now counts as the latest one; of none that is not constant."""
    for at, place in enumerate(places):
        if place.matches is not None and same(place.pattern, pattern):
            if at:
                del places[at]
                places.insert(0, place)
            return place
    return None


def add_place(places: list[Place], place: Place) -> Place:
    """Keep `place`, and forget the one that was not used for the longest time."""
    places.insert(0, place)
    del places[MOST_PLACES:]
    return place


def behind(places: list[Place], pattern: Any) -> int:
    """How many messages had come when the references in `pattern` were made, as far as that is known."""
    if type(pattern) is tuple:
        return max([behind(places, part) for part in pattern], default=0)
    if type(pattern) is Reference:
        for place in places:
            if place.matches is None and (place.pattern is pattern or place.pattern == pattern):
                return place.seen
    return 0


# --- patterns ----------------------------------------------------------------------------------
def has_reference(pattern: Any) -> bool:
    return type(pattern) is Reference or (type(pattern) is tuple and any(map(has_reference, pattern)))


def is_constant(pattern: Any) -> bool:
    """Whether `pattern` is made of terms that do not change, plain types and `ANY`."""
    kind = type(pattern)
    if kind is tuple:
        return all(map(is_constant, pattern))
    return kind in _BY_VALUE or kind is Atom or kind is bool or kind is type or pattern is ANY or pattern is None


def same(one: Any, other: Any) -> bool:
    """Whether two patterns, the first of them constant, are the same; 1 is neither True nor 1.0."""
    kind = type(one)
    if one is other:
        return True
    if kind is not type(other):
        return False
    if kind is tuple:
        if len(one) != len(other):
            return False
        for mine, theirs in zip(one, other, strict=True):  # noqa: SIM110  # atoms and types are met before any call
            if mine is not theirs and not same(mine, theirs):
                return False
        return True
    return kind in _BY_VALUE and bool(one == other)
