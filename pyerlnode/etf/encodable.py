"""As much of a value as has a form on the wire: for states, dictionaries and reports, which hold what a program does.

What has no form goes as text (`pyerlnode.brief`), and so does what stands in itself or too deep: an observer wants to
see the rest. A value that has a form is given back as it is, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pyerlnode.brief import told
from pyerlnode.errors import EncodeError
from pyerlnode.etf import encode
from pyerlnode.etf.common import simplify
from pyerlnode.term import exact
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import FrozenList, FrozenMap, ImproperList, NativeRecord, Struct, TermMap

LEVELS: Final = 100
"""Levels of a value that are looked into when it has no form as a whole."""
PARTS: Final = 100_000
"""Parts that are looked at; a container that is met later goes as text."""
TEXT: Final = 1_000

_FORM: Final = frozenset({Atom, int, bytes, bool, type(None)})
_CONTAINERS: Final = frozenset({list, tuple, dict, FrozenList, FrozenMap, TermMap, Struct, ImproperList, NativeRecord})


class _Open:
    """A container whose parts are looked at."""

    __slots__ = ("made", "parts", "term")

    def __init__(self, term: Any, parts: Iterable[Any]) -> None:
        self.term = term
        self.parts: Iterator[Any] = iter(parts)
        self.made: list[Any] = []


def encodable(term: Any) -> Any:
    """`term` with a text in place of each part that has no form on the wire."""
    try:
        encode(term)
    except EncodeError:
        pass
    else:
        return term
    made = _rebuilt(term)
    try:
        encode(made)
    except EncodeError:  # it changed meanwhile
        return _text(term)
    return made


def _rebuilt(root: Any) -> Any:
    frames = [_Open(None, (root,))]
    above: set[int] = set()
    left = PARTS
    while True:
        frame = frames[-1]
        part = _next(frame.parts)
        if part is _END:
            frames.pop()
            if not frames:
                return frame.made[0]
            above.discard(id(frame.term))
            frames[-1].made.append(_closed(frame.term, frame.made))
            continue
        left -= 1
        if type(part) in _FORM:
            frame.made.append(part)
            continue
        parts = _parts(part) if left > 0 and len(frames) <= LEVELS and id(part) not in above else None
        if parts is None:
            frame.made.append(_leaf(part))
        else:
            above.add(id(part))
            frames.append(_Open(part, parts))


_END: Final = object()


def _next(parts: Iterator[Any]) -> Any:
    try:
        return next(parts, _END)
    except Exception:  # a container of the program's: what came so far is told
        return _END


def _parts(term: Any) -> Iterable[Any] | None:
    """The parts of a container; None for anything else."""
    try:
        if isinstance(term, str):  # a Charlist is a list on the wire, and one text here
            return None
        if isinstance(term, (list, tuple)):
            return list(term)
        if type(term) is TermMap:
            return [part for pair in term.pairs for part in pair]
        if type(term) is Struct:
            return [part for pair in term.fields.items() for part in pair]
        if type(term) is ImproperList:
            return [*term.items, term.tail]
        if type(term) is NativeRecord:
            return list(term.values)
        if isinstance(term, Mapping):
            return [part for pair in term.items() for part in pair]
        simpler = simplify(term)
        return None if type(simpler) in _FORM or type(simpler) is type(term) else (simpler,)
    except Exception:  # whatever the program's methods raise: it goes as text
        return None


def _closed(term: Any, made: list[Any]) -> Any:
    """What stands for a container when these stand for its parts."""
    kind = type(term)
    if kind is TermMap or kind is FrozenMap or kind is dict:
        return _map(made)
    if kind is Struct:
        fields = _map(made)
        return Struct(term.module, fields, term.at) if type(fields) is dict and type(term.module) is Atom else fields
    if kind is ImproperList:
        return ImproperList(tuple(made[:-1]), made[-1]) if made else []
    if kind is NativeRecord:
        return NativeRecord(term.module, term.name, term.names, tuple(made), term.exported)
    if kind is FrozenList or isinstance(term, list):
        return made
    if isinstance(term, tuple):
        return tuple(made)
    if isinstance(term, Mapping):
        return _map(made)
    return made[0] if made else _text(term)


def _map(made: list[Any]) -> Any:
    """Of two keys that have come to the same text the later one stays."""
    last = {exact.key(name): (name, value) for name, value in zip(made[::2], made[1::2], strict=False)}
    try:
        plain = dict(last.values())
    except (TypeError, RecursionError):  # a key that Python can not hash
        return TermMap(last.values())
    return plain if len(plain) == len(last) else TermMap(last.values())


def _leaf(term: Any) -> Any:
    if type(term) in _CONTAINERS:  # it is not looked into
        return _text(term)
    try:
        encode(term)
    except EncodeError:
        return _text(term)
    return term


def _text(term: Any) -> str:
    return told(term, TEXT).encode("utf-8", "backslashreplace").decode()
