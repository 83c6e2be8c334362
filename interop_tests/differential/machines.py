"""gen_statem: every event has a plan for each of some states; the log says in which state each came, and as what.

Every script comes to its end: an event that is postponed as it leads to another state leads to one that stands behind
in the list of states, so no two of them send each other to and fro, and inserts no events; enter calls set time-outs
whose events do nothing.
"""

from __future__ import annotations

from random import Random
from typing import Any

from interop_tests.differential import words
from interop_tests.differential.kinds import Kind
from interop_tests.twins import MACHINE_STATES, TwinMachine
from pyerlnode import A, Atom
from pyerlnode.term import TermMap

FAR_MS = 3_600_000
PLAIN_STATES = (A.s, A.t, A.u)
ALIKE = (1, 1.0, True, [1], TermMap([(1, 1)]), TermMap([(1.0, 1)]), b"\x01", (A.s, 1), A.state, A.process, 2**61 - 1, 0)


REPLACING = (*words.REPLACING, A.replace_next)


class Script:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.number = 0
        alike = rng.random() < 0.4
        self.states = [A.s, *rng.sample(ALIKE, 3)] if alike else list(PLAIN_STATES)
        generic = rng.sample(ALIKE, 3) if alike else [A.a, A.b]
        self.names = [A.timeout, A.state_timeout, *((A.timeout, name) for name in generic)]
        self.entering = rng.random() < 0.5

    def make(self) -> Any:
        rng = self.rng
        enter = (
            TermMap([(state, self.entered()) for state in self.states if rng.random() < 0.4])
            if self.entering
            else A.none
        )
        started = rng.choice(self.states), self.actions(2, None, calls=False)
        return enter, started, [self.step() for _ in range(rng.randrange(2, 10))]

    def entered(self) -> Any:
        """The result of an enter call, which may neither postpone nor insert events nor lead elsewhere."""
        actions = [
            (self.rng.choice(self.names), self.rng.choice((0, FAR_MS)), self.event(0))
            for _ in range(self.rng.randrange(3))
        ]
        return A.keep, actions

    def step(self) -> Any:
        rng = self.rng
        match rng.choices(
            ("cast", "ask", "call", "info", "suspend", "resume", "exit", "stop", "link", "sys"),
            (12, 6, 2, 3, 2, 1, 1, 1, 1, 3),
        )[0]:
            case "cast":
                return A.cast, self.event(2)
            case "ask":
                return A.ask, self.event(2)
            case "call":
                return A.call, A.log
            case "info":
                return A.info, self.event(2)
            case "exit" | "stop" as kind:
                return A[kind], words.reason(rng)
            case "sys":
                return A.sys, *words.asked_by_sys(rng, REPLACING)
            case kind:
                return A[kind]

    def event(self, depth: int) -> Any:
        self.number += 1
        number = self.number
        if not depth:
            return number, TermMap([])
        plans = [(state, self.result(state, depth)) for state in self.states if self.rng.random() < 0.7]
        return number, TermMap(plans)

    def result(self, state: Any, depth: int) -> Any:
        rng = self.rng
        match rng.choices(("keep", "next", "repeat", "only", "stop", "raise"), (8, 12, 3, 4, 1, 1))[0]:
            case "next":
                new = rng.choice(self.states)
                later = self.states.index(new) > self.states.index(state)
                return A.next, new, self.actions(depth, later)
            case "keep":
                return A.keep, self.actions(depth, True)
            case "repeat":
                return A.repeat, self.actions(depth, False)
            case "stop":
                return A.stop, words.reason(rng)
            case "raise":
                kind = rng.choice((A.error, A.exit))
                return rng.choice(((kind, words.reason(rng)), (A.throw_term, A.ball), (A.throw, A.keep)))
        return A.keep

    def actions(self, depth: int, postpone: bool | None, *, calls: bool = True) -> list[Any]:
        found = [self.action(depth, postpone, calls) for _ in range(self.rng.randrange(3))]
        if A.postpone in [action for action in found if isinstance(action, Atom)]:
            # What it inserts each time that it comes back could send it to and fro for ever.
            found = [action for action in found if action is None or not self.inserts(action)]
        return [action for action in found if action is not None]

    @staticmethod
    def inserts(action: Any) -> bool:
        return isinstance(action, tuple) and (action[0] is A.next_event or action[1] in (0, A.update))

    def action(self, depth: int, postpone: bool | None, calls: bool) -> Any:
        rng = self.rng
        name = rng.choice(self.names)
        match rng.choice(("postpone", "reply", "next_event", "zero", "zero", "update", "cancel", "far", "module")):
            case "postpone":
                return A.postpone if postpone else None
            case "reply":
                return (A.reply, words.term(rng)) if calls else None
            case "next_event" if depth:
                return A.next_event, rng.choice((A.internal, A.cast, A.info)), self.event(depth - 1)
            case "zero" if depth:
                return name, 0, self.event(depth - 1)
            case "update" if depth:
                return name, A.update, self.event(depth - 1)
            case "far" if depth:
                return name, FAR_MS, self.event(depth - 1)
            case "cancel":
                return A.cancel, name
            case "module" if calls and rng.random() < 0.5:
                change = rng.choice((A.change_callback_module, A.push_callback_module))
                return change, rng.choice((A.twin_other, A.twin_changed))
        return None


class Entering(TwinMachine):
    state_enter = True


class Plain(TwinMachine):
    pass


def prepare(node: Any) -> None:
    def start(enter: Any, started: Any) -> Any:
        return node.start(Plain, {}, started) if enter is A.none else node.start(Entering, enter, started)

    node.export("twin_machine", MACHINE_STATES)
    node.export("diff_machines", start, name="start")


MODULES = ("diff_machines", "diff_behaviour", "twin_machine", "twin_entering", "twin_other", "twin_changed")
KIND = Kind("gen_statem", MODULES, lambda rng: Script(rng).make(), prepare)
