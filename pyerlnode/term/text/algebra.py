"""Documents that choose their line breaks, as Elixir's `Inspect.Algebra` lays them out.

A document is a `str` or one of four nodes: `Cat` of documents, `Nest` (indents the breaks inside it), `Break`
(a space or nothing, or a new line), `Group` (all its strict breaks are one or the other). The law:

- A group is flat when it fits into the line from where it begins; text before its first break is not asked.
- In a group that does not fit, a strict break is a new line; a flex break is one only when what follows it, up to the
  next possible break, does not fit.
- Widths count bytes of UTF-8, as Elixir's do for binaries.

`layout` is a loop with its own stack: documents of any nesting print.
"""

from __future__ import annotations

from typing import NamedTuple, Union


class Cat(NamedTuple):
    docs: tuple[Doc, ...]


class Nest(NamedTuple):
    by: int
    doc: Doc


class Break(NamedTuple):
    text: str
    flex: bool


class Group(NamedTuple):
    doc: Doc


Doc = Union[str, Cat, Nest, Break, Group]  # noqa: UP007  # names that follow can not be joined by | in 3.10

_Item = tuple[int, bool, Doc]  # indentation, flat, document


def layout(doc: Doc, width: int) -> str:
    """`doc` in lines of `width` bytes; 0 puts everything on one line."""
    out: list[str] = []
    column = 0
    todo: list[_Item] = [(0, True, doc)]
    while todo:
        indent, flat, doc = todo.pop()
        if isinstance(doc, str):
            out.append(doc)
            column += _size(doc)
        elif isinstance(doc, Cat):
            todo.extend((indent, flat, part) for part in reversed(doc.docs))
        elif isinstance(doc, Nest):
            todo.append((indent + doc.by, flat, doc.doc))
        elif isinstance(doc, Group):
            todo.append((indent, width == 0 or _fits(width, column, False, [(indent, True, doc.doc)], []), doc.doc))
        elif flat or (doc.flex and _fits(width, column + len(doc.text), True, [], todo)):
            out.append(doc.text)
            column += len(doc.text)
        else:
            out.append("\n" + " " * indent)
            column = indent
    return "".join(out)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _fits(width: int, column: int, met: bool, todo: list[_Item | bool], rest: list[_Item]) -> bool:
    """Whether the line holds `todo` and then `rest` (a stack, not changed) up to the next break that may be a new line.

    `met` says whether a break was met that could have been a new line; before one, too long is still fitting. A bool in
    `todo` sets it back to what it was before a group.
    """
    below = len(rest)
    while not (met and column > width):
        if todo:
            item = todo.pop()
        elif below:
            below -= 1
            item = rest[below]
        else:
            return True
        if isinstance(item, bool):
            met = item
            continue
        indent, flat, doc = item
        if isinstance(doc, str):
            column += _size(doc)
        elif isinstance(doc, Cat):
            todo.extend((indent, flat, part) for part in reversed(doc.docs))
        elif isinstance(doc, Nest):
            todo.append((indent, flat, doc.doc))
        elif isinstance(doc, Group):
            todo.append(met)
            todo.append((indent, True, doc.doc))
        elif flat:
            column += len(doc.text)
            met = True
        else:
            return True
    return False
