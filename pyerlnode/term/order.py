"""Erlang's total order of terms: what ``<``, ``==`` and ``=:=`` say on a BEAM.

Reference: the Erlang reference manual, "Term Comparisons". The law:

- number < atom < reference < fun < port < pid < tuple < map < ``[]`` < list < bit string.
- Integers and floats compare by their exact values, so ``1 == 1.0``; the exact comparison (``=:=``, and the
  keys of maps) puts every integer before every float, and ``-0.0`` before ``0.0`` (as OTP 27 and later).
- Atoms by their text. Tuples by size, then by elements. Lists element by element, ``[]`` before any cell.
- Maps by size, then by their keys in (exact) order, then by the values in the order of the keys.
- Bit strings bit by bit, the shorter first.
- Pids by serial and number and then by node and creation; ports and references by node and creation first.
- Local functions before external ones.

Nothing recurses: terms of any nesting compare.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import cmp_to_key
from typing import Any

from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Bitstring, FrozenList, FrozenMap, ImproperList, NativeRecord, Struct, TermMap
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.pid import Pid, Port, Reference
from pyerlnode.term.view import atom_of, core, pairs_of

NUMBER, ATOM, REFERENCE, FUN, PORT, PID, TUPLE, RECORD, MAP, NIL, LIST, BITS = range(12)

_RANKS: dict[type, int] = {
    int: NUMBER, float: NUMBER,
    Atom: ATOM, bool: ATOM, type(None): ATOM,
    Reference: REFERENCE, Fun: FUN, ExternalFun: FUN, Port: PORT, Pid: PID,
    tuple: TUPLE, NativeRecord: RECORD,
    dict: MAP, FrozenMap: MAP, TermMap: MAP, Struct: MAP,
    list: LIST, FrozenList: LIST, ImproperList: LIST,
    bytes: BITS, Bitstring: BITS,
}  # fmt: skip

_SINGLE = frozenset({NUMBER, ATOM, REFERENCE, PORT, PID, BITS})
"""Ranks of terms without parts."""

_Pairs = Iterator[tuple[Any, Any, bool]]
_Sorted = dict[int, tuple[Any, list[tuple[Any, Any]]]]
"""By its id, a map (so that it keeps that) and its pairs in the order of their keys."""
_MAPS = object()
"""Two maps of one size."""
_CELL = [0]


def compare(left: Any, right: Any, *, exact: bool = False) -> int:
    """-1, 0 or 1 as `left` is before, equal to (``==``; ``=:=`` when `exact`) or after `right`.

    Raises `EncodeError` for a value that is no term.
    """
    waiting: list[Any] = []
    asked: list[int] = []
    """Where in `waiting` the maps stand whose keys are being sorted: each is told how two of its keys compare."""
    sorted_maps: _Sorted = {}
    while True:
        found: Any = 0
        if left is not right:
            found = _step(left, right, exact)
            if type(found) is not int:
                if found is _MAPS:
                    found = _sorted_and_compared(left, right, exact, sorted_maps)
                waiting.append(found)
                found = 0
        following = None
        while following is None:
            if asked and (found or len(waiting) == asked[-1]):
                del waiting[asked[-1] :]
                asked.pop()
                following = waiting[-1].send(found)
                found = 0
            elif found or not waiting:
                return found  # type: ignore[no-any-return]
            else:
                following = next(waiting[-1], None)
                if following is None:
                    waiting.pop()
        if len(following) == 2:
            asked.append(len(waiting))
            left, right = following
            exact = True
        else:
            left, right, exact = following


def equal(left: Any, right: Any) -> bool:
    """Erlang's ``==``: 1 and 1.0 are equal."""
    return compare(left, right) == 0


def identical(left: Any, right: Any) -> bool:
    """Erlang's ``=:=``: 1, 1.0 and True are three terms."""
    return compare(left, right, exact=True) == 0


def sort_key(term: Any, *, exact: bool = False) -> Any:
    """A key for `sorted`, `min` and `max` that orders terms as ``lists:sort/1`` does; `exact`: as a map's keys."""
    return _exact_key(term) if exact else _key(term)


_key = cmp_to_key(lambda left, right: compare(left, right))
_exact_key = cmp_to_key(lambda left, right: compare(left, right, exact=True))


def _step(left: Any, right: Any, exact: bool) -> int | _Pairs:
    """The comparison of two terms, or the comparisons that it comes down to, in order."""
    left, right = core(left), core(right)
    rank, other = _rank(left), _rank(right)
    if rank != other:
        return -1 if rank < other else 1
    return _COMPARE[rank](left, right, exact)


def _rank(term: Any) -> int:
    rank = _RANKS[type(term)]
    return NIL if rank == LIST and type(term) is not ImproperList and not term else rank


