"""gen_server: what callbacks give, in any order, and what becomes of who asks; the driver is `diff_behaviour.erl`."""

from __future__ import annotations

from random import Random
from typing import Any

from interop_tests.differential import words
from interop_tests.differential.kinds import Kind
from interop_tests.twins import SERVER_STATES, TwinServer
from pyerlnode import A, Atom
from pyerlnode.errors import StartFailed

FAR_MS = 3_600_000
CONTINUE = A["continue"]


class Script:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.number = 0

    def make(self) -> Any:
        rng = self.rng
        steps = [self.step() for _ in range(rng.randrange(2, 12))]
        return (rng.random() < 0.5, self.init()), steps

    def init(self) -> Any:
        rng = self.rng
        if rng.random() < 0.8:
            return A.ok
        return rng.choice(
            (
                (A.stop, words.reason(rng)), A.ignore, (A.exit, words.reason(rng)), A.bad, (A.then, self.then()),
                (A.error, words.reason(rng)), (A.throw_term, A.ball),
                (A.then, self.then()),
            )
        )  # fmt: skip

    def step(self) -> Any:
        rng = self.rng
        match rng.choices(list(STEPS), list(STEPS.values()))[0]:
            case "call":
                return A.call, self.message(self.answer())
            case "ask":
                return A.ask, self.message(
                    rng.choice((A.later, A.later, A.noreply, self.answer(), (A.twice, words.term(rng)), self.end()))
                )
            case "cast":
                return A.cast, self.message(self.silent())
            case "info":
                return A.info, self.message(self.silent())
            case "other":
                return A.info, (A.other, words.term(rng))
            case "timeout":
                return A.timeout, self.message((A.noreply, (A.timeout, 0)))
            case "exit" | "stop" as kind:
                return Atom(kind), words.reason(rng)
            case "sys":
                return A.sys, *(rng.choice(SYS) if rng.random() < 0.2 else words.asked_by_sys(rng))
            case kind:
                return Atom(kind)

    def message(self, what: Any) -> Any:
        self.number += 1
        return self.number, what

    def then(self, depth: int = 2) -> Any:
        match self.rng.randrange(3):
            case 0:
                return A.hibernate
            case 1 if depth:
                return CONTINUE, self.message(self.silent(depth - 1))
        return A.timeout, FAR_MS

    def answer(self) -> Any:
        rng = self.rng
        value = words.term(rng)
        what = rng.randrange(12)
        if what < 4:
            return A.reply, value
        if what < 7:
            return A.reply, value, self.then()
        stop = (A.stop, words.reason(rng), value)
        return ((A.pay_and_reply, value), (A.early, value), stop, stop, self.end())[what - 7]

    def silent(self, depth: int = 2) -> Any:
        rng = self.rng
        what = rng.randrange(12)
        if what < 5:
            return A.noreply
        if what < 9:
            return A.noreply, self.then(depth)
        return (A.pay, words.term(rng)) if what < 11 else self.end()

    def end(self) -> Any:
        rng = self.rng
        why = words.reason(rng)
        return rng.choice(
            ((A.stop, why), (A.exit, why), A.bad, (A.error, why), (A.throw_term, A.ball), (A.throw, (A.stop, why)))
        )


STEPS = {
    "call": 22, "ask": 14, "cast": 14, "info": 8, "other": 4, "timeout": 4, "exit": 4, "stop": 2, "link": 3,
    "unlink": 1, "suspend": 4, "resume": 3, "sys": 8,
}  # fmt: skip
SYS = ((A.terminate, [A.why]), (A.terminate, [A.normal]))


def started(cls: Any, node: Any, *args: Any) -> Any:
    """What OTP's ``start`` gives."""
    try:
        pid = node.start(cls, *args)
    except StartFailed as error:
        return A.error, error.reason
    return A.ignore if pid is None else (A.ok, pid)


def prepare(node: Any) -> None:
    node.export("twin_server", SERVER_STATES)
    node.export("diff_servers", lambda what: started(TwinServer, node, what), name="start")


MODULES = ("diff_servers", "diff_behaviour", "twin_server")
KIND = Kind("gen_server", MODULES, lambda rng: Script(rng).make(), prepare)
