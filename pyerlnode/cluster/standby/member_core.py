"""What `core` is made on: how a member sees the others, and to whom it belongs."""

from __future__ import annotations

from math import inf
from typing import Any, Final

from pyerlnode.cluster.standby.types_core import (
    Config,
    Effect,
    Hand,
    Note,
    Persist,
    Promise,
    Role,
    Seen,
    Send,
    Tell,
    Tenure,
    View,
)
from pyerlnode.cluster.standby.wire_core import Beat, Gone, Here, Message, Taken, Transfer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

AVAILABLE: Final = (A.standby, A.doubted)
"""States of those who would run the child; nobody hands over to a doubted one by itself."""


class Member:
    """The state of one member, without what it decides."""

    def __init__(self, config: Config, pid: Pid, now: float, epoch: int = 0) -> None:
        self.config = config
        self.pid = pid
        self.me = config.me
        self.role = Role.WAITING
        self.known = epoch
        """The greatest epoch that was heard of."""
        self.granted = epoch
        """The greatest for which this member belonged to somebody."""
        self.led = epoch
        """The greatest of a leader that this member has followed."""
        self.promise: Promise | None = None
        self.seen: dict[Atom, Seen] = {}
        self.view: View | None = None
        self.pin: Atom | None = None
        self.tenure: Tenure | None = None
        self.votes: dict[Atom, float] = {}
        self._refused: set[Atom] = set()
        self.failed_at: tuple[float, ...] = ()
        self.failed = False
        self.leaving = False
        self._leave_until = inf
        self.rest_until = -inf
        self._ready_at = now + (config.promise if config.majority else config.lease)
        self._free_since = self._ready_at
        self._tick_at = now
        self._ask_at = self._round_until = inf
        self._denied = False
        self._lost_rounds = 0
        """Elections in a row for which it stood in vain."""
        self.ran = 0
        """The greatest epoch of a child that is known to have run."""
        self._hand: Hand | None = None
        """A state that was handed to this member, or that its own child has left."""
        self._told = Tell(None, None, epoch)
        self._persisted = epoch
        self._now = now
        self._out: list[Effect] = []

    @property
    def state(self) -> Atom:
        """How this member is, in one word."""
        if self.leaving:
            return A.leaving
        if self.role is Role.WAITING:
            return A.waiting
        if self.tenure is not None:
            return A.active
        if self.failed:
            return A.failed
        if self._now < self.rest_until:
            return A.resting
        return A.doubted if any(self._now - then < self.config.within for then in self.failed_at) else A.standby

    def is_up(self, node: Atom) -> bool:
        seen = self.seen.get(node)
        return node is self.me or (seen is not None and self._now - seen.at < self.config.lease)

    def _is_ready(self, node: Atom, states: tuple[Atom, ...] = (A.standby,)) -> bool:
        return self.is_up(node) and self.seen[node].state in states

    def _rank(self, node: Atom) -> tuple[int, int]:
        """What is less goes first."""
        return (-1 if node is self.pin else self.config.group_of(node), self.config.members.index(node))

    def _best_other(self) -> Atom | None:
        others = [node for node in self.config.members if node is not self.me and self._is_ready(node, AVAILABLE)]
        return min(others, key=lambda node: (not self._is_ready(node), self._rank(node)), default=None)

    def _heard(self, sender: Pid, message: Message) -> None:
        self.known = max(self.known, message.epoch)
        seen, node = self.seen.get(sender.node), sender.node
        if seen is None or seen.pid != sender or self._now - seen.at >= self.config.lease:
            state = A.waiting if seen is None or seen.pid != sender else seen.state
            seen = self.seen[node] = Seen(sender, self._now, self._now, state)
        seen.at = self._now
        seen.epoch = max(seen.epoch, message.epoch)

    def _lost_sight(self, node: Atom) -> None:
        self.seen.pop(node, None)
        if self._hand is not None:
            self._hand.sent.pop(node, None)
        if self.view is not None and self.view.node is node:
            self.view = None

    def _here(self, sender: Pid, message: Here) -> None:
        self.seen[sender.node].state = message.state

    def _gone(self, sender: Pid, message: Gone) -> None:
        del message
        self._lost_sight(sender.node)
        if self.promise is not None and self.promise.to == sender:
            self._free()

    def _is_free_for(self, pid: Pid) -> bool:
        promise = self.promise
        return promise is None or promise.to == pid or promise.until <= self._now

    def _belong(self, sender: Pid, epoch: int) -> None:
        self.promise = Promise(sender, epoch, self._now + self.config.promise)
        self.granted = max(self.granted, epoch)
        self._persist(epoch)

    def _persist(self, epoch: int) -> None:
        if epoch > self._persisted:
            self._persisted = epoch
            self._out.append(Persist(epoch))

    def _free(self) -> None:
        """Belong to nobody."""
        self.promise = None
        self._free_since = max(self._free_since, self._now)

    def _look(self, node: Atom, message: Beat) -> None:
        self.view = View(node, message.child, message.epoch, message.phase, self._now)
        if message.phase is not A.starting:  # until then it may come to nothing
            self.ran = max(self.ran, message.born)
            hand = self._hand
            if hand is not None and message.given >= hand.epoch:
                self._hand = None  # that child has it
            elif hand is not None and message.born > hand.epoch:
                self._give_hand(node)  # which says what it makes of it
                self._hand = None

    # --- a state that was handed over ----------------------------------------------------------
    def _hold(self, epoch: int, state: Any) -> None:
        """Keep a state until a child runs that was started with it."""
        if self._hand is None or self._hand.epoch < epoch:
            self._hand = Hand(state, epoch, self._now + self.config.within)
        elif self._hand.epoch == epoch:
            self._hand.kept = None  # whoever had it gives it back: it may be leaving

    def _give_hand(self, node: Atom, knows: int | None = None) -> None:
        """Give the state on to one that may be the next to need it, unless it has it.

        It may be lost on the way. Who asks says which one it `knows`; to others it is sent again after a beat.
        """
        hand, seen = self._hand, self.seen.get(node)
        if hand is None or seen is None:
            return
        to, at = hand.sent.get(node, (None, -inf))
        needed = hand.epoch > knows if knows is not None else to != seen.pid or self._now - at >= self.config.beat
        if needed:
            hand.sent[node] = seen.pid, self._now
            self._send(node, Transfer(hand.epoch, hand.state))

    def _taken(self, sender: Pid, message: Taken) -> None:
        hand = self._hand
        if hand is not None and hand.epoch == message.epoch and hand.sent.get(sender.node, (None,))[0] == sender:
            hand.kept = sender

    def _is_kept(self) -> bool:
        """Whether another member has the state that is held here, as far as is known: one that has died has none."""
        keeper = None if self._hand is None else self._hand.kept
        seen = None if keeper is None else self.seen.get(keeper.node)
        return seen is not None and seen.pid == keeper

    def _hand_to_use(self) -> Hand | None:
        """The state for a child that is started now. One that comes too late is told to the log."""
        hand = self._hand
        if hand is not None and (self._now >= hand.until or hand.epoch < self.ran):
            self._note("state_lost", hand.epoch)
            self._hand = hand = None
        return hand

    def _send(self, to: Atom | Pid, message: Message) -> None:
        self._out.append(Send(to, message))

    def _send_all(self, message: Message) -> None:
        self._out += [Send(node, message) for node in self.config.members if node is not self.me]

    def _note(self, event: str, epoch: int, detail: Any = None) -> None:
        self._out.append(Note(event, epoch, detail))
