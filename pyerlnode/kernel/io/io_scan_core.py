"""The tokens of Erlang term text, as ``erl_scan:tokens/2`` gives them: what ``io:read`` wants from a device.

    {atom, L, a}  {integer, L, 1}  {float, L, 1.0}  {char, L, 97}  {string, L, "…"}  {'{', L} …  {dot, L}

All are on line 1: a device does not count lines.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.text.scan import Token, scan
from pyerlnode.term.view import ATOMS, atom_of

LINE = 1
RELEASE = 26
"""The last one whose tokens mean the same to every reader."""


def complete(text: str) -> int:
    """Where the first term of `text` ends, behind its dot and line; 0 while it has not ended."""
    at = text.find(".")
    while at >= 0:
        follows = text[at + 1 : at + 2]
        if follows and follows in " \t\r\n" and text.count('"', 0, at) % 2 == 0:
            return at + 2
        at = text.find(".", at + 1)
    return 0


def tokens(text: str) -> list[Any]:
    """Raises `TermSyntaxError` for what is no term."""
    found = []
    for token in scan(text, RELEASE):
        if token.kind == "end":
            break
        found.append(_token(token, text))
    if not found or found[-1] != (A.dot, LINE):
        found.append((A.dot, LINE))
    return found


def _token(token: Token, text: str) -> Any:
    value = token.value
    if token.kind == "string":
        return A.string, LINE, [ord(c) for c in value]
    if token.kind == "value":
        return _value(value, text, token.start)
    if token.kind == "dot" or value == ".":
        return A.dot, LINE
    return Atom(str(value)), LINE


def _value(value: Any, text: str, start: int) -> Any:
    if type(value) in ATOMS:
        return A.atom, LINE, atom_of(value)
    if isinstance(value, float):
        return A.float, LINE, value
    if isinstance(value, int):
        return A.char if text[start] == "$" else A.integer, LINE, value
    raise TermSyntaxError("a term was expected", start)
