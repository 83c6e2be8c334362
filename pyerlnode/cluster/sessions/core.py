"""Who serves which partition while views change: one node's part of it, without processes or clocks.

Each node has a view, the members it knows; with equal views all nodes compute the same owners (`ring_core`). Views
are not equal at one moment, so owning does not suffice to serve. A node serves the partitions that it *holds*:

    a partition is mine now      claim it from every other node that is known, also from one that leaves;
                                 requests wait until each has answered `done`, is gone, or the deadline is over
    a claim comes                answered when this node's own view says that the claimer owns the partition: from then
                                 on it is not held here, its sessions are handed over, and `done` follows behind them
    mine no more, but awaited    the claims are withdrawn; until each is answered, for sessions may be on their way
                                 here, others' claims of the partition wait
    mine no more, but held       served on until it is claimed; the owner is told by an `offer`
    an offer comes               claimed when it is mine by this node's view, at the latest when the view changes

So of nodes that know each other only one holds a partition, unless a deadline has passed: a node that never answers
costs the deadline and not the service. Nodes that do not know each other (a netsplit) each hold what their own view
gives them; when they meet, the loser's offer brings its sessions to the winner, which merges them. Answers carry
the number of the claim, so one to an earlier claim, or garbage, changes nothing.

Peers are any hashable values; in `sessions` pids. Every method gives the effects that the shell carries out, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pyerlnode.cluster.sessions.ring_core import Ring

Peer = Any


class Member(NamedTuple):
    peer: Peer
    weight: int = 1


class Claim(NamedTuple):
    """Send to `to`: give me these, and say when it is done."""

    to: Peer
    number: int
    partitions: list[int]


class Offer(NamedTuple):
    """Send to `to`: I have these, and they are yours."""

    to: Peer
    partitions: list[int]


class HandOver(NamedTuple):
    """End the sessions of these here, send them to `to`, then `done` with `number`, and say so by `given`."""

    to: Peer
    number: int
    partitions: list[int]


class Withdraw(NamedTuple):
    """Send to `to`: I do not want these any more; say `done` if you have not begun to send them."""

    to: Peer
    number: int
    partitions: list[int]


class Done(NamedTuple):
    """Send `done` to `to`: nothing comes of its claim."""

    to: Peer
    number: int
    partitions: list[int]


class Held(NamedTuple):
    """Served here from now on; `late`: though somebody has not answered."""

    partitions: list[int]
    late: bool = False


class Elsewhere(NamedTuple):
    """What waits for these goes to their owner."""

    partitions: list[int]


Effect = Claim | Offer | HandOver | Withdraw | Done | Held | Elsewhere
HERE: Final = "here"
WAIT: Final = "wait"
MOST_STRANGERS: Final = 64
"""Peers that may ask although they are in no view yet."""


class Ownership:
    """What the node `me` holds, waits for and has been asked for."""

    def __init__(self, me: str, partitions: int, deadline: float) -> None:
        self.me = me
        self.deadline = deadline
        self.ring = Ring((), partitions)
        self.members: dict[str, Member] = {}
        self.peers: set[Peer] = set()
        self.held: set[int] = set()
        self.waiting: dict[int, dict[Peer, int]] = {}
        """Who is still to answer for a partition, and to which claim."""
        self.until: dict[int, float] = {}
        self.claims: dict[Peer, dict[int, int]] = {}
        """Claims of others that this node's view does not agree with yet: their numbers."""
        self.offers: dict[Peer, set[int]] = {}
        self.giving: set[int] = set()
        """Partitions of which sessions end here just now; what becomes mine again meanwhile is held when they have."""
        self.withdrawn: dict[int, dict[Peer, int]] = {}
        """Own claims that do not count any more but are not answered: sessions may be on their way here."""
        self._number = 0
        self._mine: set[int] = set()

    # --- asked on the way of a request ---------------------------------------------------------
    def where(self, partition: int) -> Any:
        """HERE, WAIT, or the peer that owns it; None when nobody does."""
        if partition in self.held:
            return HERE
        if partition in self.waiting:
            return WAIT
        owner = self.ring.owners[partition]
        return None if owner is None else self.members[owner].peer

    # --- events --------------------------------------------------------------------------------
    def change(self, members: Mapping[str, Member], leaving: Iterable[Peer], now: float) -> list[Effect]:
        """A new view. `leaving`: peers that are no members any more, but alive."""
        self.members = dict(members)
        self.ring = Ring({name: member.weight for name, member in members.items()}, self.ring.partitions)
        self._mine = set(self.ring.owned_by(self.me))
        before, self.peers = self.peers, {m.peer for name, m in members.items() if name != self.me} | set(leaving)
        for peer in before - self.peers:
            self.forget(peer)
        effects: list[Effect] = []
        self._forget_waiting(effects)
        new = sorted(self._mine - self.held - set(self.waiting))
        self._ask(sorted(self.waiting), self.peers - before, now, effects)
        self._ask(new, self.peers, now, effects)
        for peer in list(self.offers):
            self._take_offer(peer, now, effects)
        self._settled(effects)
        self._answer(effects)
        effects += self.offer(self.held - self._mine)
        return effects

    def claimed(self, peer: Peer, number: int, partitions: Iterable[int]) -> list[Effect]:
        """`peer` claims partitions."""
        effects: list[Effect] = []
        if self._room_for(peer, self.claims):
            self.claims.setdefault(peer, {}).update((p, number) for p in partitions if 0 <= p < self.ring.partitions)
            self._answer(effects)
        return effects

    def offered(self, peer: Peer, partitions: Iterable[int], now: float) -> list[Effect]:
        """`peer` has partitions that it thinks are this node's."""
        effects: list[Effect] = []
        if self._room_for(peer, self.offers):
            self.offers.setdefault(peer, set()).update(p for p in partitions if 0 <= p < self.ring.partitions)
            self._take_offer(peer, now, effects)
        return effects

    def forget(self, peer: Peer) -> None:
        """`peer` is gone: what it has asked for does not count any more."""
        self.claims.pop(peer, None)
        self.offers.pop(peer, None)

    def done(self, peer: Peer, number: int, partitions: Iterable[int]) -> list[Effect]:
        """`peer` has nothing of these any more."""
        effects: list[Effect] = []
        for partition in partitions:
            for asked in (self.waiting, self.withdrawn):
                missing = asked.get(partition)
                if missing is not None and missing.get(peer) == number:
                    del missing[peer]
        self._settled(effects)
        self._answer(effects)
        return effects

    def withdraw(self, peer: Peer, number: int, partitions: Iterable[int]) -> list[Effect]:
        """`peer` does not want these any more. What is on its way is followed by `done` anyway."""
        claims = self.claims.get(peer, {})
        pending = [partition for partition in partitions if claims.get(partition) == number]
        for partition in pending:
            del claims[partition]
        return [Done(peer, number, pending)] if pending else []

    def given(self, partitions: Iterable[int]) -> list[Effect]:
        """What `HandOver` ordered is done."""
        effects: list[Effect] = []
        self.giving.difference_update(partitions)
        self._settled(effects)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: serve what has waited too long, remind those who did not take what is theirs."""
        late = [partition for partition, until in self.until.items() if until <= now and partition not in self.giving]
        for partition in late:
            del self.waiting[partition], self.until[partition]
        self.held.update(late)
        effects: list[Effect] = [Held(late, late=True)] if late else []
        return effects + self.offer(self.held - self._mine)

    def offer(self, partitions: Iterable[int]) -> list[Effect]:
        """Tell the owners of `partitions` that this node has sessions of theirs."""
        by_owner: dict[str, list[int]] = {}
        for partition in sorted(partitions):
            owner = self.ring.owners[partition]
            if owner is not None and owner != self.me:
                by_owner.setdefault(owner, []).append(partition)
        return [Offer(self.members[owner].peer, found) for owner, found in by_owner.items()]

    # --- inside --------------------------------------------------------------------------------
    def _room_for(self, peer: Peer, asked: dict[Peer, Any]) -> bool:
        """Whoever joins may ask before this node has heard of it; there is room for some of those."""
        return peer in self.peers or peer in asked or len(asked.keys() - self.peers) < MOST_STRANGERS

    def _forget_waiting(self, effects: list[Effect]) -> None:
        """Do not wait for what is not mine any more, nor for peers that are gone."""
        lost = [partition for partition in self.waiting if partition not in self._mine]
        for partition in lost:
            self.withdrawn[partition] = self.waiting.pop(partition)
            del self.until[partition]
        for missing in [*self.waiting.values(), *self.withdrawn.values()]:
            for peer in [peer for peer in missing if peer not in self.peers]:
                del missing[peer]
        for partition in lost:
            effects += [Withdraw(peer, number, [partition]) for peer, number in self.withdrawn[partition].items()]
        if lost:
            effects.append(Elsewhere(lost))

    def _ask(self, partitions: list[int], peers: set[Peer], now: float, effects: list[Effect]) -> None:
        if not partitions:
            return
        if peers:
            self._number += 1
        for partition in partitions:
            self.withdrawn.pop(partition, None)  # all are asked anew
            self.until.setdefault(partition, now + self.deadline)
            self.waiting.setdefault(partition, {}).update(dict.fromkeys(peers, self._number))
        effects += [Claim(peer, self._number, partitions) for peer in peers]

    def _take_offer(self, peer: Peer, now: float, effects: list[Effect]) -> None:
        """Claim what is offered and mine; what is held already is merged, so nobody waits for it."""
        if peer not in self.peers:
            return
        ready = self.offers[peer] & self._mine
        self.offers[peer] -= ready
        new = sorted(p for p in ready if p in self.held or peer not in self.waiting.get(p, {}))
        if new:
            self._number += 1
            effects.append(Claim(peer, self._number, new))
            for partition in new:
                if partition not in self.held:
                    self.waiting[partition][peer] = self._number
                    self.until[partition] = now + self.deadline

    def _settled(self, effects: list[Effect]) -> None:
        ready = [
            partition for partition, missing in self.waiting.items() if not missing and partition not in self.giving
        ]
        for partition in ready:
            del self.waiting[partition], self.until[partition]
        if ready:
            self.held.update(ready)
            effects.append(Held(ready))

    def _answer(self, effects: list[Effect]) -> None:
        """Answer the claims with which the own view agrees."""
        for peer, claims in self.claims.items():
            agreed: dict[int, list[int]] = {}
            for partition, number in list(claims.items()):
                owner = self.ring.owners[partition]
                if owner is None or owner == self.me or self.members[owner].peer != peer:
                    continue
                if not self.withdrawn.get(partition, {}).keys() - {peer}:  # else some of it may come here yet
                    del claims[partition]
                    agreed.setdefault(number, []).append(partition)
            for number, partitions in agreed.items():
                self.held.difference_update(partitions)
                self.giving.update(partitions)
                effects.append(HandOver(peer, number, partitions))
