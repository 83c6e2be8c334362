"""Elixir's sigils of dates, times and regular expressions, and its sets, as the structs that they stand for.

    ~D[2020-02-29]  ~T[10:00:00.120]  ~N[2020-02-29 10:00:00]  ~U[2020-02-29 10:00:00Z]  ~r/a.b/i  MapSet.new([1, 2])

The values are those that `decode` gives. A year has any number of digits, and no field is compared with a calendar:
Elixir prints a month 13, so it is read. A regular expression is read without its compiled form; the node that uses it
compiles it anew, as one that came from another release.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Struct
from pyerlnode.term.hooks import struct_decoders

SIGIL: Final = r"~[DTNU]\[[^\]]*\]"
REGEX: Final = r"~r/(?:[^/\\]|\\.)*/[a-zA-Z]*"

_DAY: Final = r"(?P<year>-?[0-9]{4,20})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_CLOCK: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,6}))?"
_FORMS: Final = {
    "D": ("Date", re.compile(_DAY)),
    "T": ("Time", re.compile(_CLOCK)),
    "N": ("NaiveDateTime", re.compile(f"{_DAY}[ T]{_CLOCK}")),
    "U": ("DateTime", re.compile(f"{_DAY}[ T]{_CLOCK}Z")),
}
_ISO: Final = Atom("Elixir.Calendar.ISO")
_STRUCT: Final = Atom("__struct__")
_EXCEPTION: Final = Atom("__exception__")


def is_error(module: Atom) -> bool:
    """Whether a struct of this name is an exception, of which Elixir does not print the field that says so."""
    return module.name.endswith("Error")


def built(module: Atom, fields: dict[Any, Any]) -> Any:
    """What `decode` makes of a struct; an exception has the field that says so."""
    if is_error(module):
        fields.setdefault(_EXCEPTION, True)
    return decoded(module, fields)


def decoded(module: Atom, fields: dict[Any, Any], at: int = 0) -> Any:
    decode = struct_decoders.get(module)
    made = Struct(module, fields, at)
    return made if decode is None else decode(made)


def of_map(term: Any) -> Any:
    """A map with ``__struct__`` is a struct."""
    module = term.get(_STRUCT) if type(term) is dict else None
    if type(module) is not Atom:
        return term
    at = list(term).index(_STRUCT)
    return decoded(module, {key: value for key, value in term.items() if key is not _STRUCT}, at)


def read_sigil(text: str, start: int) -> Any:
    """``~D[…]`` and its kin. Raises `TermSyntaxError`."""
    name, form = _FORMS[text[1]]
    found = form.fullmatch(text[3:-1])
    if found is None:
        raise TermSyntaxError(f"no {name} of ISO 8601 in the sigil", start)
    fields: dict[Any, Any] = {Atom("calendar"): _ISO}
    for key, value in found.groupdict().items():
        if key == "fraction":
            fields[Atom("microsecond")] = (int((value or "0").ljust(6, "0")), len(value or ""))
        else:
            fields[Atom(key)] = int(value)
    if name == "DateTime":
        fields |= {Atom("time_zone"): b"Etc/UTC", Atom("zone_abbr"): b"UTC"}
        fields |= {Atom("utc_offset"): 0, Atom("std_offset"): 0}
    return decoded(Atom(f"Elixir.{name}"), fields)


_OPTIONS: Final[dict[str, list[Any]]] = {
    "i": [Atom("caseless")], "x": [Atom("extended")], "m": [Atom("multiline")], "f": [Atom("firstline")],
    "U": [Atom("ungreedy")], "u": [Atom("unicode"), Atom("ucp")],
    "s": [Atom("dotall"), (Atom("newline"), Atom("anycrlf"))],
}  # fmt: skip


def letters_of(opts: Any) -> str | None:
    """The options of a regular expression as the letters behind it; None when they are others."""
    if type(opts) is bytes:
        return opts.decode() if re.fullmatch(rb"[a-zA-Z]*", opts) else None
    letters, left = "", list(opts) if type(opts) is list else [None]
    while left:
        letter = next((name for name, words in _OPTIONS.items() if left[: len(words)] == words), None)
        if letter is None:
            return None
        letters = letter + letters
        del left[: len(_OPTIONS[letter])]
    return letters


def read_regex(text: str, start: int) -> Struct:
    """``~r/…/opts``, in the form of Elixir 1.15 to 1.18. Raises `TermSyntaxError`."""
    source, _, letters = text[3:].rpartition("/")
    opts: list[Any] = []
    for letter in letters:
        if letter not in _OPTIONS:
            raise TermSyntaxError(f"{letter!r} is no option of a regular expression", start)
        opts = _OPTIONS[letter] + opts
    fields: dict[Any, Any] = {
        Atom("opts"): opts, Atom("re_pattern"): None, Atom("re_version"): b"",
        Atom("source"): source.replace("\\/", "/").encode(),
    }  # fmt: skip
    return Struct(Atom("Elixir.Regex"), fields)


def read_set(items: list[Any], start: int, make_map: Any) -> Any:
    """``MapSet.new([…])``. Raises `TermSyntaxError`."""
    if len(items) != 1 or type(items[0]) is not list:
        raise TermSyntaxError("MapSet.new takes one list", start)
    elements = make_map([(item, []) for item in items[0]])
    return decoded(Atom("Elixir.MapSet"), {Atom("map"): elements})
