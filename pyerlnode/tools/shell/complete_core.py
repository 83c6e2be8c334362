"""What Tab offers: modules and functions of a node after ``app.``, nodes and registered names within quotes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable

Exports = Callable[[str], Iterable[tuple[str, int]]]
"""The functions of a module, each with its arity."""

DOTTED = re.compile(r"([A-Za-z_]\w*(?:\.\w*)+)\Z")
QUOTED = re.compile(r"""(?:^|[\s(,\[=])(["'])([^"'\\]*)\Z""")


def dotted(line: str) -> list[str]:
    """The parts of what stands before the cursor, the last of them begun: ``app.lists.re`` gives three."""
    found = DOTTED.search(line)
    return found[1].split(".") if found else []


def quoted(line: str) -> str | None:
    """What of a text is typed before the cursor; None outside of quotes."""
    found = QUOTED.search(line)
    return found[2] if found and line.count(found[1]) % 2 else None


def attributes(path: list[str], begun: str, modules: Iterable[str], exports: Exports) -> dict[str, str]:
    """What may follow ``app.PATH.``: parts of modules' names, and functions, these with their arities.

    Names that Python can not write after a dot are left out; they are reached by brackets.
    """
    module = ".".join(path)
    before = f"{module}." if path else ""
    found: dict[str, list[int]] = {}
    for name in modules:
        if name.startswith(before) and (part := name[len(before) :].split(".")[0]):
            found.setdefault(part, [])
    if path:
        for function, arity in exports(module):
            found.setdefault(function, []).append(arity)
    return {
        name: " ".join(f"/{arity}" for arity in sorted(arities))
        for name, arities in sorted(found.items())
        if name.startswith(begun) and name.isidentifier() and not keyword.iskeyword(name)
    }
