"""`copy.deepcopy` and `pickle` of terms of any nesting.

Python's own go down on its stack, level by level, and end with RecursionError in a term that a peer may well send. The
containers of this package give their copies from here: all that terms are made of is taken apart in a loop, from the
outside in, and put together from the inside out. A part that stands in several places is one part in the copy, too.
Objects that are no terms are copied and pickled as Python does it. A term that stands in itself, which is none, raises
`UsageError`.

A list or tuple of Python around all of it is copied by Python, with Python's bound: `pyerlnode.encode` has none.

    >>> import copy
    >>> from pyerlnode.term import ImproperList
    >>> copy.deepcopy(ImproperList(([1],), 2))
    ImproperList(([1],), 2)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from pyerlnode.errors import UsageError

Kind = tuple[Callable[[Any], Iterable[Any]], Callable[[list[Any]], Any]]
KINDS: Final[dict[type, Kind]] = {
    list: (iter, list),
    tuple: (iter, tuple),
    dict: (lambda term: chain.from_iterable(term.items()), lambda parts: dict(pairs(parts))),
}
"""How a container comes apart, and how it is made of its parts, by its type. Modules of containers enter theirs."""

_LEAF, _AGAIN = -1, -2
Plan = tuple[list[type], list[int], list[Any]]
"""Kinds, steps and leaves. A step is `_LEAF`; `_AGAIN` and which container that was made; a kind and how many parts."""


def pairs(parts: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Keys and values that stand in turns."""
    return zip(parts[::2], parts[1::2], strict=True)


def reduced(term: Any) -> tuple[Any, ...]:
    """What `__reduce__` of a container gives. Raises `UsageError` for one that stands in itself."""
    return load, _taken_apart(term, {}, [])


def load(kinds: list[type], steps: list[int], leaves: list[Any]) -> Any:
    """The term of a pickle."""
    return _put_together((kinds, steps, leaves), lambda leaf: leaf)[-1]


def deepcopy(term: Any, memo: dict[int, Any]) -> Any:
    """What `__deepcopy__` of a container gives. Raises `UsageError` for one that stands in itself."""
    originals: list[Any] = []
    plan = _taken_apart(term, memo, originals)
    made = _put_together(plan, lambda leaf: copy.deepcopy(leaf, memo))
    memo.update(zip(map(id, originals), made, strict=True))
    return made[-1]


Parts = Callable[[Any], tuple[list[Any], Callable[[list[Any]], Any]] | None]


def parts_of(term: Any) -> tuple[list[Any], Callable[[list[Any]], Any]] | None:
    """The parts of a container, and what makes another one of as many; None for what is none."""
    kind = KINDS.get(type(term))
    return None if kind is None else (list(kind[0](term)), kind[1])


def remade(term: Any, apart: Parts) -> Any:
    """`term` made anew from the inside out: `apart` gives a container's parts and what makes another of them.

    It gives None for what is left as it is. Nothing recurses.
    """
    root: list[Any] = []
    opened: list[tuple[list[Any], Callable[[list[Any]], Any], Iterator[Any]]] = [
        (root, lambda parts: parts, iter((term,)))
    ]
    while True:
        made, make, rest = opened[-1]
        part = next(rest, opened)
        if part is opened:
            opened.pop()
            if not opened:
                return root[0]
            opened[-1][0].append(make(made))
            continue
        found = apart(part)
        if found is None:
            made.append(part)
        else:
            opened.append(([], found[1], iter(found[0])))


def _kind_of(term: Any, at_all: bool) -> type | None:
    """The kind of a container; `at_all`: of one of a subclass, too, which is copied as what it extends."""
    kind = type(term)
    if kind in KINDS:
        return kind
    return next(base for base in kind.__mro__ if base in KINDS) if at_all else None


def _taken_apart(root: Any, known: dict[int, Any], originals: list[Any]) -> Plan:
    kinds: dict[type, int] = {}
    steps: list[int] = []
    leaves: list[Any] = []
    numbers: dict[int, int] = {}
    opened: list[tuple[Any, type, list[Any], Iterator[Any]]] = []
    above: set[int] = set()
    part, kind = root, _kind_of(root, True)
    while True:
        if id(part) in numbers:
            steps += (_AGAIN, numbers[id(part)])
        elif kind is None or id(part) in known:
            steps.append(_LEAF)
            leaves.append(part)
        elif id(part) in above:
            raise UsageError("a value that stands in itself is no term, and is not copied")
        else:
            parts = list(KINDS[kind][0](part))
            opened.append((part, kind, parts, iter(parts)))
            above.add(id(part))
        while (part := next(opened[-1][3], opened)) is opened:
            term, kind, parts, _ = opened.pop()
            steps += (kinds.setdefault(kind, len(kinds)), len(parts))
            numbers[id(term)] = len(originals)
            originals.append(term)
            above.discard(id(term))
            if not opened:
                return list(kinds), steps, leaves
        kind = _kind_of(part, False)


def _put_together(plan: Plan, leaf: Callable[[Any], Any]) -> list[Any]:
    """All containers, in the order in which they are done."""
    kinds, steps, leaves = plan
    made: list[Any] = []
    ready: list[Any] = []
    step, rest = iter(steps), iter(leaves)
    for one in step:
        if one == _LEAF:
            ready.append(leaf(next(rest)))
        elif one == _AGAIN:
            ready.append(made[next(step)])
        else:
            begins = len(ready) - next(step)
            made.append(KINDS[kinds[one]][1](ready[begins:]))
            ready[begins:] = [made[-1]]
    return made
