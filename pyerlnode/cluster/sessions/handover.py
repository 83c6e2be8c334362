"""How a partition changes hands: what a router does when it has to give sessions away, and when their states arrive.

The sessions of a partition that is given away get the order to give up and end, each behind what it has been sent.
Their states go to the new owner in batches, then `done`. A state that finds its new owner gone is started here again;
one that arrives where the partition is not held is started and offered to the owner. So states move, or meet and
merge, but are not dropped on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from pyerlnode.cluster.sessions import callers
from pyerlnode.cluster.sessions.core import HERE, WAIT, Claim, Done, Effect, Elsewhere, HandOver, Held, Offer, Withdraw
from pyerlnode.cluster.sessions.messages import known_as
from pyerlnode.cluster.sessions.router import SYSTEM, Entry, RequestRouter
from pyerlnode.cluster.sessions.session import NOTHING, GiveUp, MergeIn
from pyerlnode.errors import EncodeError
from pyerlnode.term.atom import A
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.sessions")

BATCH: Final = 100
"""Sessions in one message of states."""


class Ticket:
    """A partition on its way to another node: how many sessions have not ended, and what they gave."""

    __slots__ = ("claims", "left", "partition", "states", "until")

    def __init__(self, partition: int, left: int, until: float) -> None:
        self.partition = partition
        self.left = left
        self.until = until
        self.claims: list[tuple[Pid, int]] = []
        """Who has claimed it meanwhile, and by which number; the last gets the states."""
        self.states: list[tuple[Entry, Any, list[callers.Caller]]] = []


class HandingOver(RequestRouter):
    """The half of the router that gives partitions away and takes them; `moves.Router` is all of it."""

    tickets: dict[int, Ticket]
    watched: dict[Pid, Reference]

    def now(self) -> float:
        now: float = self.process.system.timers.now()
        return now

    # --- effects -------------------------------------------------------------------------------
    def carry_out(self, effects: Iterable[Effect]) -> None:
        me, count = self.process.pid, self.options.partitions
        for effect in effects:
            if type(effect) is Claim:
                self.tell(effect.to, (A.session_claim, me, count, effect.number, effect.partitions))
            elif type(effect) is Offer:
                self.tell(effect.to, (A.session_offer, me, count, effect.partitions))
            elif type(effect) is HandOver:
                self.hand_over(effect)
            elif type(effect) is Withdraw:
                self.tell(effect.to, (A.session_withdraw, me, effect.number, effect.partitions))
            elif type(effect) is Done:
                self.tell(effect.to, (A.session_done, me, effect.number, effect.partitions))
            elif type(effect) is Held:
                if effect.late:
                    self.counts.late += len(effect.partitions)
                    log.warning(
                        "%d partitions of the sessions %s are served although not every node has given them up",
                        len(effect.partitions), self.options.name,
                    )  # fmt: skip
                self.release(effect.partitions)
            elif type(effect) is Elsewhere:
                self.release(effect.partitions)

    def release(self, partitions: list[int]) -> None:
        for partition in partitions:
            self.again(self.queues.pop(partition, None))

    def hand_over(self, effect: HandOver) -> None:
        """Give away what is claimed; what is on its way already follows the last claim."""
        empty = []
        for partition in effect.partitions:
            ticket = self.tickets.get(partition)
            entries = self.by_partition.get(partition)
            if ticket is not None:
                ticket.claims.append((effect.to, effect.number))
            elif entries:
                ticket = Ticket(partition, len(entries), self.now() + self.options.handoff_timeout)
                ticket.claims.append((effect.to, effect.number))
                self.tickets[partition] = ticket
                for entry in list(entries.values()):
                    entry.ticket = ticket
                    if entry.open:  # else it goes to rest just now
                        entry.open = False
                        entry.process.deliver((SYSTEM, None, GiveUp(partial(self.given, entry, ticket))))
            else:
                empty.append(partition)
        if empty:
            self.tell(effect.to, (A.session_done, self.process.pid, effect.number, empty))
            self.carry_out(self.own.given(empty))

    def given(self, entry: Entry, ticket: Ticket, state: Any) -> None:
        """The state of a session, told by itself before it ends. Who waits for its answers, waits on."""
        if state is NOTHING:
            return
        waiting: list[callers.Caller] = [waiter for waiter in entry.callers or () if callers.waits(waiter)]
        entry.callers = None
        entry.moves = True
        waiting += callers.take_direct(entry.process)
        for watcher in callers.moved_from(entry.process, self.process):
            callers.move(watcher, self.process)
            waiting.append(watcher)
        ticket.states.append((entry, state, waiting))

    def gave(self, entry: Entry) -> None:
        """One session less on a partition that is handed over."""
        ticket: Ticket = entry.ticket
        ticket.left -= 1
        if ticket.left > 0:
            return
        del self.tickets[ticket.partition]
        to, _ = ticket.claims[-1]
        if to in self.watched and self.own.where(ticket.partition) is not WAIT:  # that is: not to be served here again
            for start in range(0, len(ticket.states), BATCH):
                self.send_states(to, ticket.states[start : start + BATCH])
        else:
            for state in ticket.states:
                self.take_back(*state)
        for peer, number in ticket.claims:
            self.tell(peer, (A.session_done, self.process.pid, number, [ticket.partition]))
        self.carry_out(self.own.given([ticket.partition]))

    def send_states(self, to: Pid, states: list[tuple[Entry, Any, list[callers.Caller]]]) -> None:
        made = []
        for entry, state, waiting in states:
            origins = dict(entry.origins or {})
            for caller in waiting:
                origins[self.process.pid] = self.outgoing.add(entry.known, caller, to)
            made.append((entry.key, state, list(origins.items())))
        try:
            self.tell(to, (A.session_states, self.process.pid, made))
        except EncodeError as error:
            if len(states) == 1:
                self.state_lost(*states[0], error)
                return
            for one in states:
                self.send_states(to, [one])
            return
        self.counts.handed_over += len(states)
        for key, _, origins_list in made:
            for origin, last in origins_list:
                if origin != self.process.pid:
                    self.tell(origin, (A.session_moved, key, last, to))

    def state_lost(self, entry: Entry, state: Any, waiting: list[callers.Caller], error: EncodeError) -> None:
        del state
        self.counts.lost += 1
        log.error("the state of a session of %s can not be handed over: %s", self.options.name, error)
        for caller in waiting:
            callers.fail(caller, A.session_lost)
        for origin, last in (entry.origins or {}).items():
            self.tell_failed(origin, entry.key, last, A.session_lost)

    def take_back(self, entry: Entry, state: Any, waiting: list[callers.Caller]) -> None:
        """The new owner is gone, or owns it no more: go on here, for whoever owns it next."""
        self.arrived(entry.key, state, dict(entry.origins or {}))
        started = self.sessions.get(entry.known)
        if started is not None:
            for caller in waiting:
                self.attach(started, caller)

    def arrived(self, key: Any, state: Any, origins: dict[Pid, int]) -> None:
        """A state from another node."""
        known = known_as(key)
        entry = self.sessions.get(known)
        if entry is not None and not entry.process.alive:
            self.session_ended(entry, entry.process.exit_reason)
            entry = self.sessions.get(known)
        if entry is not None and not entry.open:
            self.wait_for(entry, (key, state, origins))
            return
        if entry is None:
            entry = self.begin(key, known, phash2(key, self.options.partitions), state)
            self.counts.taken_over += 1
        else:
            entry.process.deliver((SYSTEM, None, MergeIn(state)))
            self.counts.merged += 1
        entry.origins = {**(entry.origins or {}), **origins}
        partition = entry.partition
        if self.settled and partition not in self.tickets and self.own.where(partition) not in (HERE, WAIT):
            self.carry_out(self.own.offer([partition]))
