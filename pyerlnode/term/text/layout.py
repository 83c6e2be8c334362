"""Line breaking and indentation as ``io:format("~p")`` does them, over the nodes of `print`.

Reference: OTP's io_lib_pretty. The law:

- What fits into the rest of the line stands on it. Only leaves share a line with a neighbour on their left; a
  container that has neighbours begins a line.
- The rest of a tuple whose first element is an atom stands under the second element; when that would begin
  beyond the middle of a line anywhere in the term, 4 under the brace; when that would too, 1 under it.
- A map's value that does not fit beside its key goes to the next line, indented by 4 (or by 1).

So printing is a walk that is done up to three times: as trials, which only look whether a tuple begins too far
to the right, and then for good. Trials measure three corners differently from the real walk, as OTP's do.

Widths, in characters: `column` (from 1) is where something begins, `after` how many closing brackets must follow
it on its line, `used` what the line holds before it, without indentation. The walk keeps its own stack: a
term of any nesting prints.
"""

from __future__ import annotations

from collections.abc import Callable

from pyerlnode.term.text.print import BIN, CLOSING, FIELD, LIST, MAP, OPENING, RECORD, TEXT, TUPLE, Node, write

_Task = tuple[Callable[..., None], tuple[object, ...]]
DOTS = "..."


class _TooFar(Exception):
    """A trial met a tuple that would begin beyond the middle of the line."""


def pretty(root: Node, columns: int) -> str:
    """`root` in lines of `columns` characters (0: one line), starting in the first column."""
    if columns == 0 or root.kind is TEXT or root.size < columns - 1:
        return write(root)
    for indent in (-1, 4):
        try:
            _Walk(columns, root.size, indent, trial=True).run(root)
        except _TooFar:
            continue
        return _Walk(columns, root.size, indent).run(root)
    return _Walk(columns, root.size, 1).run(root)


