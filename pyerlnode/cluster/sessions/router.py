"""The router of sessions on one node: takes requests for keys, runs the sessions of the partitions that it holds.

    {session, Key, Request}   by call or cast      to the session of Key, which answers the caller itself
    {whereis, Key}            by call              its pid, or nil when it does not run
    stats                     by call              a map of numbers (`Sessions.stats`)

A request goes to the session when that runs here; else by `Ownership.where` of its partition: here (a session is
started), wait (until the partition is held), or to the owner's router, at most `MAX_HOPS` times while views differ.
The sessions are linked to the router and end with it. How they move is in `handover`, who the members are in `moves`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.brief import message, short
from pyerlnode.cluster.sessions import callers
from pyerlnode.cluster.sessions.callers import is_caller
from pyerlnode.cluster.sessions.core import HERE, WAIT, Ownership
from pyerlnode.cluster.sessions.messages import CALL, CAST, WHEREIS, Req
from pyerlnode.cluster.sessions.ring_core import PARTITIONS
from pyerlnode.cluster.sessions.session import NOTHING, Begin, Rest, Session
from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import UNSET, NoReply, Reply
from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.mailbox import Waiter
from pyerlnode.runtime.process import Process
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.sessions")

MAX_HOPS: Final = 4
"""Routers that a request may pass before it is given up: views that differ for long are told, not followed."""
SYSTEM: Final = A.system
LOCAL_CALLERS: Final = 32
SWEEPS: Final = 4
"""Looks at who is idle in the time after which a session is."""


@dataclass(frozen=True)
class Options:
    """What `Sessions` was started with; there it is described."""

    name: str
    cls: type[Session]
    partitions: int = PARTITIONS
    weight: int = 1
    idle: float | None = None
    max_sessions: int = 100_000
    max_waiting: int = 10_000
    handoff_timeout: float = 5.0
    settle_timeout: float = 2.0
    seeds: tuple[str, ...] = ()
    scope: str = "pyerlnode_sessions"

    def __post_init__(self) -> None:
        if not (isinstance(self.cls, type) and issubclass(self.cls, Session)):
            raise UsageError(f"sessions are of a subclass of Session, not {short(self.cls)}")
        times = (self.handoff_timeout, self.settle_timeout, 1 if self.idle is None else self.idle)
        if min(times) <= 0 or min(self.max_sessions, self.max_waiting) < 1:
            raise UsageError("time-outs are seconds, more than 0; max_sessions and max_waiting are at least 1")


@dataclass
class Counts:
    """What has happened on this node since the router's start."""

    started: int = 0
    ended: int = 0
    crashed: int = 0
    passivated: int = 0
    forwarded: int = 0
    handed_over: int = 0
    taken_over: int = 0
    merged: int = 0
    lost: int = 0
    refused: int = 0
    late: int = 0
    garbage: int = 0


class Entry:
    """A session of this node."""

    __slots__ = (
        "callers", "key", "known", "moves", "open", "origins", "partition", "process", "ticket", "used", "waiting",
    )  # fmt: skip

    def __init__(self, key: Any, known: Key, partition: int, process: Process) -> None:
        self.key = key
        self.known = known
        self.partition = partition
        self.process = process
        self.open = True
        """False from the order to end on: what comes then waits in `waiting` for the end."""
        self.moves = False
        """It has given its state: whom it has not answered the next owner answers."""
        self.used = 0
        self.waiting: list[Any] | None = None
        self.callers: list[Waiter] | None = None
        """Callers of this node that came through the router."""
        self.origins: dict[Pid, int] | None = None
        """Other routers with requests here, and the last number of each."""
        self.ticket: Any = None


