"""A hostile vocabulary: terms that any peer may send and that code which was not written for them falls over.

    term(rng)             one term of any kind, often a nasty one, from a `random.Random`: a seed gives it again
    terms()               the same as a strategy of hypothesis
    EDGES                 each of the nasty ones by itself, for tables
    deep(kind, levels)    one kind of nesting, as deep as asked

What is in it: nestings deeper than Python's stack, numbers that are equal in Python and not in Erlang, names of
attributes and methods of our own classes, what Python can not hash, compare or print, pids and references of nodes that
are not there and of our own that are dead, integers longer than Python prints, and the words of every protocol in
wrong places. Every term has a form on the wire.
"""

from random import Random
from typing import Any

from hypothesis import strategies as st

from pyerlnode.errors import UsageError
from pyerlnode.term import A, Atom, Bitstring, ExternalFun, Fun, ImproperList, Pid, Port, Reference, Struct, TermMap

OTHER = Atom("nobody@127.0.0.1")
PAST_THE_STACK = 3_000
"""Levels at which recursive code in Python gives up."""

ATTRIBUTES = (
    "__class__", "__dict__", "__init__", "__eq__", "__hash__", "__getattr__", "__reduce__", "handle", "handle_call",
    "handle_cast", "handle_info", "init", "terminate", "server", "process", "pid", "system", "name", "exit", "_sys",
    "_parent", "_timer", "_state", "links", "monitors", "queue", "items", "keys", "node", "words", "reason", "state",
)  # fmt: skip
"""Names that are attributes of something here; as atoms and as binaries they must be names like any other."""

WORDS = (
    "$gen_call", "$gen_cast", "system", "EXIT", "DOWN", "io_request", "io_reply", "alias", "rex", "call", "cast",
    "nodeup", "nodedown", "nodes", "join", "leave", "discover", "sync", "local_data", "update", "monitor", "demonitor",
    "join_local", "leave_local", "init_connect", "init_connect_ack", "exchange", "resolved", "new_nodes", "in_sync",
    "lock_set", "set_lock", "del_lock", "register", "unregister", "get_known", "cancel_connect", "lost_connection",
    "remove_connection", "exchange_ops", "lock_is_set", "put_chars", "get_line", "get_until", "requests", "setopts",
    "get_state", "replace_state", "debug", "suspend", "timeout", "ok", "error", "undefined", "true", "false", "nil",
    "infinity", "process", "port", "latin1", "unicode", "spawn", "spawn_link", "spawn_opt", "is_auth", "log", "report",
    "global", "locker", "", "Elixir.Kernel", "é", "日本", "with space", "\x00",
)  # fmt: skip
"""The words of the protocols, for places where they do not belong, and atoms that are hard to print."""

NUMBERS = (
    0, 1, -1, True, False, 1.0, 0.0, -0.0, -1.0, 255, 256, 2**27, 2**31, 2**32, 2**53, float(2**53), 2**53 + 1, 2**63,
    2**64, -(2**63) - 1, 1.5, 5e-324, 1.7976931348623157e308, 10**400, -(10**5000), 1 << 40_000,
)  # fmt: skip

TEXTS = (
    b"", b"a", b"\x00", b"\xff\xfe", "é日本".encode(), b"\xed\xa0\x80", b"../../etc", b"%s %n {0} ~p", b"x" * 3_000,
)  # fmt: skip

_PID = Pid(OTHER, 7, 0, 3)
_FUN = Fun(A.nobody, 1, bytes(16), 0, 0, 0, _PID, (1, [2]))


def deep(kind: str, levels: int = PAST_THE_STACK) -> Any:
    """One term of `levels` levels: `list`, `tuple`, `improper`, `tail`, `map` (in its values), `fun` or `struct`."""
    term: Any = A.bottom
    for _ in range(levels):
        term = _WRAPPERS[kind](term)
    return term


def deep_key() -> Any:
    """A map whose key is nested as deeply as this library can write it."""
    try:
        return TermMap([(deep("list"), 1)])
    except (UsageError, RecursionError):
        return TermMap([(deep("list", 60), 1)])


