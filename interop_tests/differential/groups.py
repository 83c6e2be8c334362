"""pg: groups of any name, joined more than once, left, died out of, watched; the driver is `diff_groups.erl`."""

from __future__ import annotations

from random import Random
from typing import Any

from interop_tests.differential.kinds import Kind
from pyerlnode import A
from pyerlnode.errors import UsageError
from pyerlnode.runtime import api
from pyerlnode.term import TermMap
from pyerlnode.term.pattern import ANY

ALIKE = (
    1,
    1.0,
    True,
    [1],
    (1,),
    b"a",
    A.process,
    A.undefined,
    TermMap([(1, 1)]),
    TermMap([(1.0, 1)]),
    2**61 - 1,
    None,
    [],
)


class Script:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.groups = rng.sample(ALIKE, 3)

    def make(self) -> Any:
        return [self.step() for _ in range(self.rng.randrange(3, 14))]

    def step(self) -> Any:
        rng = self.rng
        side, group = rng.randrange(2), rng.choice(self.groups)
        match rng.choices(("join", "leave", "die", "watch", "unwatch"), (10, 6, 3, 3, 2))[0]:
            case "die":
                return A.die, (side, rng.choice((1, 2, 3)))
            case "watch":
                return A.watch, side, rng.choice((group, A["$all"]))
            case "unwatch":
                return A.unwatch, rng.choice((1, 1, 2))
            case kind:
                where = side if rng.random() < 0.9 else 1 - side
                # OTP tells watchers of all that are to leave, those too that are no members; so they leave one by one.
                number = rng.choice((1, 1, 2, 3)) if kind == "join" else 1
                return (
                    A[kind],
                    side,
                    group,
                    [(where, rng.choice((1, 2, 3))) for _ in range(number)],
                )


# --- the twin ---------------------------------------------------------------------------------------
def prepare(node: Any) -> None:
    def join(scope: Any, group: Any, pids: Any) -> Any:
        node.pg.join(group, pids, scope=scope)
        return A.ok

    def leave(scope: Any, group: Any, pids: Any) -> Any:
        return A.ok if node.pg.leave(group, pids, scope=scope) else A.not_joined

    def watch(scope: Any, group: Any) -> Any:
        pid = node.spawn(watcher, node, scope, group, api.self_())
        return pid, api.receive((A.watches, pid, ANY))[2]

    for name, function in {
        "scope": lambda scope: node.pg.start(scope),
        "member": lambda: node.spawn(lambda: api.receive(A.stop)),
        "join": refused(node, join),
        "leave": refused(node, leave),
        "members": lambda scope, group: node.pg.get_members(group, scope=scope),
        "local": lambda scope, group: node.pg.get_local_members(group, scope=scope),
        "groups": lambda scope: node.pg.which_groups(scope=scope),
        "local_groups": lambda scope: node.pg.which_local_groups(scope=scope),
        "watch": watch,
    }.items():
        node.export("diff_groups", function, name=name)


def refused(node: Any, function: Any) -> Any:
    def called(scope: Any, group: Any, pids: Any) -> Any:
        try:
            return function(scope, group, pids)
        except UsageError:
            if any(pid.node is not node.system.node for pid in pids):
                return A.error, A.nolocal
            raise

    return called


def watcher(node: Any, scope: Any, group: Any, starter: Any) -> None:
    if group is A["$all"]:
        ref, now = node.pg.monitor_scope(scope=scope)
    else:
        ref, now = node.pg.monitor(group, scope=scope)
    api.send(starter, (A.watches, api.self_(), now))
    while True:
        asked, from_, tag = api.receive((ANY, ANY, ANY))  # what is told of groups has four parts
        if asked is A.unwatch:
            api.send(from_, (tag, A.ok if node.pg.demonitor(ref, scope=scope) else False))
            continue
        assert not node.pg.leave(A["$nothing"], [api.self_()], scope=scope)
        told = []
        while (message := api.receive((ref, ANY, ANY, ANY), 0, None)) is not None:
            told.append(message[1:])
        api.send(from_, (tag, told))


KIND = Kind("pg", ("diff_groups",), lambda rng: Script(rng).make(), prepare, pair=True, few=40)