class _Walk:
    """One pass over the nodes, with `indent` for the rest of tagged tuples (negative: under the second element)."""

    def __init__(self, columns: int, most: int, indent: int, *, trial: bool = False) -> None:
        self.columns = columns
        self.most = most  # characters, without indentation, that a line may hold: the size of the whole term
        self.indent = indent
        self.trial = trial
        self.out: list[str] = []
        self.todo: list[_Task] = []

    def run(self, root: Node) -> str:
        self.node(root, 1, 0, 0, 0)
        todo = self.todo
        while todo:
            step, arguments = todo.pop()
            step(*arguments)
        return "".join(self.out)

    def then(self, *tasks: _Task) -> None:
        self.todo.extend(reversed(tasks))

    def emit(self, text: str) -> None:
        if not self.trial:
            self.out.append(text)

    def fits(self, size: int, column: int, after: int, used: int) -> bool:
        return size < self.columns - column - after and size + used + after <= self.most

    # Each step below prints one thing that may not fit on its line.
    def node(self, node: Node, column: int, margin: int, after: int, used: int) -> None:
        if self.fits(node.size, column, after, used) or node.kind is TEXT:
            if not self.trial:
                self.emit(write(node))
            return
        if node.kind is BIN:
            self.binary(node, column + 2, margin + 2, after, used)
            return
        self.emit(node.text + OPENING[node.kind])
        closing = (self.emit, (CLOSING[node.kind],))
        if node.kind is MAP:
            self.then((self.pairs, (node, column + 2, margin + 2, after, used + 1)), closing)
        elif node.kind is RECORD:
            named = len(node.text) + 1
            self.then((self.record, (node, column, margin, after, used + named)), closing)
        elif node.kind is TUPLE and node.tagged:
            self.then((self.tagged, (node, column, margin, after, used + 1)), closing)
        else:
            self.then((self.list, (node, 0, column + 1, margin + 1, after, used + 1)), closing)

    def tagged(self, node: Node, column: int, margin: int, after: int, used: int) -> None:
        tag = node.items[0]
        under = tag.size + 2
        beside = column + under
        self.emit(tag.text)
        if 0 < self.indent < under:
            start = column + self.indent
            self.check(self.most + start <= self.columns or start <= self.columns // 2)
            self.tail(node, 1, start, beside, margin + self.indent, after, used + tag.size)
        else:
            self.check(self.most + beside < self.columns or beside < self.columns // 2)
            self.emit(",")
            self.list(node, 1, beside, margin + under, after, used + tag.size + 1)

    def check(self, near: bool) -> None:
        if self.trial and not near:
            raise _TooFar

    def list(self, node: Node, at: int, column: int, margin: int, after: int, used: int) -> None:
        """The items of a list or tuple from `at` on; the first of them begins in `column`."""
        if at == len(node.items):
            self.emit(DOTS)
            return
        width = self.element(node, at, column, margin, after, used)
        self.then((self.tail, (node, at + 1, column, column + width, margin, after, used + width)))
        self.swap()

    def element(self, node: Node, at: int, column: int, margin: int, after: int, used: int) -> int:
        """Prints an item, now or by the next task; gives its width, or a full line's when nothing may follow it."""
        item = node.items[at]
        after = self.brackets(node, at, after)
        if item.kind is TEXT and self.fits(item.size, column, after, used):
            self.then((self.emit, (item.text,)))
            return item.size
        self.then((self.node, (item, column, margin, after, used)))
        return self.columns

    def swap(self) -> None:
        """What was pushed last is done after what was pushed before it."""
        self.todo[-1], self.todo[-2] = self.todo[-2], self.todo[-1]

    @staticmethod
    def brackets(node: Node, at: int, after: int) -> int:
        return after + 1 if at + 1 == len(node.items) else 0

    def tail(self, node: Node, at: int, start: int, column: int, margin: int, after: int, used: int) -> None:
        """The items from `at` on, each after a comma: on the line, which has come to `column`, or on the next."""
        items = node.items
        while at < len(items):
            item = items[at]
            if not (item.kind is TEXT and self.joins(item, self.brackets(node, at, after), column, used)):
                self.emit(",\n" + " " * margin)
                width = self.element(node, at, start, margin, after, 0)
                self.then((self.tail, (node, at + 1, start, start + width, margin, after, width)))
                self.swap()
                return
            self.emit("," + item.text)
            column += 1 + item.size
            used += 1 + item.size
            at += 1
        if node.tail is not None:
            self.last(node, start, column, margin, after, used)

    def joins(self, item: Node, brackets: int, column: int, used: int) -> bool:
        return self.fits(1 + item.size, column, brackets or 1, used)

    def last(self, node: Node, start: int, column: int, margin: int, after: int, used: int) -> None:
        """An improper tail, or dots."""
        tail = node.tail
        assert tail is not None
        bar = "|" if node.kind is LIST else ","
        if tail.text == DOTS:
            self.emit(bar + DOTS)
        elif tail.kind is TEXT and self.fits(tail.size + 1, column, after + 1, used):
            self.emit(bar + tail.text)
        else:
            self.emit(f"{bar}\n{' ' * margin}")
            self.node(tail, column if self.trial else start, margin, after + 1, 0)

    def record(self, node: Node, column: int, margin: int, after: int, used: int) -> None:
        """The fields of a record, under the first or, when its name is long, under the name."""
        if not node.items:
            return
        column, margin, used = self.under_name(len(node.text) + 1, column, margin, used)
        width = self.pair(node, 0, column, margin, after, used)
        self.then((self.more_pairs, (node, 1, column, column + width, margin, after, used + width)))
        self.swap()

    def under_name(self, named: int, column: int, margin: int, used: int) -> tuple[int, int, int]:
        broken = 0 < self.indent < named
        by = self.indent if broken else named
        self.check(self.most + column + by <= self.columns or column + by <= self.columns // 2)
        if broken:
            self.emit("\n" + " " * (margin + by))
        return column + by, margin + by, 0 if broken else used

    def pairs(self, node: Node, column: int, margin: int, after: int, used: int) -> None:
        if self.trial:
            used += 1
        width = self.pair(node, 0, column, margin, after, used)
        rest = used + width if self.trial else width
        self.then((self.more_pairs, (node, 1, column, column + width, margin, after, rest)))
        self.swap()

    def more_pairs(self, node: Node, at: int, start: int, column: int, margin: int, after: int, used: int) -> None:
        items = node.items
        while at < len(items):
            pair = items[at]
            if not (_leaves(pair) and self.joins(pair, self.brackets(node, at, after), column, used)):
                self.emit(",\n" + " " * margin)
                width = self.pair(node, at, start, margin, after, 0)
                self.then((self.more_pairs, (node, at + 1, start, start + width, margin, after, width)))
                self.swap()
                return
            self.emit("," + write(pair))
            column += 1 + pair.size
            used += 1 + pair.size
            at += 1
        if node.tail is not None:
            self.emit("," + DOTS)

    def pair(self, node: Node, at: int, column: int, margin: int, after: int, used: int) -> int:
        """As `element`, for a key and its value."""
        pair = node.items[at]
        after = self.brackets(node, at, after)
        if self.fits(pair.size, column, after, used):
            self.then((self.emit, (write(pair),)))
            return pair.size if _leaves(pair) else self.columns
        self.then((self.broken_pair, (pair, column, margin, after, used)))
        return self.columns

    def broken_pair(self, pair: Node, column: int, margin: int, after: int, used: int) -> None:
        if pair.kind is FIELD:
            self.broken_field(pair, column, margin, after, used)
            return
        key, value = pair.items
        indent = self.indent if self.indent > 0 else 4
        self.then(
            (self.node, (key, column, margin, after, used)),
            (self.emit, (" =>\n" + " " * (margin + indent),)),
            (self.node, (value, column + indent, margin + indent, after, 0)),
        )

    def broken_field(self, field: Node, column: int, margin: int, after: int, used: int) -> None:
        named = len(field.text) + 3
        self.emit(field.text + (" =" if 0 < self.indent < named else " = "))
        column, margin, used = self.under_name(named, column, margin, used + named)
        self.then((self.node, (field.items[0], column, margin, after, used)))

    def binary(self, node: Node, column: int, margin: int, after: int, used: int) -> None:
        """The segments of a binary, as many on each line as there is room for; at least eight characters."""
        if self.trial:
            return
        room = max(8, min(self.columns - column, self.most - 4 - used) - after)
        left = room
        parts = node.text[2:-2].split(",")
        self.emit("<<")
        for at, part in enumerate(parts):
            text = part if at + 1 == len(parts) else part + ","
            if len(text) > left:
                self.emit("\n" + " " * margin)
                left = room
            self.emit(text)
            left -= len(text)
        self.emit(">>")


def _leaves(pair: Node) -> bool:
    return all(item.kind is TEXT for item in pair.items)
