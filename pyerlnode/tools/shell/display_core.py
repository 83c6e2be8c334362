"""What the prompt prints: terms as Erlang or Elixir write them, folded, and errors in three lines."""

from __future__ import annotations

from itertools import islice
from typing import Any

from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, ImproperList, Struct, TermMap
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.term.text import Style, format_term

FOLDED = 50
"""Items of a list, tuple or map that are shown of a result."""
DEEP = 1_000
"""What is shown of all that is within them."""
LONGEST = 300
"""Characters of the text of an error."""
TERMS = (Atom, Pid, Port, Reference, Bitstring, ImproperList, Struct, TermMap, list, tuple, dict, bytes)
"""Classes of values that are shown as terms: these alone, and not what is made of them."""


def shown(term: Any, style: Style, node: Atom) -> str:
    """A result, with how much more of it there is."""
    some, more = term, 0
    if isinstance(term, list | tuple) and len(term) > FOLDED:
        some, more = term[:FOLDED], len(term) - FOLDED
    elif type(term) is dict and len(term) > FOLDED:
        some, more = dict(islice(term.items(), FOLDED)), len(term) - FOLDED
    text = format_term(some, style=style, limit=DEEP, node=node)
    return f"{text}\n… {more} more (show(_, 1000) shows 1000)" if more else text


def error(kind: str, text: str, where: str) -> str:
    """Three lines: what it is and says, where in what was typed, and how to see all of it."""
    said = " ".join(text.split())
    said = said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"
    return f"{kind}: {said}\n  in {where}\n  (%tb shows all of it)"