def _order(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _numbers(left: float, right: float, exact: bool) -> int:
    if exact and type(left) is not type(right):
        return -1 if type(left) is int else 1
    if exact and left == right == 0.0:
        return _order(str(right)[0] == "-", str(left)[0] == "-")
    return _order(left, right)


def _references(left: Reference, right: Reference, _exact: bool) -> int:
    size = max(len(left.words), len(right.words))
    mine, theirs = (ref.words[::-1] for ref in (_padded(left, size), _padded(right, size)))
    return _by_node(left, right) or _order(mine, theirs)


def _padded(ref: Reference, size: int) -> Reference:
    return Reference(ref.node, ref.creation, ref.words + (0,) * (size - len(ref.words)))


def _by_node(left: Any, right: Any) -> int:
    return _order((left.node.utf8, left.creation), (right.node.utf8, right.creation))


def _functions(left: Any, right: Any, exact: bool) -> int | _Pairs:
    if type(left) is not type(right):
        return -1 if type(left) is Fun else 1
    if type(left) is ExternalFun:
        return _order(
            (left.module.utf8, left.function.utf8, left.arity), (right.module.utf8, right.function.utf8, right.arity)
        )
    mine, theirs = (
        (fun.module.utf8, fun.old_index, fun.old_uniq, fun.index, fun.uniq, len(fun.free)) for fun in (left, right)
    )
    return _order(mine, theirs) or _zipped(left.free, right.free, exact)


def _zipped(left: Any, right: Any, exact: bool) -> _Pairs:
    return ((mine, theirs, exact) for mine, theirs in zip(left, right, strict=False))


def _tuples(left: tuple[Any, ...], right: tuple[Any, ...], exact: bool) -> int | _Pairs:
    return _order(len(left), len(right)) or _zipped(left, right, exact)


def _records(left: NativeRecord, right: NativeRecord, exact: bool) -> int | _Pairs:
    mine, theirs = (
        (record.module.utf8, record.name.utf8, record.exported, [name.utf8 for name in record.names])
        for record in (left, right)
    )
    return _order(mine, theirs) or _zipped(left.values, right.values, exact)


def _maps(left: Any, right: Any, _exact: bool) -> Any:
    return _order(len(pairs_of(left)), len(pairs_of(right))) or _MAPS


def _sorted_and_compared(left: Any, right: Any, exact: bool, known: _Sorted) -> Iterator[Any]:
    """The comparisons of two maps of one size, behind those that sort their keys."""
    mine = yield from _in_order(core(left), known)
    theirs = yield from _in_order(core(right), known)
    yield from ((left[0], right[0], True) for left, right in zip(mine, theirs, strict=True))
    yield from ((left[1], right[1], exact) for left, right in zip(mine, theirs, strict=True))


def _in_order(term: Any, known: _Sorted) -> Generator[tuple[Any, Any], int, list[tuple[Any, Any]]]:
    """The pairs of a map in the order of their keys. Asks for the comparison of two keys by what it yields.

    A map is sorted once in a comparison of terms, however many keys it stands in are sorted around it.
    """
    done = known.get(id(term))
    if done is not None:
        return done[1]
    pairs = pairs_of(term)
    if all(_rank(core(key)) in _SINGLE for key, _ in pairs):
        pairs.sort(key=lambda pair: _exact_key(pair[0]))
    else:
        pairs = yield from _merged(pairs)
    known[id(term)] = term, pairs
    return pairs


def _merged(pairs: list[tuple[Any, Any]]) -> Generator[tuple[Any, Any], int, list[tuple[Any, Any]]]:
    """`pairs` sorted by merging, which can wait for each comparison where `list.sort` would go down the stack."""
    runs = [[pair] for pair in pairs]
    while len(runs) > 1:
        merged = []
        for one, two in zip(runs[::2], runs[1::2], strict=False):
            row, at, of = [], 0, 0
            while at < len(one) and of < len(two):
                if (yield one[at][0], two[of][0]) <= 0:
                    row.append(one[at])
                    at += 1
                else:
                    row.append(two[of])
                    of += 1
            merged.append(row + one[at:] + two[of:])
        runs = merged + runs[len(merged) * 2 :]
    return runs[0] if runs else []


def _lists(left: Any, right: Any, exact: bool) -> _Pairs:
    (mine, my_tail), (theirs, their_tail) = spread(left), spread(right)
    yield from _zipped(mine, theirs, exact)
    yield (
        _CELL if len(mine) > len(theirs) else my_tail,
        _CELL if len(theirs) > len(mine) else their_tail,
        exact,
    )


def spread(term: Any) -> tuple[Any, Any]:
    """The elements of a list and its last tail: ``[]`` unless the list is improper."""
    if type(term) is not ImproperList:
        return term, []
    items, tail = list(term.items), term.tail
    while type(tail) is ImproperList:
        items += tail.items
        tail = tail.tail
    return (items, tail) if not isinstance(tail, list) else (items + tail, [])


def _bits(left: bytes | Bitstring, right: bytes | Bitstring, _exact: bool) -> int:
    if type(left) is bytes and type(right) is bytes:
        return _order(left, right)
    size = min(_bit_size(left), _bit_size(right))
    return _order(_head(left, size), _head(right, size)) or _order(_bit_size(left), _bit_size(right))


def _bit_size(term: bytes | Bitstring) -> int:
    return len(term) if type(term) is Bitstring else len(term) * 8


def _head(term: bytes | Bitstring, size: int) -> bytes:
    data = term.data if type(term) is Bitstring else term
    assert isinstance(data, bytes)
    whole, rest = divmod(size, 8)
    return data[:whole] + bytes((data[whole] >> (8 - rest),)) if rest else data[:whole]


_COMPARE: dict[int, Callable[[Any, Any, bool], int | _Pairs]] = {
    NUMBER: _numbers,
    ATOM: lambda left, right, _exact: _order(atom_of(left).utf8, atom_of(right).utf8),
    REFERENCE: _references,
    FUN: _functions,
    PORT: lambda left, right, _exact: _by_node(left, right) or _order(left.id, right.id),
    PID: lambda left, right, _exact: _order((left.serial, left.id), (right.serial, right.id)) or _by_node(left, right),
    TUPLE: _tuples,
    RECORD: _records,
    MAP: _maps,
    NIL: lambda _left, _right, _exact: 0,
    LIST: _lists,
    BITS: _bits,
}
