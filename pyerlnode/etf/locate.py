"""Where in a term the value stands that has no form: the path in the text of an `EncodeError`.

Encoding keeps no path: it costs nothing until it is needed. It tells which value it stopped at, and `locate` walks the
term in the order of encoding until it meets that value. A value that an encoder makes anew each time can not be met
again; then each leaf is tried. Every container is walked once, wherever it stands again (a value that is refused is
refused where it is met first), and nothing recurses: the path costs no more than the encoding did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from pyerlnode.errors import EncodeError
from pyerlnode.etf.common import PLAIN_KEYS, NoPlace, SameKey, name_of, simplify
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import (
    Bitstring,
    Charlist,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Struct,
    TermMap,
)
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.pid import Pid, Port, Reference

PATH_LEVELS: Final = 64
_KEY_CHARACTERS: Final = 64
_MESSAGE: Final = 1_000

_Step: TypeAlias = tuple[str, Any, Any]
"""How Python would reach a part (a form and what stands in it), and the part."""
_NO_PARTS: Final[Iterator[_Step]] = iter(())
_SIMPLE: Final = frozenset({int, bool, type(None), bytes, bytearray, memoryview, float, str, Charlist, Bitstring})
_LEAVES: Final = _SIMPLE | {Atom, Pid, Port, Reference, ExternalFun}


def told(error: EncodeError, term: Any, culprit: int, again: Callable[[Any], object]) -> EncodeError:
    """The same error with the path of the value in `term` whose `id` is `culprit`; `again` encodes without a path."""
    path = "" if isinstance(error, NoPlace) else locate(term, culprit, again, isinstance(error, SameKey))
    return EncodeError(_message(error), path)


def _message(error: EncodeError) -> str:
    """Its text; that of a class of the program's may be anything."""
    try:
        return str(error)[:_MESSAGE]
    except Exception:
        return f"an encoder raised {name_of(type(error))}"


def locate(term: Any, culprit: int, again: Callable[[Any], object], same_key: bool = False) -> str:
    """The path in `term` of the value with this `id`, or else of the first that `again` refuses."""
    found = walk(term, lambda part, _: id(part) == culprit)
    if found is None:
        found = walk(term, lambda part, leaf: _refused(part, leaf, again, same_key))
    return "" if found is None else found


def walk(root: Any, is_it: Callable[[Any, bool], bool]) -> str | None:
    """The path of the first value of `root` that `is_it` says yes to, which is also told whether it is a leaf."""
    steps: list[_Step] = []
    waiting: list[Iterator[_Step]] = []
    kept: list[Any] = []
    """What encoders made: it lives while its `id` counts."""
    seen: set[int] = set()
    parts: Iterator[_Step] = iter((("", None, root),))
    while True:
        step = _next(parts)
        if step is None:
            if not waiting:
                return None
            parts = waiting.pop()
            steps.pop()
            continue
        part = step[2]
        leaf = type(part) in _LEAVES
        if not leaf and id(part) in seen:
            continue
        inner = _NO_PARTS if leaf else _some_parts(part, kept)
        if is_it(part, inner is _NO_PARTS):
            return _text([*steps, step])
        if not leaf:
            seen.add(id(part))
        if inner is not _NO_PARTS:
            waiting.append(parts)
            steps.append(step)
            parts = inner


def _next(parts: Iterator[_Step]) -> _Step | None:
    try:
        return next(parts, None)
    except Exception:  # a container of the program's: what it raises has been told already
        return None


def _refused(part: Any, leaf: bool, again: Callable[[Any], object], same_key: bool) -> bool:
    if leaf:
        if type(part) in _SIMPLE and type(part) not in (float, str):
            return False
        tried: Iterable[Any] = (part,)
    elif same_key and type(part) is dict and not PLAIN_KEYS.issuperset(map(type, part)):
        tried = (dict.fromkeys(part),)
    else:
        return False
    try:
        for each in tried:
            again(each)
    except EncodeError:
        return True
    return False


def _some_parts(term: Any, kept: list[Any]) -> Iterator[_Step]:
    try:
        return _parts(term, kept)
    except Exception:  # made of wrong parts
        return _NO_PARTS


def _parts(term: Any, kept: list[Any]) -> Iterator[_Step]:
    """The parts of a container; `_NO_PARTS` itself of anything else."""
    kind = type(term)
    if kind in (list, tuple, FrozenList):
        return (("[{}]", index, part) for index, part in enumerate(term))
    if kind in (dict, FrozenMap):
        return _pairs(term.items())
    if kind is TermMap:
        return _pairs(term.pairs)
    if kind is Struct:
        return _pairs(term.fields.items(), ".{}")
    if kind is ImproperList:
        return _improper(term)
    if kind is NativeRecord:
        return (("[{}]", str(name), value) for name, value in zip(term.names, term.values, strict=False))
    if kind is Fun:
        return ((".free[{}]", index, part) for index, part in enumerate(term.free))
    try:
        simpler = simplify(term)
    except EncodeError:  # it is the value itself
        return _NO_PARTS
    kept.append(simpler)
    return iter((("", None, simpler),))


def _pairs(pairs: Iterable[tuple[Any, Any]], form: str = "[{}]") -> Iterator[_Step]:
    for index, (key, value) in enumerate(pairs):
        yield ".keys()[{}]", index, key
        yield (form if type(key) is Atom else "[{}]"), key, value


def _improper(term: ImproperList) -> Iterator[_Step]:
    for index, part in enumerate(term.items):
        yield ".items[{}]", index, part
    yield ".tail", None, term.tail


def _text(steps: list[_Step]) -> str:
    told = [step for step in steps if step[0]]
    path = "".join(form.format(_key(form, value)) for form, value, _ in told[:PATH_LEVELS])
    return path + "…" if len(told) > PATH_LEVELS else path


def _key(form: str, key: Any) -> str:
    """A key as it may stand in an error: names do, data does not."""
    kind = type(key)
    if kind is Atom:
        text = key.name if form[0] == "." else repr(key)
    elif kind is str and len(key) <= _KEY_CHARACTERS:
        text = repr(key)
    elif kind is bool or (kind is int and key.bit_length() <= _KEY_CHARACTERS):
        text = str(key)
    else:
        text = f"<{name_of(kind).rpartition('.')[2]}>"
    return text if len(text) <= 4 * _KEY_CHARACTERS else "<…>"
