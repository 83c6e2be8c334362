"""Which member of a group runs the child: a machine without I/O that is told of events and the time, and gives effects.

The method is the election of Raft, reduced to what is needed and led by time: *promises* take the place of a log.

- A member belongs to at most one candidate at a time: by `yes` it promises to be nobody else's for `promise` seconds
  of its clock. It renews the promise with each beat of the leader that it answers.
- A candidate that has the promises of a majority of all configured members leads. Its *lease* ends `lease` seconds
  after it *sent* the question that the slowest of that majority has answered. At the end of the lease it stops its
  child, and `shutdown` seconds later the child is killed. All of that is over before the first of the promises is:

      promise = (lease + shutdown) * (1 + drift) / (1 - drift)

  Two majorities have a member in common, and that one belongs to one of the two only: so no two children run at one
  time. This needs clocks whose speed is wrong by less than `drift`, not clocks that agree.
- A member that has started says nothing at all for one `promise`: whatever its former life promised is over by then.
- Each election has an epoch greater than all that its majority knows. What a member forgot in a restart is replaced
  by the wall clock (milliseconds since 1970) as a lower bound, or, strictly, by a file (`Persist`).

Without a majority (``majority=False``) a promise ends with the connection, a lease never does, and each side of a split
runs a child. When leaders meet, the one of higher priority goes on, of equals the one elected first, under a new epoch;
the other stops its child and hands its state over.

    state of a member     it
    WAITING               has just started: listens only
    FOLLOWER              stands by; becomes a candidate when it belongs to nobody, after `beat` seconds for each
                          member before it in priority
    CANDIDATE             asks all; gives up after `ROUND` beats, or in favour of a better one
    LEADER                has a child: starting, running, stopping
    LEFT                  has been stopped

What a child has left in an orderly stop (its *state*) is kept by the one that stopped it and by the successor, until a
child runs that was started with it. So is the state of a child that was stopped because its lease had ended: until it
was, nobody else could have one. Who has a state gives it, before its `yes` or `no`, to any candidate that has not: so
whoever is elected in the successor's place has it too. A member that leaves waits, for one `promise` at most, until
another has what it holds. When a state comes to nothing all the same, that is the note ``state_lost``. So members that
are suspended for less than a lease, at whatever moment, lose none.

Priority: a leader that sees a better member that has been up for one `lease` stops its child, and that member's is
started with the state of the first (takeover). A child that ends, or does not start, makes its member rest, so that the
next goes first; for `within` seconds it is *doubted*: it may stand, but nothing is handed over to it by itself; after
`failures` in that time it gives up until it is reset.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final

from pyerlnode.cluster.standby.member_core import AVAILABLE, Member
from pyerlnode.cluster.standby.types_core import (
    Effect,
    GiveState,
    KillChild,
    Lease,
    Left,
    Note,
    Promise,
    Role,
    StartChild,
    StopChild,
    Tell,
    Tenure,
    View,
)
from pyerlnode.cluster.standby.wire_core import Ask, Beat, Gone, Here, Merge, Message, No, Release, Taken, Transfer, Yes
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

ROUND: Final = 2
"""Beats for which a candidate asks."""
MOST_LOST: Final = 4
"""Lost rounds that make a member wait longer, each by a beat for each member before it."""
GRACE: Final = 6
"""Beats for which the others let a successor go first."""


class Core(Member):
    """One member. Each method that takes `now` gives the effects, in order; call `timer` at `deadline()`."""

    # --- events --------------------------------------------------------------------------------
    def receive(self, sender: Pid, message: Message, now: float) -> list[Effect]:
        """A message of a member. One of a node that is not configured is left alone."""
        self._now = now
        node = sender.node
        if node in self.config.members and node is not self.me and self.role is not Role.LEFT:
            self._heard(sender, message)
            _RECEIVERS[type(message)](self, sender, message)
        return self._done()

    def node_down(self, node: Atom, now: float) -> list[Effect]:
        """The connection to a node is lost, or the group's process there has ended."""
        self._now = now
        self._lost_sight(node)
        if not self.config.majority and self.promise is not None and self.promise.to.node is node:
            self._free()
        return self._done()

    def timer(self, now: float) -> list[Effect]:
        self._now = now
        return self._done()

    def child_started(self, born: int, child: Pid, now: float) -> list[Effect]:
        self._now = now
        tenure = self.tenure
        if tenure is not None and tenure.born == born:
            tenure.child = child
            self.ran = max(self.ran, born)
            if tenure.phase is A.starting:
                tenure.phase, tenure.deadline = A.running, inf
                self._hand = None
                self._tenure_note("active")
                self._beat()
        return self._done()

    def child_ended(self, born: int, reason: Any, now: float) -> list[Effect]:
        """It did not start, or has ended by itself."""
        self._now = now
        tenure = self.tenure
        if tenure is not None and tenure.born == born:
            if tenure.phase is A.stopping:
                self._child_is_gone(None)
            else:
                self._child_failed(reason)
        return self._done()

    def child_stopped(self, born: int, state: Any, now: float) -> list[Effect]:
        """As `StopChild` wanted; `state` is a tuple of its handoff, or None."""
        self._now = now
        tenure = self.tenure
        if tenure is not None and tenure.born == born:
            self._child_is_gone(state)
        return self._done()

    def move(self, to: Atom | None, now: float) -> tuple[Any, list[Effect]]:
        """By an operator: `to` goes before all others from now on; None: the configured priority again."""
        self._now = now
        answer: Any = A.ok
        tenure = self.tenure
        if tenure is None or tenure.phase is not A.running:
            answer = (A.error, A.not_active)
        elif to is not None and to not in self.config.members:
            answer = (A.error, A.not_a_member)
        elif to is not None and to is not self.me and not self._is_ready(to, AVAILABLE):
            answer = (A.error, A.not_available)
        else:
            self.pin = to
            if to is not None and to is not self.me:
                self._begin_stop(to)
            else:
                self._beat()
        return answer, self._done()

    def reset(self, now: float) -> list[Effect]:
        """Forget the failures of this member's child."""
        self._now = now
        self.failed, self.failed_at, self.rest_until = False, (), -inf
        return self._done()

    def leave(self, now: float) -> list[Effect]:
        """Stop in order: hand over to the next, then `Left`."""
        self._now = now
        self.leaving = True
        if self.role is Role.CANDIDATE:
            self._give_up()
        if self.tenure is None:
            pass  # `_done` does it, again and again until it comes about
        elif self.tenure.phase is not A.stopping:
            self._begin_stop(self._best_other())
        return self._done()

    def deadline(self) -> float:
        """When `timer` is to be called next."""
        found = [self._tick_at]
        if self.role is Role.WAITING:
            found.append(self._ready_at)
        elif self.role is Role.CANDIDATE:
            found += (self._ask_at, self._round_until)
        elif self.tenure is not None:
            found.append(self.tenure.deadline)
            if self.tenure.lost is None:
                found.append(self.lease_until())
        elif self.role is Role.FOLLOWER:
            if self.promise is not None:
                found.append(self.promise.until)
            elif self._may_stand():
                found.append(self._stand_at())
        if self.view is not None:
            found.append(self.view.at + self.config.promise)
        return inf if self.role is Role.LEFT else min(found)

    # --- reading -------------------------------------------------------------------------------
    def lease_until(self) -> float:
        """By the clock of this node: how long a majority belongs to it for certain."""
        config = self.config
        if not config.majority:
            return inf
        times = sorted([self._now, *self.votes.values()], reverse=True)
        return times[config.quorum - 1] + config.lease if len(times) >= config.quorum else -inf

    # --- belonging to somebody -----------------------------------------------------------------
    def _ask(self, sender: Pid, message: Ask) -> None:
        if self.role is Role.WAITING:
            return
        newer = message.epoch > max(self.granted, self.led)
        if self.role is Role.CANDIDATE and newer and self._rank(sender.node) < self._rank(self.me):
            self._give_up()
        self._give_hand(sender.node, message.hand)
        promise = self.promise
        again = promise is not None and promise.to == sender and promise.epoch == message.epoch
        if not self._is_free_for(sender) or not (newer or again):
            self._send(sender, No(message.epoch, self.known))
            return
        self._belong(sender, message.epoch)
        self._send(sender, Yes(message.epoch, message.stamp, self.ran))

    def _beaten(self, sender: Pid, message: Beat) -> None:
        self.seen[sender.node].state = A.active
        if self.role is Role.LEADER:
            if not self.config.majority:
                self._meet(sender.node, message)
            return
        if message.epoch < self.led:
            return
        if self.role is Role.WAITING:
            self._look(sender.node, message)
            return
        if self.role is Role.CANDIDATE:
            self._give_up()
        if not self._is_free_for(sender):
            self._send(sender, No(message.epoch, self.known))
            return
        if self.promise is not None and self.promise.to == sender and self.promise.epoch > message.epoch:
            return
        self.led, self.pin = message.epoch, message.pin
        self._lost_rounds = 0
        self._belong(sender, message.epoch)
        self._look(sender.node, message)
        self._send(sender, Yes(message.epoch, message.stamp, self.ran))

    def _release(self, sender: Pid, message: Release) -> None:
        if self.view is not None and self.view.node is sender.node and self.view.epoch <= message.epoch:
            self.view = None
        promise = self.promise
        if promise is not None and promise.to == sender and promise.epoch <= message.epoch:
            self._free()
        if message.successor is not None and message.successor is not self.me:
            self._free_since = max(self._free_since, self._now + GRACE * self.config.beat)

    # --- standing for election -----------------------------------------------------------------
    def _may_stand(self) -> bool:
        if self.failed or self.leaving or self.rest_until > self._now or self.role is not Role.FOLLOWER:
            return False
        return self.promise is None and sum(map(self.is_up, self.config.members)) >= self.config.quorum

    def _stand_at(self) -> float:
        """Each better member that is up and ready has one beat to be first.

        Two of which each is the better one to itself, as after a move that one of them missed, stand at the same
        moments and refuse each other: who has lost two rounds waits longer the next time, each member for another time.
        """
        lost = min(self._lost_rounds - 1, MOST_LOST)
        if lost > 0:
            return self._free_since + self.config.beat * self.config.members.index(self.me) * lost
        better = [n for n in self.config.members if self._rank(n) < self._rank(self.me) and n is not self.me]
        first = [node for node in better if self._is_ready(node, (*AVAILABLE, A.waiting))]
        return self._free_since + self.config.beat * len(first)

    def _stand(self) -> None:
        config, now = self.config, self._now
        epoch = max(self.known, self.granted, self.led) + 1
        if config.wall is not None:
            epoch = max(epoch, int((now + config.wall) * 1000))
        self.role, self.known, self.granted = Role.CANDIDATE, epoch, epoch
        self.promise = Promise(self.pid, epoch, inf)
        self._persist(epoch)
        self.votes, self._refused = {}, set()
        self._denied = False
        self._round_until = now + ROUND * config.beat
        self._ask_all()
        self._count()

    def _ask_all(self) -> None:
        self._ask_at = self._now + self.config.beat / 2
        for node in self.config.members:
            if node is not self.me and self.votes.get(node) is None:
                self._send(node, Ask(self.granted, self._now, 0 if self._hand is None else self._hand.epoch))

    def _yes(self, sender: Pid, message: Yes) -> None:
        mine = self.tenure.epoch if self.tenure is not None else self.granted
        if self.role not in (Role.CANDIDATE, Role.LEADER) or message.epoch != mine or message.stamp > self._now:
            return
        self.votes[sender.node] = max(message.stamp, self.votes.get(sender.node, -inf))
        self.ran = max(self.ran, message.ran)
        if self.role is Role.CANDIDATE:
            self._count()
        elif self.tenure is not None and self.tenure.lost is None:
            self._out.append(Lease(self.tenure.born, self.tenure.epoch, self.lease_until()))

    def _no(self, sender: Pid, message: No) -> None:
        self.known = max(self.known, message.known)
        if self.role is Role.CANDIDATE and message.epoch == self.granted:
            self._denied = True
            if not self._leads(sender.node):  # of one that does, what its child leaves is still to come
                self._refused.add(sender.node)
            if not self.config.majority:
                self._give_up()
            else:
                self._count()

    def _count(self) -> None:
        """Lead when enough have said yes: a majority of all, or all that can be seen."""
        if self.config.majority:
            if self.lease_until() > self._now and self._all_have_answered():
                self._lead()
        elif all(node is self.me or node in self.votes or not self.is_up(node) for node in self.config.members):
            self._lead()

    def _all_have_answered(self) -> bool:
        """Those who are there and know something: a state that one of them holds comes with its answer."""
        nodes = (node for node in self.seen if node not in self.votes and node not in self._refused)
        return not any(self.is_up(node) and self.seen[node].state is not A.waiting for node in nodes)

    def _leads(self, node: Atom) -> bool:
        """Whether that member has a child, when last heard of."""
        return self.is_up(node) and self.seen[node].state is A.active

    def _give_up(self) -> None:
        self.role = Role.FOLLOWER
        self.promise = None
        self._free_since = self._now + self.config.beat
        self._send_all(Release(self.granted, None))

    # --- leading -------------------------------------------------------------------------------
    def _lead(self) -> None:
        epoch = self.granted
        self.role, self.led, self.view = Role.LEADER, epoch, None
        self._lost_rounds = 0
        self.tenure = Tenure(epoch, epoch, A.starting, self._now + self.config.start)
        hand = self._hand_to_use()
        self.tenure.given = 0 if hand is None else hand.epoch
        self._out += (
            Note("elected", epoch), StartChild(epoch, None if hand is None else hand.state),
            Lease(epoch, epoch, self.lease_until()),
        )  # fmt: skip
        self._beat()

    def _beat(self) -> None:
        tenure = self.tenure
        assert tenure is not None
        if tenure.lost is None:
            phase = A.starting if tenure.child is None else tenure.phase  # one that never ran has no state either
            beat = Beat(tenure.epoch, self._now, phase, tenure.born, tenure.child, self.pin, tenure.given)
            self._send_all(beat)
            if self.config.quorum == 1:
                self._out.append(Lease(tenure.born, tenure.epoch, self.lease_until()))

    def _begin_stop(self, successor: Atom | None, *, merge: bool = False) -> None:
        """Whoever is there at this moment, the state of the child is wanted: the next may be seen later."""
        tenure = self.tenure
        assert tenure is not None
        tenure.phase, tenure.successor, tenure.merge = A.stopping, successor, merge
        tenure.deadline = self._now + self.config.stop
        self._out.append(StopChild(tenure.born))
        self._beat()

    def _lose(self, until: float) -> None:
        """The lease has ended: the child is stopped now, and killed before others may start theirs.

        Until then nobody else can have one, so what this one leaves is still the state for the next.
        """
        tenure = self.tenure
        assert tenure is not None
        tenure.lost = until
        self._tenure_note("lost_majority")
        if tenure.phase is not A.stopping:
            self._out.append(StopChild(tenure.born))
            tenure.phase, tenure.deadline = A.stopping, inf
        tenure.deadline = min(tenure.deadline, until + self.config.shutdown)
        tenure.successor = None

    def _child_is_gone(self, state: Any) -> None:
        """Stopped or killed, as we wanted."""
        tenure = self.tenure
        assert tenure is not None
        self._tenure_note("stopped")
        if state is not None and state[0] is not None and not tenure.merge:
            self._hold(tenure.epoch, state[0])
        if tenure.successor is not None and not tenure.merge:
            if self._hand is not None:
                self._give_hand(tenure.successor)
            else:
                self._send(tenure.successor, Transfer(tenure.epoch, None))
        elif tenure.successor is not None and state is not None:
            self._send(tenure.successor, Merge(tenure.epoch, state[0]))
        self._step_down(tenure.successor)

    def _child_failed(self, reason: Any) -> None:
        config = self.config
        self._tenure_note("failed", reason)
        times = [then for then in self.failed_at if self._now - then < config.within]
        self.failed_at = (*times, self._now)
        self.rest_until = self._now + config.promise * 2 ** len(times)
        if len(self.failed_at) >= config.failures:
            self.failed = True
            self._tenure_note("given_up")
        self._step_down(None)

    def _step_down(self, successor: Atom | None) -> None:
        tenure = self.tenure
        assert tenure is not None
        self.tenure, self.role, self.promise, self.view = None, Role.FOLLOWER, None, None
        self.votes = {}
        wait = GRACE if successor is not None else 1
        self._free_since = self._now + wait * self.config.beat
        self._send_all(Release(tenure.epoch, successor))
        self._send_all(Here(self.state, self.known))

    def _leave(self) -> None:
        """At once, or when another member has the state that is held here."""
        hand = self._hand
        if hand is not None and not self._is_kept():
            self._leave_until = min(self._leave_until, self._now + self.config.promise)
            if self.seen and self._now < self._leave_until:
                self._give_hand(self._best_other() or next(filter(self.is_up, self.seen), self.me))
                return
            self._note("state_lost", hand.epoch)
        self.role = Role.LEFT
        self._send_all(Gone(self.known))
        self._out.append(Left())

    def _transfer(self, sender: Pid, message: Transfer) -> None:
        if self.promise is not None and self.promise.to == sender and self.promise.epoch <= message.epoch:
            self._free()
        if message.state is not None:
            if self.tenure is None:
                self._hold(message.epoch, message.state)
            elif self.tenure.given < message.epoch < self.tenure.born:
                self._note("state_lost", message.epoch)  # the child was started without
            self._send(sender, Taken(message.epoch))
        if self.role is Role.CANDIDATE:
            self._count()
        elif self.role is Role.FOLLOWER and self.promise is None and self._may_stand():
            self._stand()

    # --- without a majority: leaders meet ------------------------------------------------------
    def _meet(self, node: Atom, other: Beat) -> None:
        tenure = self.tenure
        assert tenure is not None
        if tenure.phase is A.stopping:
            return
        theirs = (self.config.group_of(node), other.born, node.name)
        if theirs < (self.config.group_of(self.me), tenure.born, self.me.name):
            self._tenure_note("split_healed", node)
            self._begin_stop(node, merge=True)
        elif other.epoch >= tenure.epoch:
            tenure.epoch = self.known = self.led = self.granted = max(self.known, other.epoch) + 1
            self.promise = Promise(self.pid, tenure.epoch, inf)
            self._persist(tenure.epoch)
            self._out.append(Lease(tenure.born, tenure.epoch, inf))
            self._beat()

    def _merge(self, sender: Pid, message: Merge) -> None:
        del sender
        if self.tenure is not None and self.tenure.phase is not A.stopping:
            self._out.append(GiveState(self.tenure.born, message.state))

    # --- what time brings ----------------------------------------------------------------------
    def _done(self) -> list[Effect]:
        """What is due by now, and all effects since the last time."""
        if self.role is not Role.LEFT:
            if self.role is Role.WAITING and self._now >= self._ready_at:
                self.role, self._tick_at = Role.FOLLOWER, self._now  # all are told at once
            if self.tenure is not None:
                self._watch_child()
            if self.role is Role.CANDIDATE:
                self._watch_round()
            if self.role is Role.FOLLOWER:
                self._watch_leader()
            if self.leaving and self.tenure is None:
                self._leave()
            self._tick()
        self._tell()
        out, self._out = self._out, []
        return out

    def _watch_child(self) -> None:
        tenure = self.tenure
        assert tenure is not None
        until = self.lease_until()
        if tenure.lost is None and self._now >= until:
            self._lose(until)
        if self._now >= tenure.deadline:
            self._out.append(KillChild(tenure.born))
            if tenure.phase is A.starting:
                self._child_failed(A.timeout)
            else:
                self._child_is_gone(None)
        elif tenure.phase is A.running:
            better = self._better()
            if better is not None:
                self._begin_stop(better)

    def _better(self) -> Atom | None:
        """A member of a higher group that has been there for a while."""
        mine = self._rank(self.me)[0]
        for node in sorted(self.config.members, key=self._rank):
            if self._rank(node)[0] >= mine:
                return None
            if self._is_ready(node) and self._now - self.seen[node].since >= self.config.lease:
                return node
        return None

    def _watch_round(self) -> None:
        if self._now >= self._round_until:
            left = any(self._leads(node) for node in self.seen if node not in self.votes)
            if self.config.majority and self.lease_until() > self._now and not left:
                self._lead()  # enough have said yes, if not all that are there
            elif self.config.majority or self._denied:
                self._lost_rounds += 1
                self._give_up()
            else:
                self._lead()  # who has not answered is not there
        elif self._now >= self._ask_at:
            self._ask_all()

    def _watch_leader(self) -> None:
        if self.promise is not None and self.promise.until <= self._now:
            self._free()
        if self._may_stand() and self._now >= self._stand_at():
            self._stand()

    def _tick(self) -> None:
        if self._now < self._tick_at or self.role is Role.LEFT:
            return
        self._tick_at = self._now + self.config.beat
        if self.tenure is not None and self.tenure.lost is None:
            self._beat()
        else:
            self._send_all(Here(self.state, self.known))

    def _tell(self) -> None:
        tenure, view = self.tenure, self.view
        if tenure is not None:
            self.view, view = None, View(self.me, tenure.child, tenure.epoch, tenure.phase, self._now)
        elif view is not None and self._now - view.at >= self.config.promise:
            view = self.view = None
        told = Tell(None, None, self._told.epoch)
        if view is not None and view.phase is A.running:
            told = Tell(view.node, view.child, view.epoch)
        if told != self._told:
            self._told = told
            self._out.append(told)

    # --- words ---------------------------------------------------------------------------------
    def _tenure_note(self, event: str, detail: Any = None) -> None:
        assert self.tenure is not None
        self._note(event, self.tenure.epoch, detail)


_RECEIVERS: Final[dict[type, Any]] = {
    Here: Core._here,
    Ask: Core._ask,
    Beat: Core._beaten,
    Yes: Core._yes,
    No: Core._no,
    Release: Core._release,
    Transfer: Core._transfer,
    Taken: Core._taken,
    Merge: Core._merge,
    Gone: Core._gone,
}
