"""The Python twin of `beam_src/tree.erl`: the supervisor under test, its parent and its leaves."""

import logging
from typing import Any

import gevent

from pyerlnode import A, GenServer, NoReply, Reply, Stop
from pyerlnode.errors import Exit, StartFailed
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.child_spec import BadChildSpec, from_wire
from pyerlnode.otp.results import Ignore
from pyerlnode.otp.supervisor import Supervise, Supervisor
from pyerlnode.otp.where import start_link, system_of


class Leaf(GenServer):
    """Starts, and ends, as the recorder's plan says."""

    def init(self, recorder: Any, id: Any, plan: Any) -> Any:
        match plan:
            case A.ignore:
                return Ignore()
            case (A.stop, reason):
                return Stop(reason)
        self.recorder, self.id, self.plan = recorder, id, plan
        self.process.trap_exit = A.trap in plan
        gen.call(self.process.system, recorder, (A.started, id, self.pid))
        return None

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(A.pong) if request is A.ping else Stop(request[1], reply=A.ok)

    def terminate(self, reason: Any) -> None:
        gen.call(self.process.system, self.recorder, (A.terminating, self.id, reason))
        for option in self.plan:
            match option:
                case (A.sleep, milliseconds):
                    gevent.sleep(milliseconds / 1000)
                case (A.exit, why):
                    raise Exit(why)


def start_leaf(recorder: Any, id: Any) -> Any:
    """``tree:start_leaf/2``; exported under that name, so one child specification serves both."""
    match gen.call(system_of(), recorder, (A.starting, id)):
        case (A.exit, reason):
            raise Exit(reason)
        case (A.gives, term):
            return term
        case (A.info, info):
            return A.ok, start_link(Leaf, recorder, id, []), info
        case plan:
            pid = start_link(Leaf, recorder, id, plan)
            return A.ignore if pid is None else (A.ok, pid)


class Tree(Supervisor):
    """Takes flags and children as OTP's maps."""

    def init(self, flags: Any, children: Any) -> Any:
        try:
            specs = [from_wire(child) for child in children]
        except BadChildSpec as error:
            return Stop((A.start_spec, error.reason))
        return Supervise(
            specs,
            strategy=flags.get(A.strategy, A.one_for_one),
            max_restarts=flags.get(A.intensity, 1),
            max_seconds=flags.get(A.period, 5),
            auto_shutdown=flags.get(A.auto_shutdown, A.never),
        )


class Parent(GenServer):
    """Who has started the supervisor; it ends with it."""

    def init(self, flags: Any, children: Any) -> Any:
        self.process.trap_exit = True
        try:
            self.sup = gen_server.start(self.process.system, Tree, (flags, children), link=self.process)
        except StartFailed as error:
            return Stop(error.reason)
        self.process.trap_exit = False
        return None

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(self.sup)


class Trees(GenServer):
    """Registered as `trees`: starts parents for the driver."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        _, _, flags, children = request
        self.process.system.spawn(self.start, from_, flags, children)
        return NoReply()

    def start(self, from_: Any, flags: Any, children: Any) -> None:
        system = self.process.system
        try:
            parent = gen_server.start(system, Parent, (flags, children))
        except StartFailed as error:
            self.reply(from_, (A.error, error.reason))
        else:
            self.reply(from_, (A.ok, parent, gen.call(system, parent, A.sup)))


def shown(report: Any) -> Any:
    """What the driver shows of a report."""
    offender = [(key, value) for key, value in report["offender"] if key is not A.mfargs]
    return report["errorContext"], report["reason"], [key for key, _ in offender], offender


class Reports(logging.Handler):
    """Collects supervisor reports as the driver collects those of OTP's."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        report = getattr(record, "erlang", {}).get("report")
        if report is not None:
            self.seen.append(shown(report))
