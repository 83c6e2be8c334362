"""Standby: of a group of nodes exactly one runs a child, the others stand by (OTP: distributed applications, failover).

    node.start(Standby, (Ticker, 1.0), name="ticker", nodes=["a@h1", ["b@h2", "c@h3"]])

Every node of the list starts the same; the names are in the order of their priority, those in an inner list are equals.
When the active node dies, hangs, is cut off or stopped, the next one starts the child (*failover*); when a better one
comes back the child is stopped, and started there with the state that it left (*takeover*). `core` says who.

From Erlang and Elixir, ``{name, node}`` of any member is the group:

    GenServer.call({:ticker, node}, request)         goes to the active child, which sees the caller itself in `from`
    GenServer.cast({:ticker, node}, request)         the same
    GenServer.call({:ticker, node}, :whereis)        its pid, or nil
    GenServer.call({:ticker, node}, {:standby, :status})             a map
    GenServer.call({:ticker, node}, {:standby, :move, node | nil})   :ok, or {:error, reason}
    GenServer.call({:ticker, node}, {:standby, :subscribe})          {:ok, node | nil, epoch}, then a message for each
                                                                     change: {:standby, name, :active, node, epoch}
                                                                     or {:standby, name, :inactive, nil, epoch}
    {:standby, :unsubscribe}, {:standby, :reset}     ``reset`` lets a member try again whose child has failed too often

Each call has an outcome. One that arrives while nobody is active is held, at most `hold` seconds, and then answered by
the next child or by ``{:error, {:standby, :not_active}}``. One that the child had when it was lost may have been
carried out or not: ``{:error, {:standby, :lost}}``. A message that is neither call nor cast is dropped and counted.

The child learns from `activation()` its epoch, what was handed over, and, by ``activation().check()``, whether it is
still the one: for effects on the outside world, which can refuse all epochs below the greatest that they have seen.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.cluster.standby.elector import Activation, Elector, Fenced, Options, Told, activation
from pyerlnode.cluster.standby.types_core import Config
from pyerlnode.cluster.standby.wire_core import TAG
from pyerlnode.errors import ConnectError, EncodeError, Exit, UsageError
from pyerlnode.otp import gen, gen_server, where
from pyerlnode.otp.child_spec import child_of
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.pid import Pid, Reference

__all__ = ["Activation", "Fenced", "Standby", "activation"]

log = logging.getLogger("pyerlnode.standby")

CAPACITY: Final = 10_000
"""Calls that are held, and calls that wait for their answer; more are answered by ``overloaded``."""
NOT_ACTIVE: Final = (TAG, A.not_active)
"""What a member answers to another one that has passed a call on too late: the call was not carried out."""


@dataclass(slots=True)
class _Call:
    """A call (or, without `from_`, a cast) on its way; `until` it may be held."""

    from_: Any
    request: Any
    until: float
    alias: Reference | None = None
    epoch: int = 0
    child: Pid | None = None


@dataclass(frozen=True, slots=True)
class _Dialled:
    """The attempt to connect to a member is over."""

    node: Atom


class Standby(GenServer):
    """One member of a group; its name is that of the group.

    Args:
        child: what to run, a child specification as of a `Supervisor`: a class, ``(class, argument…)``, a mapping.
        nodes: the names of all members in the order of priority, equals in a list of their own; the same on all.
        quorum: ``majority``: only a majority of `nodes` has an active member, so there is never more than one. None:
            each side of a split has one, and when they meet one of them goes on.
        lease: seconds for which the active one may go on without hearing from the others.
        shutdown: seconds after its lease in which its child has to stop; then it is killed.
        drift: by which part the speed of a clock may be wrong.
        stop, start: seconds for an orderly stop (with its handoff), and for the start of the child.
        failures, within: so many failures of the child in so many seconds (at least 60) make a member give up.
        hold: seconds for which calls are held while nobody is active.
        handoff: called with the child's pid before it is stopped in order; gives its state.
        global_name: registered for the child, with ``quorum="majority"``.
        store: path of a file that keeps the greatest epoch: epochs grow also where wall clocks are wrong.
        emit: ``emit(event, measurements, **metadata)``, such as ``node.telemetry.emit``: standby.elected, .active,
            .stopped, .failed, .given_up, .lost_majority, .split_healed, .state_lost (each with `epoch`), .garbage (with
            `count`).

    Raises `UsageError` (as the reason of `StartFailed`) for a group that can not be.
    """

    stop_rank = 2
    child_options = {"shutdown": 10.0}  # noqa: RUF012  # the shape that `child_spec` reads

    def init(
        self,
        child: Any,
        *,
        nodes: Sequence[str | Atom | Sequence[str | Atom]],
        quorum: str | None = "majority",
        lease: float = 2.0,
        shutdown: float = 1.0,
        drift: float = 0.01,
        stop: float = 5.0,
        start: float = 10.0,
        failures: int = 3,
        within: float = 60.0,
        hold: float = 5.0,
        handoff: Callable[[Pid], Any] | None = None,
        global_name: Any = None,
        store: str | os.PathLike[str] | None = None,
        emit: Callable[..., object] | None = None,
    ) -> None:
        self.process.trap_exit = True
        name = self.process.name
        if name is None:
            raise UsageError("a standby group needs a name: node.start(Standby, …, name=…)")
        system = self.process.system
        groups = _groups(nodes)
        _check(system.node, groups, quorum, (lease, shutdown, stop, start, within, hold), drift, failures)
        if global_name is not None and quorum is None:
            raise UsageError("global_name wants quorum='majority': without it two children may run at one time")
        config = Config(system.node, groups, quorum is not None, lease, shutdown, drift, stop, start, failures, within)
        self.config = _patient(config)
        path = None if store is None else os.fspath(store)
        self.options = Options(name, child_of(child), config.members, handoff, global_name, path, emit)
        self.told = Told(None, None, 0, None)
        self.dropped = 0
        self._hold = hold
        self._held: deque[_Call] = deque()
        self._pending: dict[tuple[int, ...], _Call] = {}
        self._flushing: dict[tuple[int, ...], tuple[Atom, int]] = {}
        """By the alias of the answer: who was asked for a sign, and the epoch that ended its own."""
        self._dialling: set[Atom] = set()
        """Members that are being connected to, for calls that are held meanwhile."""
        self._unaware: set[Atom] = set()
        """Members that may still pass calls on to this one, which is being stopped."""
        self._subscribers: dict[Pid, Reference] = {}
        self._sweep: Any = None
        self._soon = False
        self.elector = where.started(
            gen_server.start(
                system,
                Elector,
                (self.options, self.config, self.pid),
                name=self.options.member,
                link=self.process,
            )
        )

    # --- requests ------------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.whereis:
                return Reply(self.told.child)
            case (A.standby, A.status):
                return Reply(self._status())
            case (A.standby, A.reset):
                return Reply(gen.call(self.process.system, self.elector, A.reset))
            case (A.standby, A.subscribe):
                return Reply(self._subscribe(from_[0]))
            case (A.standby, A.unsubscribe):
                ref = self._subscribers.pop(from_[0], None)
                if ref is not None:
                    self.process.system.demonitor(self.process, ref, flush=True)
                return Reply(A.ok)
            case (A.standby, A.move, to) if not (to is None or isinstance(to, Atom)):
                return Reply((A.error, A.not_a_member))
        self._take(_Call(from_, request, self._now() + self._hold))
        return NoReply()

    def handle_cast(self, request: Any) -> None:
        self._take(_Call(None, request, self._now() + self._hold))

    def handle_info(self, message: Any) -> Any:
        match message:
            case Told():
                self._tell(message)
            case (tag, *_) if tag is TAG:
                self._from_member(message)
            case (ImproperList() as tag, value):
                self._answered(gen.alias_of(tag), value)
            case (A.DOWN, Reference() as ref, A.process, Pid() as pid, _) if self._subscribers.get(pid) == ref:
                del self._subscribers[pid]
            case (A.EXIT, Pid() as pid, reason) if pid == self.elector:
                return Stop(reason)
            case _Dialled(node):
                self._was_dialled(node)
            case A.sweep:
                self._sweep = None
                self._swept()
            case _:
                self.dropped += 1
        return None

    def _from_member(self, message: Any) -> None:
        match message:
            case (_, A.call, from_, request):
                self._serve(from_, request)
            case (_, A.cast, request):
                self._serve(None, request)
            case (_, A.flush, (Pid(), _) as from_):
                gen.reply(self.process.system, from_, NOT_ACTIVE)
            case (_, A.left, Pid() as pid):
                self._left_by(pid)
            case (_, A.noted, Pid() as pid):
                self._unaware.discard(pid.node)
            case _:
                self.dropped += 1

    def terminate(self, reason: Any) -> None:  # noqa: ARG002  # the callback's shape
        """Hand over to the next member, in order."""
        if self._sweep is not None:
            self._sweep.cancel()
        was_active = self.told.activation is not None
        leaving = self.process.system.spawn_function(self._leave, (), {}, link=self.process)
        self._serve_until(leaving.pid, None)
        if was_active:
            self._say_so()
            self._serve_until(None, self.config.lease)
        for call in (*self._held, *self._pending.values()):
            self._answer(call, (A.error, (A.standby, A.stopped)))

    def _say_so(self) -> None:
        """Ask the others to pass nothing on to this member any more; what they sent before is still to be answered."""
        system = self.process.system
        for node in self.config.members:
            if node is not system.node and system.is_connected(node):
                self._unaware.add(node)
                self._send_to(node, (TAG, A.left, self.pid))

    def _left_by(self, pid: Pid) -> None:
        """The member `pid` is being stopped: what it gets from here ends with this answer."""
        if self.told.node is pid.node:
            self.told = Told(None, None, self.told.epoch, None)
            self._plan_sweep()
        self._inform(pid, (TAG, A.noted, self.pid))

    def _send_to(self, node: Atom, message: Any) -> bool:
        """To a member that is connected; nobody is dialled here, for that would keep everybody waiting."""
        system = self.process.system
        connected: bool = system.is_connected(node)
        if connected:
            system.send((self.options.name, node), message)
        return connected

    def _leave(self) -> None:
        """In a process of its own: meanwhile those who call too late are told so."""
        system = self.process.system
        try:
            seconds = self.config.stop + self.config.promise  # for its child, and for another to have its state
            gen.call(system, self.elector, A.leave, seconds + self.config.shutdown)
        except Exit:  # it has ended already, or its child does not stop: it is killed with it
            system.exit(self.elector, A.shutdown)

    def _serve_until(self, pid: Pid | None, seconds: float | None) -> None:
        """Answer what arrives until `pid` has ended, or until all know of the stop, for so many seconds at most."""
        end = None if seconds is None else self._now() + seconds
        while end is None or (self._unaware and self._now() < end):
            self._unaware = {node for node in self._unaware if self.process.system.is_connected(node)}
            message = self.process.receive(None, None if end is None else self.config.beat / 4)
            match message:
                case (A.EXIT, Pid() as ended, _) if ended == pid:
                    return
                case (tag, from_, request) if tag is gen.CALL:
                    self._take(_Call(from_, request, self._now()))
                case Told() | _Dialled() | (ImproperList(), _):
                    self.handle_info(message)
                case (tag, *_) if tag is TAG:
                    self.handle_info(message)

    def _now(self) -> float:
        now: float = self.process.system.timers.now()
        return now

    def _status(self) -> dict[Atom, Any]:
        told = self.told
        return {
            **gen.call(self.process.system, self.elector, A.status),
            A.active: told.node,
            A.child: told.child,
            A.epoch: told.epoch,
            A.held: len(self._held),
            A.pending: len(self._pending),
            A.dropped: self.dropped,
        }

    # --- calls on their way --------------------------------------------------------------------
    def _take(self, call: _Call) -> None:
        """Pass a call on to the active member, or hold it until there is one."""
        if len(self._held) + len(self._pending) >= CAPACITY:
            self._answer(call, (A.error, (A.standby, A.overloaded)))
        elif self.told.node is None or self._is_being_dialled(self.told.node):
            self._keep(call)
        else:
            self._pass_on(call)

    def _is_being_dialled(self, node: Atom) -> bool:
        """Whether calls for `node` have to wait for a connection. The dial is another process's: it may take long."""
        if node not in self._dialling and not self.process.system.is_connected(node):
            self._dialling.add(node)
            self.process.system.spawn(self._dial, node)
        return node in self._dialling

    def _dial(self, node: Atom) -> None:
        try:
            self.process.system.connect(node)
        except ConnectError as error:
            log.debug("the active member of %s can not be reached: %s", self.options.name, error)
        finally:
            self.process.deliver(_Dialled(node))

    def _was_dialled(self, node: Atom) -> None:
        """What waited goes on, in its order; what could not be passed on is tried again when it is looked at anew."""
        self._dialling.discard(node)
        if self.told.node is node and self.process.system.is_connected(node):
            self._take_held()

    def _take_held(self) -> None:
        held, self._held = self._held, deque()
        for call in held:
            self._take(call)

    def _keep(self, call: _Call, *, soon: bool = False) -> None:
        if self._now() >= call.until:
            self._answer(call, (A.error, (A.standby, A.not_active)))
            return
        self._held.append(call)
        self._plan_sweep(soon=soon)

    def _pass_on(self, call: _Call) -> None:
        system, told = self.process.system, self.told
        message: Any = TAG, A.cast, call.request
        if call.from_ is not None:
            # The caller's pid, and an alias of ours: so we know which calls are open when the child is lost.
            call.alias = system.alias(self.process, once=True)
            call.epoch, call.child = told.epoch, told.child
            self._pending[call.alias.words] = call
            message = TAG, A.call, (call.from_[0], ImproperList((A.alias,), call.alias)), call.request
        try:
            if told.node is system.node:
                self.handle_info(message)
            else:
                system.send((self.options.name, told.node), message)
        except EncodeError:
            self._forget(call)
            self._answer(call, (A.error, (A.standby, A.badarg)))

    def _serve(self, from_: Any, request: Any) -> None:
        """A call that a member has passed on: for the child of this node, if it is still the one."""
        told, system = self.told, self.process.system
        mine = told.activation
        if mine is None or told.child is None or not mine.open or not mine.valid():
            if from_ is not None:
                gen.reply(system, from_, NOT_ACTIVE)
            return
        match request:
            case (A.standby, A.move, to) if from_ is not None:
                gen.reply(system, from_, gen.call(system, self.elector, (A.move, to)))
            case _ if from_ is None:
                gen.cast(system, told.child, request)
            case _:
                system.send(told.child, (gen.CALL, from_, request))

    def _answered(self, alias: Reference | None, value: Any) -> None:
        if alias is None:
            return
        call = self._pending.pop(alias.words, None)
        if call is None:
            if alias.words in self._flushing:
                self._lose(*self._flushing.pop(alias.words))
            return
        if type(value) is not tuple or not value or value[0] is not TAG:
            self._answer(call, value)
        elif self.told.node is None or self.told.epoch == call.epoch:
            self._keep(call, soon=True)  # that member has not heard yet that it is the one, or that it is no more
        else:
            self._take(call)

    def _answer(self, call: _Call, value: Any) -> None:
        if call.from_ is None:
            self.dropped += 1
            return
        self.reply(call.from_, value)

    def _forget(self, call: _Call) -> None:
        if call.alias is not None:
            self._pending.pop(call.alias.words, None)
            self.process.system.unalias(self.process, call.alias)
            call.alias = None

    # --- changes -------------------------------------------------------------------------------
    def _tell(self, told: Told) -> None:
        self.told = told
        for call in list(self._pending.values()):
            if not self._may_answer(call):
                self._forget(call)
                self._answer(call, (A.error, (A.standby, A.lost)))
        if told.node is not None:
            self._take_held()
        word = A.inactive if told.node is None else A.active
        for pid in list(self._subscribers):
            self._inform(pid, (A.standby, self.options.name, word, told.node, told.epoch))
        self._plan_sweep()

    def _inform(self, pid: Pid, message: Any) -> None:
        try:
            self.process.system.send(pid, message)
        except ConnectError:
            pass  # its DOWN is on the way

    def _may_answer(self, call: _Call) -> bool:
        """Whether the child that has the call, or its member, can still be heard of."""
        system, told, child = self.process.system, self.told, call.child
        assert child is not None
        if told.node is not None and call.epoch == told.epoch:
            return True
        if system.is_local(child):
            return told.node is None and system.process(child) is not None
        if not system.is_connected(child.node):
            return False
        return told.node is None or self._flush(child.node)

    def _flush(self, node: Atom) -> bool:
        """Ask the member that was active for a sign: the news of the next one may have overtaken its last answers.

        Whatever it has sent before that is here when the sign is; what is not answered then is lost.
        """
        if any(asked == (node, self.told.epoch) for asked in self._flushing.values()):
            return True
        alias = self.process.system.alias(self.process, once=True)
        self._flushing[alias.words] = node, self.told.epoch
        return self._send_to(node, (TAG, A.flush, (self.pid, ImproperList((A.alias,), alias))))

    def _lose(self, node: Atom, epoch: int) -> None:
        for call in list(self._pending.values()):
            if call.child is not None and call.child.node is node and call.epoch < epoch:
                self._forget(call)
                self._answer(call, (A.error, (A.standby, A.lost)))

    def _plan_sweep(self, *, soon: bool = False) -> None:
        """Look again at what is on its way: `soon` when only the news of a member is missing."""
        if soon and not self._soon and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._sweep is None and (self._held or self._pending):
            self._soon = soon
            seconds = min(self.config.beat, self._hold) if soon else self._hold
            self._sweep = self.process.system.send_after(seconds / 4, self.pid, A.sweep)

    def _swept(self) -> None:
        """Answer what was held too long, and fail what waits for a child that nobody knows of any more."""
        now = self._now()
        held, self._held = self._held, deque()
        for call in held:
            if self.told.node is None or now >= call.until:
                self._keep(call)
            else:
                self._take(call)
        for call in list(self._pending.values()):
            if now >= call.until and (self.told.node is None or call.epoch != self.told.epoch):
                self._forget(call)
                self._answer(call, (A.error, (A.standby, A.lost)))
        self._plan_sweep()

    def _subscribe(self, pid: Pid) -> Any:
        if pid not in self._subscribers:
            self._subscribers[pid] = self.process.system.monitor(self.process, pid)
        return A.ok, self.told.node, self.told.epoch

    # --- from Python ---------------------------------------------------------------------------
    @staticmethod
    def whereis(group: Any, *, timeout: float | None = 5.0, on: Any = None) -> Pid | None:
        """The pid of the active child, or None. `group`: the name, ``(name, node)`` or the pid of a member."""
        pid: Pid | None = where.call(group, A.whereis, timeout, on)
        return pid

    @staticmethod
    def status(group: Any, *, timeout: float | None = 5.0, on: Any = None) -> dict[Atom, Any]:
        """What a member knows: name, active, child, epoch, quorum, pin, held, pending, dropped, garbage, and members.

        Each of the members is a map of its node, its priority (0: the first), and its state: waiting (has just
        started), standby, active, resting and doubted (its child has failed), failed (too often), leaving, down.
        """
        status: dict[Atom, Any] = where.call(group, (A.standby, A.status), timeout, on)
        return status

    @staticmethod
    def move(group: Any, to: str | Atom | None, *, timeout: float | None = 5.0, on: Any = None) -> Any:
        """Move the child to the node `to` and prefer that from now on; None: the configured priority again.

        ``A.ok`` when it has begun; ``(A.error, reason)``: not_a_member, not_available, not_active.
        """
        return where.call(group, (A.standby, A.move, None if to is None else Atom(str(to))), timeout, on)

    @staticmethod
    def subscribe(group: Any, *, timeout: float | None = 5.0, on: Any = None) -> tuple[Atom | None, int]:
        """(active node or None, epoch) now; then the current process gets ``(A.standby, name, word, node, epoch)``."""
        _, node, epoch = where.call(group, (A.standby, A.subscribe), timeout, on)
        return node, epoch

    @staticmethod
    def unsubscribe(group: Any, *, timeout: float | None = 5.0, on: Any = None) -> None:
        where.call(group, (A.standby, A.unsubscribe), timeout, on)

    @staticmethod
    def reset(group: Any, *, timeout: float | None = 5.0, on: Any = None) -> None:
        """Let a member try again whose child has failed too often."""
        where.call(group, (A.standby, A.reset), timeout, on)


