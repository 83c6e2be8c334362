"""A hostile vocabulary: terms that any peer may send and that code which was not written for them falls over.

    term(rng)             one term of any kind, often a nasty one, from a `random.Random`: a seed gives it again
    message(rng)          a term in an envelope that some process of a node takes for its own, most of it wrong
    terms()               the same as `term`, as a strategy of hypothesis
    EDGES                 each of the nasty ones by itself, for tables
    ALIKE                 terms that must be told apart where something goes by a term
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


def deep(kind: str, levels: int = PAST_THE_STACK, bottom: Any = A.bottom) -> Any:
    """One term of `levels` levels: `list`, `tuple`, `improper`, `tail`, `map` (in its values), `fun` or `struct`."""
    term = bottom
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


ALIKE: tuple[Any, ...] = (
    0, 1, 1.0, True, False, None, 0.0, -0.0, [1], (1,), {}, {1: 1}, {1.0: 1}, [], (), b"a", A.a, [97], 2**61 - 1,
    2**62 - 2, 10**5000, ImproperList((1,), 2), TermMap([(1, 1), (1.0, 1)]), deep("list"), deep("map"),
)  # fmt: skip
"""Terms of which each is another one, though Python takes some for the same, and can not hash others."""


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


REASONS: tuple[Any, ...] = (
    A.normal, A.kill, A.killed, A.shutdown, (A.shutdown, A.why), (A.shutdown, 1, 2), A.noproc, A.noconnection, A.boom,
    (A.boom, []), (A.EXIT, A.boom), (A.nocatch, A.x), A.badarg, A.timeout, A.undefined,
)  # fmt: skip
"""Why processes end, in OTP's words, right and nearly right."""


def reason(rng: Random) -> Any:
    """Why something ends: one of OTP's words in most cases, else any term."""
    return rng.choice(REASONS) if rng.random() < 0.8 else rng.choice((rng.choice(ALIKE), term(rng, 2)))


