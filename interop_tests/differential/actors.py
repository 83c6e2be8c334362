"""Links, monitors, exits, selective receive, names, aliases and timers: processes that do what a script says.

The driver, and what a step means, is in `diff_actors.erl`; `Actor` is its twin.
"""

from __future__ import annotations

from random import Random
from typing import Any

from interop_tests.differential import words
from interop_tests.differential.kinds import Kind
from pyerlnode import A
from pyerlnode.errors import Error, Exit, NoProc, Throw, UsageError
from pyerlnode.runtime import api
from pyerlnode.runtime.process import require_current
from pyerlnode.term import Atom, ImproperList
from pyerlnode.term.pattern import ANY, match
from pyerlnode.term.pid import Pid

FAR_S = 3600.0

# --- scripts ---------------------------------------------------------------------------------------
ACTORS = [A.a, A.b, A.c, A.d]
SPAWNED = [A.e, A.f, A.g]
NAMES = [A.x, A.y, A.z]
LABELS = [A.l1, A.l2, A.l3, A.l4]


class Script:
    """One script's choices."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def make(self) -> Any:
        rng = self.rng
        sides = tuple(rng.randrange(2) for _ in range(rng.choice((2, 3, 4))))
        self.actors = ACTORS[: len(sides)]
        steps = [(rng.choice(self.actors), (A.trap, True)) for _ in range(rng.randrange(3))]
        steps += [self.step() for _ in range(rng.randrange(4, 16))]
        return sides, steps

    def step(self) -> Any:
        who = self.rng.choice((*self.actors, *self.actors, *SPAWNED))
        return who, self.command()

    def other(self) -> Any:
        return A["$actor"], self.rng.choice((*self.actors, *self.actors, *self.actors, *SPAWNED))

    def label(self) -> Any:
        return A["$label"], self.rng.choice(LABELS)

    def name(self) -> Any:
        return A["$name"], self.rng.choice(NAMES)

    def at(self) -> Any:
        return A["$at"], self.rng.choice(NAMES), self.other()[1]

    def dest(self) -> Any:
        return self.rng.choice((self.other, self.other, self.other, self.label, self.at))()

    def pattern(self) -> Any:
        rng = self.rng
        same = words.term(rng)
        return rng.choice(
            (
                A.any, A.any, A.integer, A.float, A.boolean, A.list, A.pair, (A.same, same),
                (A.DOWN, self.label()), (A.EXIT, self.other()),
            )
        )  # fmt: skip

    def command(self) -> Any:  # noqa: C901  # the vocabulary of the scripts
        rng = self.rng
        kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        match kind:
            case "spawn":
                return A.spawn, rng.choice(SPAWNED), rng.choice((A.plain, A.link, A.monitor)), rng.random() < 0.3
            case "link" | "unlink":
                return Atom(kind), self.other()
            case "monitor":
                return A.monitor, rng.choice(LABELS), self.other()
            case "monitor_name":
                return A.monitor_name, rng.choice(LABELS), rng.choice((self.name, self.at))()
            case "demonitor":
                options = rng.choice(([], [A.flush], [A.info], [A.flush, A.info]))
                return A.demonitor, self.label(), options
            case "exit":
                return A.exit, self.other(), words.reason(rng)
            case "die":
                return A.die, words.reason(rng)
            case "raise":
                return A.raise_, rng.choice((A.error, A.throw)), words.reason(rng)
            case "finish" | "flush" | "info":
                return Atom(kind)
            case "trap":
                return A.trap, rng.random() < 0.7
            case "send":
                return A.send, self.dest(), words.term(rng)
            case "send_name":
                return A.send, self.name(), words.term(rng)
            case "look":
                return A.look, self.pattern()
            case "wait":
                return A.wait, self.pattern(), rng.choice((A.infinity, 3_600_000))
            case "register":
                return A.register, self.name(), self.other()
            case "unregister" | "whereis":
                return Atom(kind), self.name()
            case "alias":
                return A.alias, rng.choice(LABELS)
            case "far" | "soon":
                return Atom(kind), rng.choice(LABELS), self.other(), words.term(rng)
        return Atom(kind), self.label()  # unalias, read, cancel


WEIGHTS = {
    "spawn": 6, "link": 12, "unlink": 4, "monitor": 9, "monitor_name": 4, "demonitor": 5, "exit": 10, "die": 5,
    "raise": 3, "finish": 1, "flush": 5, "info": 3, "trap": 5, "send": 14, "send_name": 3, "look": 8, "wait": 5,
    "register": 5, "unregister": 2, "whereis": 2, "alias": 3, "unalias": 2, "far": 2, "soon": 2, "read": 2, "cancel": 2,
}  # fmt: skip


# --- the twin ----------------------------------------------------------------------------------------
def loop() -> None:
    while True:
        match api.receive(lambda m: type(m) is tuple and bool(m) and m[0] in (A.do, A.sync)):
            case (A.sync, from_, ref):
                api.send(from_, (A.synced, ref, relations()))
            case (A.do, from_, ref, (A.wait, pattern, limit), _):
                api.send(from_, (A.did, ref, (A.waits, pattern)))
                api.send(from_, (A.did, ref, wait(pattern, None if limit is A.infinity else FAR_S)))
            case (A.do, from_, ref, command, others):
                result = tried(command)
                for pid in others:
                    synchronised(pid)
                if result is A.finish:
                    return
                api.send(from_, (A.did, ref, result))


def tried(command: Any) -> Any:
    try:
        return act(command)
    except (Exit, Error, Throw):
        raise
    except UsageError:
        return A.error, A.badarg
    except Exception as error:  # shown in the trace, where it differs
        return A.python, f"{type(error).__name__}: {error}"


def synchronised(pid: Pid) -> None:
    if pid == api.self_():
        return
    ref = api.monitor(pid)
    api.send(pid, (A.sync, api.self_(), ref))
    told = api.receive(lambda m: type(m) is tuple and m[:2] in ((A.synced, ref), (A.DOWN, ref)))
    if told[0] is A.synced:
        api.demonitor(ref, flush=True)


def relations() -> list[Pid]:
    me = require_current()
    links = api.process_info(me.pid, "links")
    monitors = [of for _, of in api.process_info(me.pid, "monitors")]
    holders = [of if type(of) is Pid else api.get(of) for of in monitors]
    return [*(pid for pid in links if type(pid) is Pid), *holders]


def body(trap: bool) -> None:
    if trap:
        api.process_flag("trap_exit", True)
    loop()


def act(command: Any) -> Any:  # noqa: C901  # the vocabulary of the scripts
    system = require_current().system
    match command:
        case (A.spawn, _, how, trap):
            if how is A.plain:
                return A.spawned, A.pid, api.spawn(body, trap)
            if how is A.link:
                return A.spawned, A.pid, api.spawn_link(body, trap)
            pid, _ = api.spawn_monitor(body, trap)
            return A.spawned, A.pid_and_reference, pid
        case (A.link, pid):
            try:
                api.link(pid)
            except NoProc:
                return A.error, A.noproc
        case (A.unlink, pid):
            api.unlink(pid)
        case (A.monitor, _, pid):
            return A.ref, api.monitor(pid)
        case (A.monitor_name, _, dest, holder):
            api.put(dest if type(dest) is tuple else (dest, system.node), holder)
            return A.ref, api.monitor(dest)
        case (A.demonitor, ref, options):
            active = api.demonitor(ref, flush=A.flush in options)
            return active if A.info in options else True
        case (A.exit, pid, reason):
            api.exit_(pid, reason)
        case (A.die, reason):
            raise Exit(reason)
        case (A.raise_, A.error, reason):
            raise Error(reason)
        case (A.raise_, A.throw, reason):
            raise Throw(reason)
        case (A.trap, flag):
            return api.process_flag("trap_exit", flag)
        case A.finish:
            return command
        case (A.send, dest, message):
            if type(dest) is Atom and api.whereis(dest) is None:  # dropped here, an error there
                return A.error, A.badarg
            api.send(dest, (A.m, message))
            return A.sent
        case (A.look, pattern):
            message = api.receive(as_pattern(pattern), 0, None)
            return A.timeout if message is None else (A.got, message)
        case A.flush:
            return ordered(flush())
        case (A.register, name, pid):
            api.register(name, pid)
        case (A.unregister, name):
            if not system.registry.unregister(name):  # ours says so where Erlang's raises
                return A.error, A.badarg
        case (A.whereis, name):
            return A.undefined if (pid := api.whereis(name)) is None else pid
        case (A.alias, _):
            return A.ref, system.alias(require_current())
        case (A.unalias, ref):
            return system.unalias(require_current(), ref)
        case (A.far, _, dest, message):
            return A.timer, api.start_timer(FAR_S, dest, message)
        case (A.soon, _, dest, message):
            return A.timer, api.start_timer(0, dest, message)
        case (A.fetch, ref):
            return A.fired, api.receive((A.timeout, ref, ANY))[2]
        case (A.read, ref):
            return api.read_timer(ref) is not None
        case (A.cancel, ref):
            return api.cancel_timer(ref) is not None
        case A.info:
            return told()
    return True


def told() -> list[Any]:
    info = api.process_info(api.self_(), INFO)
    return [(key, len(info[key]) if isinstance(info[key], list) else info[key]) for key in map(Atom, INFO)]


INFO = ["trap_exit", "links", "monitors", "monitored_by", "registered_name"]
KINDS = (A.m, A.EXIT, A.DOWN, A.timeout)


def flush() -> list[Any]:
    found = []
    while (message := api.receive(lambda m: type(m) is tuple and bool(m) and m[0] in KINDS, 0, None)) is not None:
        found.append(message)
    return found


def ordered(messages: list[Any]) -> list[Any]:
    found: list[Any] = []
    for message in messages:
        if message[0] in (A.EXIT, A.DOWN):
            if not (found and found[-1][0] is A.together):
                found.append((A.together, []))
            found[-1][1].append(message)
        else:
            found.append(message)
    return found


def as_pattern(pattern: Any) -> Any:
    match pattern:
        case A.any:
            return A.m, ANY
        case (A.same, term):
            return A.m, term
        case A.pair:
            return A.m, (ANY, ANY)
        case (A.DOWN, ref):
            return A.DOWN, ref, ANY, ANY, ANY
        case (A.EXIT, pid):
            return A.EXIT, pid, ANY
    return A.m, {A.integer: int, A.float: float, A.boolean: bool, A.list: LIST}[pattern]


def LIST(term: Any) -> bool:
    """A pattern like the types beside it."""
    return isinstance(term, (list, ImproperList))


def wait(pattern: Any, limit: float | None) -> Any:
    wanted = as_pattern(pattern)

    def matches(message: Any) -> bool:
        return (type(message) is tuple and bool(message) and message[0] is A.sync) or match(wanted, message)

    while True:
        message = api.receive(matches, limit, None)
        if message is None:
            return A.timeout
        if message[0] is not A.sync:
            return A.got, message
        api.send(message[1], (A.synced, message[2], relations()))


def prepare(node: Any) -> None:
    node.export("diff_actors", lambda: node.spawn(loop), name="start")


KIND = Kind("actors", ("diff_actors",), lambda rng: Script(rng).make(), prepare, pair=True, few=120)