def _groups(nodes: Iterable[Any]) -> tuple[tuple[Atom, ...], ...]:
    return tuple(
        (Atom(str(entry)),) if isinstance(entry, (str, Atom)) else tuple(Atom(str(node)) for node in entry)
        for entry in nodes
    )


def _check(
    me: Atom,
    groups: tuple[tuple[Atom, ...], ...],
    quorum: str | None,
    seconds: tuple[float, ...],
    drift: float,
    failures: int,
) -> None:
    members = [node for group in groups for node in group]
    if me not in members:
        raise UsageError(f"{me} is not among the nodes of its standby group: {', '.join(n.name for n in members)}")
    if len(set(members)) != len(members):
        raise UsageError("a node is named twice among the nodes of a standby group")
    if quorum not in ("majority", None):
        raise UsageError(f"quorum is 'majority' or None, not {short(quorum)}")
    if not all(value > 0 for value in seconds):
        raise UsageError("lease, shutdown, stop, start, within and hold are seconds, more than 0")
    if not 0 <= drift < 0.5 or failures < 1:
        raise UsageError("drift is 0..0.5, failures is 1 or more")


def _patient(config: Config) -> Config:
    """With a long lease `within` grows: a member rests between its failures, and still has to come to the last."""

    return replace(config, within=max(config.within, config.promise * 2 ** (config.failures + 1)))
