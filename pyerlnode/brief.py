"""A value in a few words, whatever it is: for the text of errors and the lines of logs.

`repr` of what a peer sent is as long as that is; it ends with `RecursionError` in a term of a thousand levels and with
`ValueError` at an integer of 4,301 digits; that of a program's object may raise anything. `told` raises nothing, takes
no longer than its text (but for what a program's own `repr` takes), and gives no more than it is asked for.

    >>> told([1, {"a": 10**5000}, (None,)])
    "[1, {'a': <an integer of 16610 bits>}, (None,)]"
    >>> told([[[]]] * 1000, 20)
    '[[[]], [[]], [[]], […'

The text of an exception may be anything as well: `message` takes it.

It looks into what is entered in `PARTS`; of anything else it asks `repr`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

TOLD: Final = 2_000
"""Characters of a value in an error."""
BRIEF: Final = 200
"""Characters of a value in a line."""
LEVELS: Final = 100
_ALL: Final = 1 << 60
DIGITS: Final = 10_000
"""Bits of an integer that is written in digits."""


class Text(str):
    """A part that is told as it stands."""

    __slots__ = ()


_COMMA, _COLON = Text(", "), Text(": ")
_END: Final = object()


def told(value: Any, most: int = TOLD) -> str:
    """`value` as `repr` gives it, or in other words where that can not; at most `most` characters and an ellipsis."""
    words: list[str] = []
    size = 0
    for word in _words(value, most, LEVELS):
        words.append(word)
        size += len(word)
        if size > most:
            return "".join(words)[:most] + "…"
    return "".join(words)


def short(value: Any) -> str:
    """`value` in a line of text."""
    return told(value, BRIEF)


def message(error: BaseException, most: int = TOLD) -> str:
    """The text of an exception, whatever its `__str__` does; at most `most` characters and an ellipsis."""
    try:
        text = str(error)
    except BaseException as broken:
        return f"<str() of the exception raised {_name(type(broken))}>"
    return text if len(text) <= most else text[:most] + "…"


def written(value: Any) -> str:
    """All of `value`, at any nesting: the `repr` of the classes in `PARTS`. What `repr` can not tell is told."""
    return "".join(_words(value, _ALL, _ALL))


def row(before: str, parts: Iterable[Any], behind: str) -> Iterator[Any]:
    """Parts with commas between them."""
    yield Text(before)
    comma = False
    for part in parts:
        if comma:
            yield _COMMA
        comma = True
        yield part
    yield Text(behind)


def pairs(before: str, given: Iterable[tuple[Any, Any]], behind: str) -> Iterator[Any]:
    """Keys and values as in a dict."""
    yield Text(before)
    comma = False
    for key, value in given:
        if comma:
            yield _COMMA
        comma = True
        yield from (key, _COLON, value)
    yield Text(behind)


def call(name: str, *parts: Any) -> Iterator[Any]:
    """A value that is told as the call that makes it."""
    return row(f"{name}(", parts, ")")


PARTS: Final[dict[type, Callable[[Any], Iterable[Any]]]] = {
    list: lambda value: row("[", value, "]"),
    tuple: lambda value: row("(", value, ",)" if len(value) == 1 else ")"),
    dict: lambda value: pairs("{", value.items(), "}"),
}
"""The parts and the `Text` around them of a container, by its type. Modules of containers enter theirs."""


def _words(value: Any, most: int, levels: int) -> Iterator[str]:
    waiting: list[Iterator[Any]] = []
    parts: Iterator[Any] = iter((value,))
    while True:
        part = _next(parts)
        if part is _END:
            if not waiting:
                return
            parts = waiting.pop()
        elif type(part) is Text:
            yield part
        elif type(part) not in PARTS:
            yield _leaf(part, most)
        elif len(waiting) >= levels:
            yield "…"
        else:
            waiting.append(parts)
            parts = _opened(part)


def _next(parts: Iterator[Any]) -> Any:
    try:
        return next(parts, _END)
    except Exception:  # a container that changes, or is made of wrong parts
        return _END


def _opened(value: Any) -> Iterator[Any]:
    try:
        return iter(PARTS[type(value)](value))
    except Exception:  # it is made of wrong parts
        return iter((Text(f"<a broken {_name(type(value))}>"),))


def _leaf(value: Any, most: int) -> str:
    kind = type(value)
    if kind is int and value.bit_length() > DIGITS:
        return f"<an integer of {value.bit_length()} bits>"
    if kind in (str, bytes, bytearray) and len(value) > most:
        return repr(value[:most]) + "…"
    try:
        text = repr(value)
    except BaseException as broken:
        return f"<{_name(kind)} whose repr raised {_name(type(broken))}>"
    return text if len(text) <= most else text[: most + 1]


def _name(kind: type) -> str:
    name: str = type.__dict__["__name__"].__get__(kind)  # whatever its metaclass makes of it
    return name[:BRIEF]
