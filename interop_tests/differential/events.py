"""gen_event: handlers by ids of all kinds, that fail, go, swap and are supervised; the driver is `diff_events.erl`."""

from __future__ import annotations

from random import Random
from typing import Any

from interop_tests.differential import words
from interop_tests.differential.kinds import Kind
from interop_tests.twins import EVENT_STATES, TwinEvents
from pyerlnode import A, Atom
from pyerlnode.otp import gen_event
from pyerlnode.term import TermMap
from pyerlnode.term.pid import Pid

ALIKE = (False, 1, 1.0, True, [1], (1,), b"a", A.process, TermMap([(1, 1)]), TermMap([(1.0, 1)]), 0, 2**61 - 1, None)


class Script:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.ids = rng.sample(ALIKE, 3)
        self.number = 0

    def make(self) -> Any:
        return [self.step() for _ in range(self.rng.randrange(2, 14))]

    def id(self) -> Any:
        return self.rng.choice(self.ids)

    def args(self) -> Any:
        rng = self.rng
        if rng.random() < 0.85:
            self.number += 1
            return A.named, self.number
        why = words.reason(rng)
        return rng.choice(((A.fail, why), (A.raise_, rng.choice((A.error, A.exit)), why), (A.raise_, A.throw, A.ball)))

    def who(self) -> Any:
        return self.rng.choice((A.p, A.q))

    def event(self) -> Any:
        rng = self.rng
        match rng.randrange(12):
            case 0:
                return A.remove
            case 1 | 2:
                return A.swap, words.term(rng), self.id(), self.args()
            case 3:
                return rng.choice((A.error, A.exit)), words.reason(rng)
            case 4:
                return rng.choice(((A.throw, A.ball), A.throw_remove))
        return A.event, words.term(rng)

    def step(self) -> Any:  # noqa: C901  # the vocabulary of the scripts
        rng = self.rng
        match rng.choices(list(STEPS), list(STEPS.values()))[0]:
            case "add":
                return A.add, self.id(), self.args()
            case "add_sup":
                return A.add_sup, self.who(), self.id(), self.args()
            case "delete":
                return A.delete, self.id(), words.term(rng)
            case "swap":
                return A.swap, self.id(), words.term(rng), self.id(), self.args()
            case "swap_sup":
                return A.swap_sup, self.who(), self.id(), words.term(rng), self.id(), self.args()
            case "call":
                return A.call, self.id(), rng.choice((A.log, A.log, A.remove))
            case "notify" | "sync_notify" as kind:
                return Atom(kind), self.event()
            case "info":
                return A.info, (A.info, words.term(rng))
            case "die" | "exit" as kind:
                return Atom(kind), self.who(), words.reason(rng)
            case "stop":
                return A.stop, words.reason(rng)
            case "sys":
                asked = words.asked_by_sys(rng, REPLACING)
                return A.sys, *((A.change, rng.choice(MODULES), *asked[1:]) if asked[0] is A.change else asked)
        return A.suspend


REPLACING = (*words.REPLACING, A.replace_other)
MODULES = (A.twin_events, A.twin_events, A.twin_events, A.another)
STEPS = {
    "add": 14, "add_sup": 10, "delete": 5, "swap": 6, "swap_sup": 4, "call": 6, "notify": 10, "sync_notify": 6,
    "info": 3, "die": 3, "exit": 2, "stop": 1, "suspend": 1, "sys": 6,
}  # fmt: skip


def prepare(node: Any) -> None:
    node.export("twin_events", EVENT_STATES)
    node.export("diff_events", lambda: gen_event.start(node.system, handlers=[TwinEvents]), name="start")
    node.export("diff_events", lambda pid: links(node, pid), name="links")


def links(node: Any, pid: Pid) -> list[Pid]:
    return node.process_info(pid, "links") or []


KIND = Kind("gen_event", ("diff_events", "twin_events"), lambda rng: Script(rng).make(), prepare)
