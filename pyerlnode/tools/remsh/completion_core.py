"""What a shell of a BEAM says to complete a word by, as readline wants it.

`edlin_expand:expand/1` and IEx answer ``{yes | no, Expansion, Matches}``. A match is a text, ``{Text, _}``, or from
OTP 26 on a section: a map with a title and `elems`.
"""

from __future__ import annotations

import re
from typing import Any

from pyerlnode.term.atom import A

ENDING = re.compile(r"[/(].*")
"""Of a match: its arity, or the bracket that begins its arguments."""


def candidates(word: str, answer: Any) -> list[str]:
    """Whole words that begin with `word`: the one that it is completed to, or all that it may become."""
    match answer:
        case (_, expansion, _) if text_of(expansion):
            return [word + text_of(expansion)]
        case (_, _, list() as matches):
            found = {ENDING.sub("", name).strip() for name in _names(matches)}
            return sorted(name for name in found if name.startswith(word) and name != word)
    return []


def _names(matches: list[Any]) -> list[str]:
    found: list[str] = []
    for one in matches:
        match one:
            case dict():
                elems = one.get(A.elems)
                found += _names(elems) if isinstance(elems, list) else []
            case tuple() as pair if pair:
                found.append(text_of(pair[0]))
            case _:
                found.append(text_of(one))
    return [name for name in found if name]


def text_of(value: Any) -> str:
    """A charlist or a binary; "" for all else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and all(isinstance(c, int) and 0 <= c < 0x110000 for c in value):
        return "".join(map(chr, value))
    return ""