_WRAPPERS: dict[str, Any] = {
    "list": lambda term: [term],
    "tuple": lambda term: (term,),
    "improper": lambda term: ImproperList((term,), A.tail),
    "tail": lambda term: ImproperList((A.head,), (term,)),
    "map": lambda term: {A.key: term},
    "fun": lambda term: _FUN.with_free((term,)),
    "struct": lambda term: Struct(A["Elixir.Deep"], {A.part: term}),
}


def references() -> list[Any]:
    """References and pids that nobody has, or nobody has any more."""
    return [
        _PID,
        Pid(OTHER, 0, 0, 0),
        Pid(OTHER, 2**28 - 1, 2**13 - 1, 2**32 - 1),
        Pid(A["nonode@nohost"], 1, 0, 0),
        Reference(OTHER, 3, (1, 2, 3)),
        Reference(OTHER, 0, (0,)),
        Reference(OTHER, 3, (2**18 - 1, 2**32 - 1, 2**32 - 1, 1, 1)),
        Port(OTHER, 7, 3),
    ]


EDGES: tuple[Any, ...] = (
    *NUMBERS,
    *TEXTS,
    *(Atom(name) for name in WORDS if name not in ("true", "false", "nil")),
    *references(),
    None,
    (),
    [],
    {},
    [[]],
    ((),),
    [1, 1.0, True],
    (1, 1.0, True),
    TermMap([(1, A.int), (1.0, A.float), (True, A.atom)]),
    TermMap([([1], A.list), ((1,), A.tuple)]),
    {1: 2, A["__class__"]: 3},
    {(): ()},
    {A["__struct__"]: 1},
    Struct(A["Elixir.MapSet"], {A.map: 1}),
    Struct(A["Elixir.Date"], {A.year: A.x, A.month: 13}),
    ImproperList((1,), 2),
    ImproperList((A.alias,), Reference(OTHER, 3, (1, 2, 3))),
    ImproperList((A.alias,), A.junk),
    ImproperList((ImproperList((A.alias,), 1),), 2),
    Bitstring(b"\xa0", 3),
    ExternalFun(A.erlang, A.halt, 0),
    ExternalFun(A["Elixir.System"], A.halt, 1),
    _FUN,
    [*b"a charlist"],
    [0x110000],
    [-1],
    [b"io", [[b"data"], 300, A.no]],
    *(deep(kind) for kind in ("list", "tuple", "improper", "map")),
)


def atom(rng: Random) -> Any:
    name = rng.choice(rng.choice((WORDS, ATTRIBUTES)))
    return {"true": True, "false": False, "nil": None}.get(name, Atom(name))


def scalar(rng: Random) -> Any:
    match rng.randrange(6):
        case 0 | 1:
            return atom(rng)
        case 2:
            return rng.choice(NUMBERS)
        case 3:
            return rng.choice((*TEXTS, rng.choice(ATTRIBUTES).encode()))
        case 4:
            return rng.choice(references())
    return rng.choice(EDGES)


def term(rng: Random, depth: int = 3) -> Any:
    """A term of any kind; `depth` bounds the nesting of what is made here, not of the edges within it."""
    if depth == 0 or rng.random() < 0.4:
        return scalar(rng)
    some = [term(rng, depth - 1) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4, 6)))]
    match rng.randrange(8):
        case 0 | 1 | 2:
            return tuple(some)
        case 3 | 4:
            return some
        case 5:
            return ImproperList(tuple(some) or (1,), scalar_tail(rng))
        case 6:
            return hostile_map([(scalar(rng), value) for value in some])
    return Struct(A[rng.choice(ATTRIBUTES)], {A[rng.choice(ATTRIBUTES)]: value for value in some})


def scalar_tail(rng: Random) -> Any:
    """The tail of an improper list: anything but a list."""
    tail = scalar(rng)
    return A.tail if isinstance(tail, (list, ImproperList)) else tail


def hostile_map(pairs: list[tuple[Any, Any]]) -> Any:
    """A map with these keys, each of them once; keys that can not be written are left out."""
    try:
        return TermMap(pairs)
    except (UsageError, RecursionError):
        return TermMap([(A.key, value) for _, value in pairs[:1]])


def terms() -> st.SearchStrategy[Any]:
    """`term` for hypothesis: a failure shows the seed."""
    return st.integers(0, 2**32 - 1).map(lambda seed: term(Random(seed)))
