"""The process of a member that carries out what `core` decides. Internal to `standby`.

It never waits for anybody, so that a lease that ends is noticed in time: what may block has a process of its own.

    process        does                                              may wait for
    elector        the core; timers run it straight from the hub     nobody (and a file, when there is one)
    courier        one per other node: sends to it, watches it       a connection to that node
    incumbent      one per child: starts it, hands over, stops it    the child
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.cluster.standby import types_core as core
from pyerlnode.cluster.standby.core import Core
from pyerlnode.cluster.standby.wire_core import VERSION, from_wire, other_version, to_wire
from pyerlnode.errors import ConnectError, EncodeError, Exit
from pyerlnode.otp import gen
from pyerlnode.otp.child_spec import ChildSpec
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.overseer import run_start
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.otp.stopping import stop_processes
from pyerlnode.otp.supervisor_core import Failed, Started
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.names import Global, name_service
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.standby")

PATIENCE: Final = 4
"""Messages for which the greater of two nodes waits for the other to connect: not both at one time."""
VERSIONS_TOLD: Final = 16
"""Members of other versions that the log tells of."""
WARNINGS: Final = frozenset(("lost_majority", "failed", "given_up", "split_healed", "state_lost"))


class Fenced(Exit):
    """This activation is over: another node may be active by now."""


class Activation:
    """What a child was started for. `epoch` grows with each activation of the group: outside resources refuse the past.

    Attributes:
        name: of the group.
        epoch: of this activation; may grow when a split is healed (``quorum=None``).
        state: what the former child handed over, or None.
    """

    __slots__ = ("_now", "epoch", "name", "open", "state", "until")

    def __init__(self, name: Atom, epoch: int, state: Any, now: Callable[[], float]) -> None:
        self.name = name
        self.epoch = epoch
        self.state = state
        self.until = -inf
        self.open = True
        """False from the moment in which it is being stopped: a call behind that would miss the handoff."""
        self._now = now

    def valid(self) -> bool:
        """Whether no other node can be active yet, by the clock: also right after the process was suspended."""
        return self._now() < self.until

    def check(self) -> int:
        """The epoch. Raises `Fenced` when it is not valid any more."""
        if not self.valid():
            raise Fenced((A.fenced, self.name, self.epoch), f"the activation {self.epoch} of {self.name} is over")
        return self.epoch


_CURRENT: ContextVar[Activation | None] = ContextVar("pyerlnode_standby", default=None)


def activation() -> Activation | None:
    """That of the child to which the current process belongs; None in any other process."""
    return _CURRENT.get()


# --- from one process of a member to the next; none of them ever comes from another node --------
@dataclass(frozen=True, slots=True)
class Told:
    """To the front: where the child is; `activation` when it is here."""

    node: Atom | None
    child: Pid | None
    epoch: int
    activation: Activation | None


@dataclass(frozen=True, slots=True)
class _Down:
    node: Atom


@dataclass(frozen=True, slots=True)
class _Stop:
    """In order, after its handoff."""


@dataclass(frozen=True, slots=True)
class _Started:
    born: int
    child: Pid


@dataclass(frozen=True, slots=True)
class _Ended:
    born: int
    reason: Any


@dataclass(frozen=True, slots=True)
class _Stopped:
    born: int
    state: tuple[Any] | None


@dataclass(frozen=True, slots=True)
class Options:
    """What does not concern the core."""

    name: Atom
    spec: ChildSpec
    members: tuple[Atom, ...]
    handoff: Callable[[Pid], Any] | None = None
    global_name: Any = None
    store: str | None = None
    emit: Callable[..., object] | None = None

    @property
    def member(self) -> Atom:
        """The name of the elector, on each node."""
        return Atom(f"{self.name}.standby")


class Elector(GenServer):
    """Runs the core of one member."""

    def init(self, options: Options, config: core.Config, front: Pid) -> None:
        self.process.trap_exit = True
        self.options = options
        self.front = front
        self.garbage = 0
        self._other_versions: set[tuple[Atom, int]] = set()
        self.activation: Activation | None = None
        self._couriers: dict[Atom, Pid] = {}
        self._incumbent: tuple[int, Process] | None = None
        self._timer: Timer | None = None
        self._leaving: Any = None
        now = self._now()
        if config.wall is None:
            config = replace(config, wall=time.time() - now)
        self.core = Core(config, self.pid, now, read_epoch(options.store))
        for node in config.members:
            if node is not config.me:
                self._hire(node)
        self._run(self.core.timer(now))

    def _now(self) -> float:
        now: float = self.process.system.timers.now()
        return now

    def _hire(self, node: Atom) -> None:
        """A courier for the way to `node`."""
        system = self.process.system
        made = system.spawn_function(courier, (self.pid, node, self.options.member), {}, link=self.process)
        self._couriers[node] = made.pid

    # --- events --------------------------------------------------------------------------------
    def handle_info(self, message: Any) -> Any:
        match message:
            case _Down(node):
                self._run(self.core.node_down(node, self._now()))
            case _Started(born, child):
                self._run(self.core.child_started(born, child, self._now()))
            case _Ended(born, reason):
                self._run(self.core.child_ended(born, reason, self._now()))
            case _Stopped(born, state):
                self._run(self.core.child_stopped(born, state, self._now()))
            case (A.EXIT, Pid() as pid, reason):
                self._exited(pid, reason)
            case _:
                self._from_outside(message)
        return None if self._leaving is not A.done else Stop()

    def _from_outside(self, message: Any) -> None:
        read = from_wire(message)
        if read is not None:
            self._run(self.core.receive(*read, self._now()))
            return
        other = other_version(message)
        if other is not None:
            self._refuse_version(*other)
            return
        self.garbage += 1
        if self.garbage & (self.garbage - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            log.warning(
                "standby %s dropped what is no message of a member (%d so far)", self.options.name, self.garbage
            )
            self._emit("garbage", count=self.garbage)

    def _refuse_version(self, sender: Pid, version: int) -> None:
        """Each member counts those of its own version alone: a group of two versions has a majority in one at most."""
        told = self._other_versions
        if (sender.node, version) in told or len(told) >= VERSIONS_TOLD:
            return
        told.add((sender.node, version))
        log.error(
            "standby %s: %s speaks version %s of what members say and this node %d: they take no part in each other's "
            "group until both run one version", self.options.name, sender.node, short(version), VERSION,
        )  # fmt: skip

    def _exited(self, pid: Pid, reason: Any) -> None:
        for node, courier_pid in self._couriers.items():
            if courier_pid == pid:
                self._hire(node)
                return
        if self._incumbent is not None and self._incumbent[1].pid == pid:
            born = self._incumbent[0]
            self._kill(born)
            self._run(self.core.child_ended(born, reason, self._now()))

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.status:
                return Reply(self._status())
            case (A.move, to):
                answer, effects = self.core.move(to, self._now())
                self._run(effects)
                return Reply(answer)
            case A.reset:
                self._run(self.core.reset(self._now()))
                return Reply(A.ok)
            case A.leave:
                self._leaving = from_
                self._run(self.core.leave(self._now()))
                return NoReply() if self._leaving is not A.done else Stop()
        return Reply((A.error, A.unknown_call))

    def handle_cast(self, request: Any) -> None:
        """There is none."""
        self._from_outside((gen.CAST, request))

    def terminate(self, reason: Any) -> None:  # noqa: ARG002  # the callback's shape
        """Whatever ends it, no child is left behind."""
        if self._timer is not None:
            self._timer.cancel()
        if self._incumbent is not None:
            self._kill(self._incumbent[0])

    def _on_timer(self) -> None:
        """In the hub: whatever waits in the mailbox, a lease that has ended is seen now."""
        self._timer = None
        if self.process.alive:
            self._run(self.core.timer(self._now()))

    # --- effects -------------------------------------------------------------------------------
    def _run(self, effects: list[core.Effect]) -> None:
        for effect in effects:
            _CARRIERS[type(effect)](self, effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.core.deadline()
        if deadline < inf and self.process.alive:
            self._timer = self.process.system.timers.start(max(0.0, deadline - self._now()), self._on_timer)

    def _send(self, effect: core.Send) -> None:
        to = effect.to
        node = to.node if type(to) is Pid else to
        dest = to if type(to) is Pid else (self.options.member, to)
        courier_pid = self._couriers.get(node)  # type: ignore[arg-type]  # an Atom, as just seen
        if courier_pid is not None:
            self.process.system.send(courier_pid, (dest, to_wire(self.pid, effect.message)))

    def _start_child(self, effect: core.StartChild) -> None:
        options = self.options
        self.activation = Activation(options.name, effect.born, effect.state, self._now)
        made = self.process.system.spawn_function(
            incumbent, (self.pid, effect.born, self.activation, options), {}, link=self.process
        )
        self._incumbent = effect.born, made

    def _stop_child(self, effect: core.StopChild) -> None:
        if self._incumbent is not None and self._incumbent[0] == effect.born:
            assert self.activation is not None
            self.activation.open = False
            self._incumbent[1].deliver(_Stop())

    def _kill_child(self, effect: core.KillChild) -> None:
        log.warning("standby %s kills its child: it has not stopped in time", self.options.name)
        self._kill(effect.born)

    def _kill(self, born: int) -> None:
        """At once, with all that the child has started: whoever descends from the incumbent."""
        if self._incumbent is None or self._incumbent[0] != born:
            return
        process, system = self._incumbent[1], self.process.system
        self._incumbent = None
        if self.activation is not None:
            self.activation.until = -inf
        for other in [p for p in system.processes.values() if p.ancestors and process.pid in p.ancestors]:
            system.exit(other.pid, A.kill)
        system.exit(process.pid, A.kill)

    def _lease(self, effect: core.Lease) -> None:
        if self.activation is not None and self._incumbent is not None and self._incumbent[0] == effect.born:
            self.activation.epoch, self.activation.until = effect.epoch, effect.until

    def _give_state(self, effect: core.GiveState) -> None:
        tenure = self.core.tenure
        if tenure is not None and tenure.child is not None:
            self.process.system.send(tenure.child, (A.standby, A.merge, effect.state))

    def _persist(self, effect: core.Persist) -> None:
        if self.options.store is not None:
            write_epoch(self.options.store, effect.epoch)

    def _tell(self, effect: core.Tell) -> None:
        here = self.activation if effect.node is self.core.me else None
        self.process.system.send(self.front, Told(effect.node, effect.child, effect.epoch, here))

    def _note(self, effect: core.Note) -> None:
        level = logging.WARNING if effect.event in WARNINGS else logging.INFO
        detail = "" if effect.detail is None else f": {gen.brief(effect.detail)}"
        log.log(level, "standby %s: %s (epoch %d)%s", self.options.name, effect.event, effect.epoch, detail)
        self._emit(effect.event, epoch=effect.epoch)

    def _emit(self, event: str, **measurements: float) -> None:
        if self.options.emit is not None:
            self.options.emit(f"standby.{event}", measurements, name=self.options.name.name)

    def _left(self, effect: core.Left) -> None:
        del effect
        if self._leaving is not None:
            self.reply(self._leaving, A.ok)
        self._leaving = A.done

    # --- asked by people -----------------------------------------------------------------------
    def _status(self) -> dict[Atom, Any]:
        machine = self.core
        return {
            A.name: self.options.name,
            A.quorum: A.majority if machine.config.majority else None,
            A.members: [self._member(node) for node in machine.config.members],
            A.pin: machine.pin,
            A.garbage: self.garbage,
        }

    def _member(self, node: Atom) -> dict[Atom, Any]:
        machine = self.core
        state = machine.state
        if node is not machine.me:
            state = machine.seen[node].state if machine.is_up(node) else A.down
        return {A.node: node, A.state: state, A.priority: machine.config.group_of(node)}


_CARRIERS: Final[dict[type, Any]] = {
    core.Send: Elector._send,
    core.StartChild: Elector._start_child,
    core.StopChild: Elector._stop_child,
    core.KillChild: Elector._kill_child,
    core.Lease: Elector._lease,
    core.GiveState: Elector._give_state,
    core.Persist: Elector._persist,
    core.Tell: Elector._tell,
    core.Note: Elector._note,
    core.Left: Elector._left,
}


# --- the way to another node -------------------------------------------------------------------
def courier(elector: Pid, node: Atom, member: Atom) -> None:
    """Sends to one node, in order; tells when its member or the connection is gone. What can not be sent is dropped."""
    me = require_current()
    system = me.system
    watched, left_to_it = False, 0
    while True:
        message = me.receive(None, None)
        if message[0] is A.DOWN:
            watched = False
            system.send(elector, _Down(node))
            continue
        if not system.is_connected(node) and system.node.name > node.name and left_to_it < PATIENCE:
            left_to_it += 1
            continue
        left_to_it = 0
        try:
            system.connect(node)
            system.send(*message)
            if not watched:
                watched = True
                system.monitor(me, (member, node))
        except ConnectError:
            while me.queue:  # as old as the attempt: the next beat tries again
                me.take_at(0)
        except EncodeError as error:
            log.error("standby %s can not hand the state of its child over: %s", member, error)


# --- the one who looks after a child -----------------------------------------------------------
def incumbent(elector: Pid, born: int, mine: Activation, options: Options) -> None:
    """Starts the child, waits for its end or for the order to stop it, and says what came of it."""
    me = require_current()
    me.trap_exit = True
    _CURRENT.set(mine)
    system = me.system
    outcome = run_start(me, options.spec.start)
    if not isinstance(outcome, Started):
        system.send(elector, _Ended(born, outcome.reason if isinstance(outcome, Failed) else A.ignore))
        return
    child = outcome.pid
    if options.global_name is not None and not _register(me, options, child):
        stop_processes(me, [(child, options.spec.shutdown)])
        system.send(elector, _Ended(born, (A.name_taken, options.global_name)))
        return
    system.send(elector, _Started(born, child))
    while True:
        match me.receive(None, None):
            case (A.EXIT, Pid() as pid, reason) if pid == child:
                system.send(elector, _Ended(born, reason))
                return
            case (A.EXIT, Pid() as pid, _) if pid == elector:
                stop_processes(me, [(child, options.spec.shutdown)])
                return
            case _Stop():
                state = _handed_over(options, child)
                stop_processes(me, [(child, options.spec.shutdown)])
                system.send(elector, _Stopped(born, state))
                return


def _register(me: Process, options: Options, child: Pid) -> bool:
    """Take the global name; also from a former child whose end nobody has noticed yet."""
    name = options.global_name
    service = name_service(me.system, Global(name))
    if service.register_name(name, child) is True:
        return True
    holder = service.whereis_name(name)
    if isinstance(holder, Pid) and holder.node in options.members:
        service.unregister_name(name)
    return service.register_name(name, child) is True


def _handed_over(options: Options, child: Pid) -> tuple[Any] | None:
    if options.handoff is None:
        return None
    try:
        return (options.handoff(child),)
    except BaseException as error:
        caught(error)
        text = "standby %s: the child did not give its state; the next one starts without"
        report(log, text, options.name, exc_info=error)
        return None


# --- the file ----------------------------------------------------------------------------------
def read_epoch(store: str | None) -> int:
    """The epoch in the file; 0 when there is none. Raises `ValueError` for a file that holds anything else."""
    if store is None or not os.path.exists(store):
        return 0
    with open(store, encoding="ascii") as file:
        return int(file.read())


def write_epoch(store: str, epoch: int) -> None:
    """Durably, and never half."""
    draft = f"{store}.new"
    with open(draft, "w", encoding="ascii") as file:
        file.write(str(epoch))
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, store)
