"""Who the members are: the routers that one knows of, how they come and go, and how this one leaves in order.

Members are the routers in the `pg` group of the service's name; each joins as often as its weight. One that leaves
joins the group ``{leaving, Name}`` before: it is no owner any more, but whoever comes has to ask it. A router begins
when it has asked every connected node for its members and those are in its own view (or `settle_timeout` is over), so
that one which joins does not think for a moment that it is alone. It connects to members that it hears of, and to its
seeds; each member is monitored once, so a death is seen with the connection's.

What happens to a partition that changes hands is in `handover`.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from pyerlnode.cluster.sessions.core import (
    HERE,
    WAIT,
    Member,
)
from pyerlnode.cluster.sessions.handover import HandingOver, Ticket
from pyerlnode.cluster.sessions.messages import known_as, numbers, read_forward, read_states
from pyerlnode.cluster.sessions.ring_core import MOST_WEIGHT
from pyerlnode.cluster.sessions.router import SYSTEM, Options
from pyerlnode.errors import Exit, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import NoReply, Stop
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.sessions")

TICK: Final = 0.25
_TICK: Final = object()
_SWEEP: Final = object()
SEEDS_EVERY: Final = 20
"""Ticks between two attempts to reach seeds and lost members."""
LOOKED_FOR: Final = 600.0
"""Seconds for which a member is dialled whose connection was lost: a netsplit should heal by itself."""
LINGER: Final = 0.25
"""Seconds without a request after which a router that has handed everything over ends: it forwards until then."""


class Router(HandingOver):
    """The router of one service on one node."""

    stop_rank = 3
    """Before applications end and their sessions could not ask them any more."""

    def init(self, host: Host, options: Options) -> None:
        self.set_up(host, options)
        options.cls()  # a class that can not be made is an error of the start, not of the first request
        self.process.trap_exit = True
        self.tickets: dict[int, Ticket] = {}
        self.joined: Counter[Pid] = Counter()
        self.dead: set[Pid] = set()
        self.watched: dict[Pid, Reference] = {}
        self.departing: set[Pid] = set()
        self.asking: set[str] = set()
        self.expected: dict[str, list[Pid]] = {}
        self.asked_nodes: set[str] = set()
        self.lost_nodes: dict[str, float] = {}
        self.leavers: list[Any] = []
        self.empty_since: float | None = None
        self.forwarded_then = 0
        self.leaving = False
        self.leave_until = 0.0
        self.ticks = 0
        host.pg.start(options.scope)
        self.groups = (A[options.name], (A.leaving, A[options.name]))
        self.subscription, members = host.pg.monitor(self.groups[0], scope=options.scope)
        self.of_leavers, leaving = host.pg.monitor(self.groups[1], scope=options.scope)
        host.pg.join(A[options.name], [self.process.pid] * options.weight, scope=options.scope)
        self.settle_until = self.now() + options.settle_timeout
        self.pg_joined(members)
        self.pg_leaving(leaving)
        for node in {*host.nodes(), *options.seeds} - {host.name}:
            self.ask_node(node)
        self.process.system.send_after(TICK, self.process.pid, _TICK)
        if options.idle is not None:
            self.next_sweep()
        self.settle()

    # --- members -------------------------------------------------------------------------------
    def ask_node(self, node: str) -> None:
        """Connect to a node, if need be, and learn which members it knows."""
        self.asking.add(node)
        self.asked_nodes.add(node)
        found: list[Pid] = []
        scope, groups = self.options.scope, self.groups
        system, timeout = self.process.system, self.options.settle_timeout

        def ask() -> None:
            try:
                for group in groups:
                    _, members = gen.call(system, (scope, node), (A.monitor, group), timeout)  # ends with this process
                    found.extend(pid for pid in members if type(pid) is Pid)
            except Exit:
                pass  # there is no such scope, as on every node that has no sessions

        self.beside(ask, (A.session_heard, node, found))

    def heard(self, node: str, members: list[Pid]) -> None:
        self.asking.discard(node)
        self.expected[node] = members
        for name in {pid.node.name for pid in members} - self.asked_nodes - {self.host.name}:
            self.ask_node(name)
        self.settle()

    def settle(self) -> None:
        """Begin to serve, once the members are known."""
        if self.settled or self.asking:
            return
        known = self.joined.keys() | self.departing | self.dead
        if all(pid in known for members in self.expected.values() for pid in members):
            self.begin_to_serve()

    def begin_to_serve(self) -> None:
        self.settled = True
        self.view()
        self.again(self.queues.pop(-1, None))

    def pg_joined(self, pids: list[Pid]) -> None:
        for pid in pids:
            self.joined[pid] += 1
            self.departing.discard(pid)
            if pid not in self.watched and pid not in self.dead and pid != self.process.pid:
                self.watch(pid)

    def watch(self, pid: Pid) -> None:
        system = self.process.system
        if not system.is_connected(pid.node):
            self.dead.add(pid)  # gone before it could be watched; pg is about to tell
            return
        self.watched[pid] = system.monitor(self.process, pid)
        self.lost_nodes.pop(pid.node.name, None)
        if pid.node.name not in self.asked_nodes:  # it may know others
            self.ask_node(pid.node.name)

    def pg_leaving(self, pids: list[Pid]) -> None:
        """They are members no more, or soon, but have sessions to give; those who join later have to know it too."""
        for pid in pids:
            if pid not in self.watched and pid not in self.dead and pid != self.process.pid:
                self.watch(pid)
            if pid in self.watched:
                self.departing.add(pid)

    def pg_left(self, pids: list[Pid]) -> None:
        for pid in pids:
            self.joined[pid] -= 1
            if self.joined[pid] <= 0:
                del self.joined[pid]
                self.dead.discard(pid)
                if pid in self.watched:
                    self.departing.add(pid)  # in good order: it has sessions to give

    def down(self, ref: Reference, pid: Pid, reason: Any) -> None:
        if self.watched.get(pid) == ref:
            if reason is A.noconnection:
                self.lost_nodes[pid.node.name] = self.now() + LOOKED_FOR
            self.peer_lost(pid)

    def peer_lost(self, peer: Pid) -> None:
        ref = self.watched.pop(peer, None)
        if ref is not None:
            self.process.system.demonitor(self.process, ref, flush=True)
        self.departing.discard(peer)
        self.asked_nodes.discard(peer.node.name)
        if peer in self.joined:
            self.dead.add(peer)
        self.own.forget(peer)
        self.outgoing.lost(peer, (A.session_node_down, peer.node))
        self.view()

    def view(self) -> None:
        """What is known of the members has changed."""
        if not self.settled:
            self.settle()
            return
        present = [pid for pid in self.joined if pid in self.watched and pid not in self.departing]
        members = {pid.node.name: Member(pid, min(self.joined[pid], MOST_WEIGHT)) for pid in present}
        if not self.leaving:
            members[self.host.name] = Member(self.process.pid, self.options.weight)
        self.carry_out(self.own.change(members, self.departing, self.now()))

    # --- messages ------------------------------------------------------------------------------
    def handle_info(self, message: Any) -> Any:
        if type(message) is tuple and message:
            try:
                self.told(message)
            except UsageError:  # a peer's key that can not be one
                self.counts.garbage += 1
        elif message is _TICK:
            self.tick()
        elif message is _SWEEP:
            self.sweep()
            self.next_sweep()
        else:
            self.counts.garbage += 1
        if self.leaving and self.has_left():
            return self.left()
        return None

    def told(self, message: tuple[Any, ...]) -> None:
        match message:
            case (A.session_forward, *_):
                req = read_forward(message)
                if req is None:
                    self.counts.garbage += 1
                else:
                    self.route(req)
            case (A.EXIT, Pid() as pid, reason):
                entry = self.by_pid.get(pid)
                if entry is not None and not entry.process.alive:
                    self.session_ended(entry, reason)
            case (A.DOWN, Reference() as ref, _, Pid() as pid, reason):
                self.down(ref, pid, reason)
            case (self.subscription, kind, _, list() as pids):
                (self.pg_joined if kind is A.join else self.pg_left)(pids)
                self.view()
            case (self.of_leavers, A.join, _, list() as pids):
                self.pg_leaving(pids)
                self.view()
            case (A.session_heard, str(node), list() as members):  # text never comes from a peer
                self.heard(node, members)
            case (A.session_dialled, Atom() as node):
                self.dialled(node)
            case _:
                self.from_router(message)

    def from_router(self, message: tuple[Any, ...]) -> None:
        match message:
            case (A.session_claim, Pid() as peer, int(count), int(number), list() as items) if (
                numbers(items) is not None
            ):
                if self.same_ring(peer, count):
                    self.carry_out(self.own.claimed(peer, number, items))
            case (A.session_offer, Pid() as peer, int(count), list() as items) if numbers(items) is not None:
                if self.same_ring(peer, count):
                    self.carry_out(self.own.offered(peer, items, self.now()))
            case (A.session_done, Pid() as peer, int(number), list() as items) if numbers(items) is not None:
                self.carry_out(self.own.done(peer, number, items))
            case (A.session_withdraw, Pid() as peer, int(number), list() as items) if numbers(items) is not None:
                self.carry_out(self.own.withdraw(peer, number, items))
            case (A.session_states, Pid(), items) if (states := read_states(items)) is not None:
                for state in states:
                    self.arrived(*state)
            case _:
                self.of_requests(message)

    def of_requests(self, message: tuple[Any, ...]) -> None:
        match message:
            case (A.session_failed, key, int(first), int(last), reason):
                self.outgoing.failed(known_as(key), first, last, reason)
            case (A.session_moved, key, int(number), Pid() as to):
                self.outgoing.moved(known_as(key), 0, number, to)
                if to not in self.watched and to != self.process.pid:
                    self.outgoing.lost(to, (A.session_node_down, to.node))
            case (A.session_refused, Pid() as peer, int(count)) if peer in self.watched:
                self.part_from(peer, count)
            case _:
                self.counts.garbage += 1

    def same_ring(self, peer: Pid, count: int) -> bool:
        if count == self.options.partitions:
            return True
        self.tell(peer, (A.session_refused, self.process.pid, self.options.partitions))
        if self.own.held:
            self.part_from(peer, count)
        return False

    def part_from(self, peer: Pid, count: int) -> None:
        """Who serves already goes on without it; who has just come can not take part."""
        if peer not in self.watched:
            return
        log.error(
            "the sessions %s of %s have %d partitions, and %d here: the two can not share keys",
            self.options.name, peer.node, count, self.options.partitions,
        )  # fmt: skip
        if not self.own.held:
            raise Exit((A.session_partitions, count, self.options.partitions), "the ring of the others is another")
        self.peer_lost(peer)

    def tick(self) -> None:
        now = self.now()
        self.ticks += 1
        if not self.settled and now >= self.settle_until:
            log.warning("the sessions %s begin though not every node has told its members", self.options.name)
            self.begin_to_serve()
        if not self.settled:
            for node in self.asked_nodes - self.asking:  # who is missing may have left meanwhile
                self.ask_node(node)
        else:
            self.carry_out(self.own.tick(now))
            strays = [p for p in self.by_partition if p not in self.tickets and self.own.where(p) not in (HERE, WAIT)]
            self.carry_out(self.own.offer(strays))
        for ticket in [ticket for ticket in self.tickets.values() if ticket.until <= now]:
            for entry in list(self.by_partition.get(ticket.partition, {}).values()):
                log.warning("a session of %s did not hand over in time and is killed", self.options.name)
                entry.process.exit(A.killed)
        if self.ticks % SEEDS_EVERY == 0:
            self.lost_nodes = {node: until for node, until in self.lost_nodes.items() if until > now}
            wanted = {*self.options.seeds, *self.lost_nodes} - {self.host.name}
            for node in wanted - set(self.host.nodes()) - self.asking:
                self.ask_node(node)
        self.process.system.send_after(TICK, self.process.pid, _TICK)

    def next_sweep(self) -> None:
        assert self.options.idle is not None
        self.process.system.send_after(self.options.idle / 4, self.process.pid, _SWEEP)

    # --- the end -------------------------------------------------------------------------------
    def asked(self, request: Any, from_: Any) -> Any:
        if request is A.session_leave:
            self.leavers.append(from_)
            self.begin_to_leave()
            return self.left() if self.has_left() else NoReply()
        return super().asked(request, from_)

    def begin_to_leave(self) -> None:
        if self.leaving:
            return
        self.leaving = True
        self.leave_until = self.now() + self.options.handoff_timeout
        try:
            self.host.pg.join(self.groups[1], self.process.pid, scope=self.options.scope)
            self.host.pg.leave(self.groups[0], [self.process.pid] * self.options.weight, scope=self.options.scope)
        except Exit:
            pass  # the groups have ended before us: then the others see our end
        if not self.settled:
            self.begin_to_serve()
        else:
            self.view()

    def has_left(self) -> bool:
        """Whether all has been handed over and nobody asks any more, nobody is there to take it, or time is over."""
        now = self.now()
        if not self.own.members or now >= self.leave_until:
            return True
        if self.own.held or self.by_pid or self.tickets or self.queued or self.outgoing.waiting():
            self.empty_since = None
        elif self.empty_since is None or self.counts.forwarded != self.forwarded_then:
            self.empty_since, self.forwarded_then = now, self.counts.forwarded
        return self.empty_since is not None and now - self.empty_since >= LINGER and not self.process.queue

    def left(self) -> Stop:
        for leaver in self.leavers:
            self.reply(leaver, A.ok)
        return Stop(A.shutdown)

    def system_terminate(self, reason: Any) -> None:
        """Asked to end, as by the node that stops: hand over first."""
        self.begin_to_leave()
        if reason is not A.shutdown or self.has_left():
            super().system_terminate(reason)

    def terminate(self, reason: Any) -> None:
        """The sessions that are left end in order, each by itself."""
        system = self.process.system
        self.outgoing.all_lost(reason)
        for entry in list(self.by_pid.values()):
            system.unlink(self.process, entry.process.pid)
            entry.process.deliver_urgent((SYSTEM, (system.root.pid, system.new_ref()), (A.terminate, A.shutdown)))

    def stats(self) -> dict[str, Any]:
        return {
            "settled": self.settled,
            "members": sorted(self.own.members),
            "owned": len(self.own.ring.owned_by(self.host.name)),
            "held": len(self.own.held),
            "awaited": len(self.own.waiting),
            "sessions": len(self.sessions),
            "queued": self.queued,
            "outgoing": self.outgoing.waiting(),
            "moving": len(self.tickets),
            **asdict(self.counts),
        }
