"""global: names of any term that come, move and go, and locks of both sides; the driver is `diff_global.erl`."""

from __future__ import annotations

from random import Random
from typing import Any

from interop_tests.differential import words
from interop_tests.differential.groups import ALIKE
from interop_tests.differential.kinds import Kind
from pyerlnode import A
from pyerlnode.errors import Error, Exit, Throw
from pyerlnode.runtime import api
from pyerlnode.runtime.reason_core import caught_class

METHODS = tuple((A["global"], A[name]) for name in ("random_exit_name", "random_notify_name", "notify_all_name"))


class Script:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.names = rng.sample(ALIKE, 3)
        self.locks = rng.sample(ALIKE, 2)
        self.requesters = rng.sample(ALIKE, 2)

    def make(self) -> Any:
        return self.names, self.locks, [self.step() for _ in range(self.rng.randrange(3, 14))]

    def who(self) -> Any:
        return self.rng.randrange(2), self.rng.choice((1, 2, 3))

    def step(self) -> Any:
        rng = self.rng
        side, name = rng.randrange(2), rng.choice(self.names)
        kind = rng.choices(list(STEPS), list(STEPS.values()))[0]
        match kind:
            case "die":
                return A.die, self.who()
            case "register" | "re_register":
                return A[kind], side, name, self.who(), rng.choice(METHODS)
            case "unregister":
                return A.unregister, side, name
            case "send":
                return A.send, side, name, (A.said, words.term(rng))
        lock = (rng.choice(self.locks), rng.choice(self.requesters))
        sides = rng.choice(([0, 1], [0, 1], [0, 1], [0], [1], []))
        how = self.inside() if kind == "trans" else A.none
        return A[kind], self.who(), lock, sides, how

    def inside(self) -> Any:
        rng = self.rng
        why = words.reason(rng)
        return rng.choice(((A.value, words.term(rng)), A.inner, (A.error, why), (A.exit, why), (A.throw, A.ball)))


STEPS = {"register": 10, "re_register": 3, "unregister": 3, "send": 2, "die": 3, "set": 8, "del": 5, "trans": 5}


# --- the twin ---------------------------------------------------------------------------------------
def prepare(node: Any) -> None:
    node.export("diff_global", lambda: node.spawn(member, node), name="member")
    node.export("diff_global", lambda kind, args, _side: names(node, kind.name, args), name="names")


def names(node: Any, kind: str, args: Any) -> Any:
    of = node.global_
    match kind:
        case "register":
            return A.yes if of.register_name(*args) else A.no
        case "re_register":
            return A.yes if of.re_register_name(*args) else A.no
        case "unregister":
            return of.unregister_name(*args)
        case "send":
            try:
                return of.send(*args)
            except Exit as error:
                return error.reason
        case "registered":
            return of.registered_names()
        case "lockers":
            locks = node.system.global_names.server.core.locks
            return [pid for _, holders in locks.values() for pid in holders]
    pid = of.whereis_name(*args)
    return A.undefined if pid is None else pid


def member(node: Any) -> None:
    said: list[Any] = []
    while True:
        match api.receive():
            case (A.lock, from_, ref, kind, args):
                api.send(from_, (ref, locks(node, kind.name, *args)))
            case (A.mail, from_, ref):
                api.send(from_, (ref, said))
                said = []
            case message:
                said.append(message)


def locks(node: Any, kind: str, lock: Any, how: Any, nodes: Any) -> Any:
    of = node.global_
    if kind == "set":
        return of.set_lock(lock, nodes, 0)
    if kind == "del":
        return of.del_lock(lock, nodes)

    def inside() -> Any:
        match how:
            case (A.value, value):
                return value
            case (A.error, reason):
                raise Error(reason)
            case (A.exit, reason):
                raise Exit(reason)
            case (A.throw, term):
                raise Throw(term)
        return of.set_lock((lock[0], A.inner), nodes, 0)

    try:
        return A.value, of.trans(lock, inside, nodes, 0)
    except (Error, Exit, Throw) as error:
        return caught_class(error)[:2]


KIND = Kind("global", ("diff_global",), lambda rng: Script(rng).make(), prepare, pair=True, few=30, visible=True)