# --- envelopes -----------------------------------------------------------------------------------
class Slot:
    """A place in an envelope: mostly something of the kind that belongs there, else any term."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def fill(self, rng: Random) -> Any:
        return self.make(rng) if rng.random() < 0.7 else term(rng, 2)


def fill(rng: Random, template: Any) -> Any:
    """What an envelope or a request with slots becomes."""
    if isinstance(template, Slot):
        return template.fill(rng)
    if type(template) is list:
        return [fill(rng, part) for part in template]
    if type(template) is tuple:
        filled = [fill(rng, part) for part in template]
        if rng.random() < 0.05:  # of another arity
            filled = rng.choice((filled[:-1], [*filled, term(rng, 1)]))
        return tuple(filled)
    return template


PID = Slot(lambda rng: rng.choice([one for one in references() if type(one) is Pid]))
REF = Slot(lambda rng: rng.choice([one for one in references() if type(one) is Reference]))
NODE = Slot(lambda rng: rng.choice((OTHER, A["a@b"], A.nonode, A["x@127.0.0.1"])))
ANY = Slot(lambda rng: term(rng, 2))
NAME = Slot(atom)
NUMBER = Slot(lambda rng: rng.choice(NUMBERS))
LIST = Slot(lambda rng: [term(rng, 1) for _ in range(rng.randrange(4))])
PIDS = Slot(lambda rng: [PID.fill(rng) for _ in range(rng.randrange(3))])
PAIRS = Slot(lambda rng: [(term(rng, 1), PIDS.fill(rng)) for _ in range(rng.randrange(3))])
GROUPS = Slot(lambda rng: hostile_map([(term(rng, 1), PIDS.fill(rng))]))
CHANGES = Slot(lambda rng: [(term(rng, 1), PIDS.fill(rng), PIDS.fill(rng))])
NAMES = Slot(lambda rng: [(term(rng, 1), PID.fill(rng), term(rng, 1)) for _ in range(rng.randrange(3))])
OPERATIONS = Slot(
    lambda rng: [rng.choice(((A.insert, (term(rng, 1), PID.fill(rng), A.x)), (A.delete, term(rng, 1)), term(rng, 1)))]
)
KNOWN = Slot(lambda rng: [rng.choice(((OTHER, 8), OTHER, (OTHER, 10**400), term(rng, 1)))])
LOCK = Slot(lambda rng: (term(rng, 1), term(rng, 1)))
META = Slot(lambda rng: hostile_map([(A.pid, PID.fill(rng)), (A.time, term(rng, 1)), (A.gl, term(rng, 1))]))
TAG = Slot(lambda rng: rng.choice((REF.fill(rng), ImproperList((A.alias,), REF.fill(rng)), term(rng, 1))))
FROM = Slot(lambda rng: (PID.fill(rng), TAG.fill(rng)))

SYSTEM_REQUESTS: tuple[Any, ...] = (
    A.get_state, A.get_status, A.suspend, A.resume, (A.replace_state, ANY), (A.change_code, ANY, ANY, ANY), ANY,
    (A.debug, A.no_debug), (A.debug, (A.trace, ANY)), (A.debug, (A.log, ANY)), (A.debug, (A.log, (True, NUMBER))),
    (A.debug, (A.statistics, ANY)), (A.debug, (A.install, ANY)), (A.debug, (A.install, (ANY, ANY))),
    (A.debug, (A.install, (ANY, ANY, ANY))), (A.debug, (A.remove, ANY)), (A.debug, ANY),
    (A.debug, (A.log_to_file, 7)),
)  # fmt: skip
"""What `sys` asks, but for its orders to end, and to write to files that have a name."""

CALLS: tuple[Any, ...] = (
    ANY, NAME, (A.is_auth, ANY), (A.spawn, ANY, ANY, ANY, PID), (A.spawn_link, ANY, ANY, LIST, PID),
    (A.spawn_opt, ANY, ANY, LIST, LIST, ANY, PID), (A.call, ANY, ANY, LIST, PID), (A.block_call, ANY, ANY, ANY, PID),
    (A.join_local, ANY, PIDS), (A.leave_local, ANY, PIDS), (A.monitor, ANY), (A.demonitor, REF),
    (A.set_lock, LOCK), (A.del_lock, LOCK), (A.register, ANY, PID, ANY), (A.register_ext, ANY, PID, ANY, NODE),
    (A.unregister, ANY), A.get_known, A.get_synced, A.get_names_ext, A.get_protocol_version, (A.sync, ANY),
    A.which_children, A.count_children, (A.start_child, ANY), (A.terminate_child, ANY), (A.restart_child, ANY),
    (A.delete_child, ANY), (A.get_childspec, ANY), (A.which_child, ANY),
    (A.add_handler, ANY, ANY), (A.add_sup_handler, ANY, ANY, PID), (A.delete_handler, ANY, ANY), (A.call, ANY, ANY),
    (A.swap_handler, ANY, ANY, ANY, ANY), (A.sync_notify, ANY), A.which_handlers, A.get_modules,
)  # fmt: skip

CASTS: tuple[Any, ...] = (
    ANY, NAME, (A.cast, ANY, ANY, ANY, PID), (A.sync, PID, PAIRS), (A.local_data, PID, NUMBER, GROUPS),
    (A.init_connect, (NUMBER, ANY), NODE, (A.locker, ANY, ANY, PID)), (A.exchange, NODE, NAMES, LIST, ANY),
    (A.resolved, NODE, OPERATIONS, KNOWN, ANY, NAMES, ANY), (A.new_nodes, NODE, OPERATIONS, NAMES, KNOWN, LIST),
    (A.in_sync, NODE, ANY), (A.lock_set, PID, ANY, LIST, ANY), (A.lock_set, PID, ANY, LIST),
    (A.try_again_restart, ANY),
)  # fmt: skip

INFOS: tuple[Any, ...] = (
    ANY, NAME, A.timeout, (A.EXIT, PID, ANY), (A.EXIT, ANY), (A.DOWN, REF, A.process, PID, ANY),
    (A.DOWN, REF, A.port, ANY, ANY), (A.notify, ANY), (TAG, ANY), (REF, ANY), (A.nodeup, NODE), (A.nodedown, NODE),
    (A.nodeup, NODE, META), (A.nodedown, NODE, META), (A.discover, PID), (A.discover, PID, NUMBER),
    (A.join, PID, ANY, PIDS), (A.leave, PID, PIDS, LIST), (A.update, PID, CHANGES),
    (A.init_connect_ack, NODE, ANY, ANY),
    (A.cancel_connect, NODE, ANY), (A.lock_is_set, NODE, ANY, LOCK), (A.exchange_ops, NODE, ANY, OPERATIONS, LIST),
    (A.lost_connection, NODE, ANY, NUMBER, NODE), (A.unanswered, NODE, ANY), (A.remove_connection, NODE),
    (A.log, NAME, ANY, META), (A.log, NAME, ANY, LIST, META), (A.log_event, NODE, NAME, ANY, META),
    (A.log_event, NODE, NAME, (A.report, ANY), META), (A.log_event, NODE, NAME, (ANY, LIST), META),
    (PID, (A.call, ANY, ANY, LIST, PID)), (PID, A.features_request), (PID, (A.sbcast, ANY, ANY)),
    (PID, FROM, A.which_handlers), (PID, FROM, ANY), (A.rex, ANY), (A.rex, NODE, ANY), (A.io_reply, TAG, ANY),
    (A["$ancestors"], ANY), (A["$gen_cast"], ANY, ANY), (A["$gen_call"], ANY), (A.system, ANY),
    (A.spawn_reply, REF, A.ok, PID), (Port(OTHER, 7, 3), (A.data, ANY)), (Port(OTHER, 7, 3), A.closed),
)  # fmt: skip

IO_REQUESTS: tuple[Any, ...] = (
    ANY, NAME, (A.put_chars, NAME, ANY), (A.put_chars, A.unicode, ANY), (A.put_chars, ANY),
    (A.put_chars, A.unicode, A.io_lib, A.format, LIST), (A.put_chars, A.unicode, A.io_lib, A.format, (ANY, LIST)),
    (A.put_chars, A.unicode, ANY, ANY, LIST), (A.requests, LIST), (A.requests, ANY), (A.setopts, LIST),
    (A.setopts, ANY), A.getopts, (A.get_geometry, ANY), (A.get_password, ANY), (A.put_chars, ANY, ANY, ANY, ANY, ANY),
)  # fmt: skip
"""Requests to a device, but for those that read: they take what others want to read."""

READS: tuple[Any, ...] = (
    (A.get_line, NAME, ANY), (A.get_chars, NAME, ANY, NUMBER), (A.get_chars, ANY, NUMBER),
    (A.get_until, NAME, ANY, ANY, ANY, LIST), (A.get_until, NAME, ANY, A.erl_scan, A.tokens, LIST),
    (A.requests, [(A.get_line, A.x, hostile_map([]))]),
)  # fmt: skip

ENVELOPES: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (lambda rng, body: (A["$gen_call"], FROM.fill(rng), body), CALLS),
    (lambda _, body: (A["$gen_cast"], body), CASTS),
    (lambda rng, body: (A.system, FROM.fill(rng), body), SYSTEM_REQUESTS),
    (lambda _, body: body, INFOS),
    (lambda rng, body: (A.io_request, PID.fill(rng), TAG.fill(rng), body), IO_REQUESTS),
)


def message(rng: Random) -> Any:
    """A message of some protocol that a node speaks, with junk in it; none of them is an order to end."""
    wrap, bodies = rng.choice(ENVELOPES)
    return wrap(rng, fill(rng, rng.choice(bodies)))


def terms() -> st.SearchStrategy[Any]:
    """`term` for hypothesis: a failure shows the seed."""
    return st.integers(0, 2**32 - 1).map(lambda seed: term(Random(seed)))


def reasons() -> st.SearchStrategy[Any]:
    """`reason` for hypothesis."""
    return st.integers(0, 2**32 - 1).map(lambda seed: reason(Random(seed)))


def alike() -> st.SearchStrategy[Any]:
    """Terms that Python takes for the same, or can not hash."""
    return st.integers(0, len(ALIKE) - 1).map(lambda at: ALIKE[at])  # it is asked for its text, and these have none