class RequestRouter(GenServer):
    """The half of the router that serves requests; `moves.Router` is all of it."""

    host: Host
    options: Options

    def set_up(self, host: Host, options: Options) -> None:
        self.host = host
        self.options = options
        self.own = Ownership(host.name, options.partitions, options.handoff_timeout)
        self.sessions: dict[Key, Entry] = {}
        self.by_pid: dict[Pid, Entry] = {}
        self.by_partition: dict[int, dict[Key, Entry]] = {}
        self.queues: dict[int, list[Any]] = {}
        """What waits until a partition is held; under -1 what waits for the first view."""
        self.dialling: dict[Atom, list[Req]] = {}
        self.outgoing = callers.Outgoing()
        self.counts = Counts()
        self.settled = False
        self.queued = 0
        self.sweeps = 0

    # --- requests ------------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        if type(request) is tuple and len(request) == 3 and request[0] is A.session and is_caller(from_):
            self.take(CALL, request[1], request[2], from_)
            return NoReply()
        return self.asked(request, from_)

    def asked(self, request: Any, from_: Any) -> Any:
        """A call that is no request for a session."""
        match request:
            case (A.whereis, key) if is_caller(from_):
                self.take(WHEREIS, key, None, from_)
                return NoReply()
            case A.stats:
                return Reply({Atom(key): value for key, value in self.stats().items()})
        return Reply((A.error, A.unknown_request))

    def handle_cast(self, request: Any) -> None:
        match request:
            case (A.session, key, what):
                self.take(CAST, key, what, None)
            case _:
                self.counts.garbage += 1

    def take(self, kind: Atom, key: Any, request: Any, from_: Any) -> None:
        """A request that came to this node first."""
        try:
            req = Req(kind, key, request, from_)
        except UsageError:  # no term, or none that has a hash: nothing that could be a key
            self.counts.refused += 1
            caller = None if from_ is None else callers.caller_of(self.process, from_)
            if caller is not None:
                callers.fail(caller, A.bad_session_key)
        else:
            self.route(req)

    def route(self, req: Req) -> None:
        entry = self.sessions.get(req.known)
        if entry is not None:
            if entry.open and entry.process.alive:
                self.give(entry, req)
                return
            if entry.process.alive:
                self.wait_for(entry, req)
                return
            self.session_ended(entry, entry.process.exit_reason)
        partition = phash2(req.key, self.options.partitions)
        where = self.own.where(partition)
        if where is HERE:
            if req.kind is WHEREIS:
                gen.reply(self.process.system, req.from_, None)
            elif len(self.sessions) >= self.options.max_sessions:
                self.refuse(req, (A.session_limit, self.process.system.node, self.options.max_sessions))
            elif self.can_answer(req):
                self.give(self.begin(req.key, req.known, partition, NOTHING), req)
        elif where is WAIT or not self.settled:
            self.enqueue(self.queues.setdefault(partition if self.settled else -1, []), req)
        else:
            self.forward(req, where)

    def give(self, entry: Entry, req: Req) -> None:
        """To the session, which runs here."""
        if req.kind is WHEREIS:
            gen.reply(self.process.system, req.from_, entry.process.pid)
            return
        entry.used = self.sweeps
        if req.kind is CAST:
            entry.process.deliver((gen.CAST, req.request))
            return
        if req.origin is None:
            self.attach(entry, callers.caller_of(self.process, req.from_))
        elif self.can_answer(req):
            if entry.origins is None:
                entry.origins = {}
            entry.origins[req.origin] = max(req.number, entry.origins.get(req.origin, 0))
        else:
            return
        entry.process.deliver((gen.CALL, req.from_, req.request))

    def attach(self, entry: Entry, caller: callers.Caller | None) -> None:
        """The end of the session is the end of its caller's wait."""
        if isinstance(caller, Waiter):
            waiting = entry.callers
            if waiting is None:
                waiting = entry.callers = []
            elif len(waiting) >= LOCAL_CALLERS:
                waiting[:] = [waiter for waiter in waiting if callers.waits(waiter)]
            waiting.append(caller)
        elif caller is not None:
            callers.move(caller, entry.process)

    def enqueue(self, queue: list[Any], req: Any) -> None:
        if self.queued >= self.options.max_waiting and type(req) is Req:
            self.refuse(req, (A.session_overload, self.process.system.node, self.options.max_waiting))
            return
        self.queued += 1
        queue.append(req)

    def wait_for(self, entry: Entry, req: Any) -> None:
        """The session ends just now: what comes meanwhile is routed anew behind its end."""
        if entry.waiting is None:
            entry.waiting = []
        self.enqueue(entry.waiting, req)

    def again(self, queue: list[Any] | None) -> None:
        """Route what has waited."""
        for req in queue or ():
            self.queued -= 1
            if type(req) is Req:
                self.route(req)
            else:
                self.arrived(*req)

    def can_answer(self, req: Req) -> bool:
        """A session answers the caller's node itself; when that is not connected, connect first."""
        if req.origin is None or req.kind is CAST:
            return True
        node = req.from_[0].node
        system = self.process.system
        if system.is_connected(node):
            return True
        waiting = self.dialling.get(node)
        if waiting is None:
            waiting = self.dialling[node] = []
            self.beside(lambda: system.connect(node), (A.session_dialled, node))
        self.enqueue(waiting, req)
        return False

    def dialled(self, node: Atom) -> None:
        queue = self.dialling.pop(node, [])
        if self.process.system.is_connected(node):
            self.again(queue)
            return
        self.queued -= len(queue)
        for req in queue:
            self.refuse(req, (A.session_can_not_answer, self.process.system.node, node))

    def beside(self, work: Callable[[], Any], report: Any) -> None:
        """Run what may block in a process of its own; `report` comes when it is over, however it ended."""
        system, me = self.process.system, self.process.pid

        def run() -> None:
            try:
                work()
            except BaseException as error:
                caught(error)
                log.debug("a helper of the sessions %s failed: %s", self.options.name, message(error))
            finally:
                system.send(me, report)

        system.spawn(run)

    # --- to other nodes ------------------------------------------------------------------------
    def forward(self, req: Req, to: Pid | None) -> None:
        if to is None or req.hops >= MAX_HOPS:
            self.refuse(req, (A.session_no_owner, self.process.system.node, req.hops))
            return
        if not self.process.system.is_connected(to.node):
            self.peer_lost(to)  # its DOWN is in the mailbox; the request was not sent, so it may go to the next
            self.route(req)
            return
        origin, number = req.origin, req.number
        if origin is None:
            origin = self.process.pid
            caller = None if req.kind is CAST else callers.caller_of(self.process, req.from_)
            number = self.outgoing.add(req.known, caller, to)
        elif req.kind is not CAST:
            self.tell(origin, (A.session_moved, req.key, number, to))
        from_ = None if req.kind is CAST else req.from_
        try:
            self.tell(to, (A.session_forward, origin, number, req.hops + 1, req.kind, from_, req.key, req.request))
        except EncodeError as error:
            self.outgoing.failed(req.known, number, number, (A.unencodable_reason, str(error).encode()))
        self.counts.forwarded += 1

    def refuse(self, req: Req, reason: Any) -> None:
        """The request is not carried out: whoever waits for its answer is told so."""
        self.counts.refused += 1
        if req.kind is CAST:
            return
        if req.origin is None:
            caller = callers.caller_of(self.process, req.from_)
            if caller is not None:
                callers.fail(caller, reason)
        else:
            self.tell(req.origin, (A.session_failed, req.key, req.number, req.number, reason))

    def tell(self, to: Pid, message: Any) -> None:
        """To a router that is connected; nobody is dialled here, for that would keep everybody waiting."""
        system = self.process.system
        if system.is_connected(to.node):
            system.send(to, message)

    # --- sessions ------------------------------------------------------------------------------
    def begin(self, key: Any, known: Key, partition: int, state: Any) -> Entry:
        """Start a session; its `init` runs as its own, so a slow one holds up nobody else."""
        server = self.options.cls()
        order = Begin((key, state))
        process = gen.start(self.process.system, server, lambda: order, link=self.process)
        assert process is not None
        entry = Entry(key, known, partition, process)
        entry.used = self.sweeps
        self.sessions[known] = self.by_pid[process.pid] = entry
        self.by_partition.setdefault(partition, {})[known] = entry
        self.counts.started += 1
        return entry

    def session_ended(self, entry: Entry, reason: Any) -> None:
        """Told by its EXIT, or seen on the way of a request before that is read."""
        if self.by_pid.pop(entry.process.pid, None) is None:
            return
        if self.sessions.get(entry.known) is entry:
            del self.sessions[entry.known]
        held = self.by_partition.get(entry.partition)
        if held is not None and held.get(entry.known) is entry:
            del held[entry.known]
            if not held:
                del self.by_partition[entry.partition]
        self.counts.ended += 1
        if exact.same(reason, (A.shutdown, A.idle)):
            self.counts.passivated += 1
        elif reason not in (A.normal, A.shutdown) and not exact.same(reason, (A.shutdown, A.handoff)):
            self.counts.crashed += 1
        for caller in entry.callers or ():
            callers.fail(caller, reason)
        told = {} if entry.moves else entry.origins or {}  # else those routers are told where it has moved
        for origin, last in told.items():
            self.tell_failed(origin, entry.key, last, reason)
        waiting, entry.waiting = entry.waiting, None
        if entry.ticket is not None:
            self.gave(entry)
        self.again(waiting)

    def tell_failed(self, origin: Pid, key: Any, last: int, reason: Any) -> None:
        message = (A.session_failed, key, 0, last, reason)
        try:
            self.tell(origin, message)
        except EncodeError as error:
            self.tell(origin, (*message[:4], (A.unencodable_reason, str(error).encode())))

    def sweep(self) -> None:
        """Let sessions rest that nobody has asked for `idle` seconds."""
        self.sweeps += 1
        for entry in self.sessions.values():
            if entry.open and self.sweeps - entry.used > SWEEPS:
                if entry.process.queue or not entry.process.parked:  # busy, or asked without the router
                    entry.used = self.sweeps
                else:
                    entry.open = False
                    entry.process.deliver((SYSTEM, None, Rest(UNSET)))

    # --- of the other half ---------------------------------------------------------------------
    def arrived(self, key: Any, state: Any, origins: dict[Pid, int]) -> None:
        raise NotImplementedError

    def gave(self, entry: Entry) -> None:
        raise NotImplementedError

    def peer_lost(self, peer: Pid) -> None:
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        raise NotImplementedError
