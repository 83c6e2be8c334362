"""A ring: fixed partitions of the keys, shared out among nodes; the same on every node that knows the same members.

After riak_core and consistent hashing with bounded loads, as a pure function of members and weights: nobody
coordinates, and no history counts. The law:

- A key's partition is ``phash2(Key, Partitions)``: in Elixir ``:erlang.phash2(key, 256)``.
- A member of weight `w` has the slots 0..w-1. A slot's score for a partition are the first eight bytes of
  ``sha256("Member Slot Partition")`` as a big-endian number.
- All pairs of partition and slot are looked at in falling order of score. A pair is taken when its partition has no
  owner yet and its slot has room: ``P div S`` partitions, and one more for the first ``P rem S`` slots that want it.

So slots differ by one partition at most. It is a stable matching: who joins takes his share mostly from where it is
taken best, and what a member that leaves had is shared out among all. 1 is the least that can move; with 256
partitions it is 1.03 on average at 3 nodes, 1.16 at 6, 1.27 at 9 and 1.44 at 13 (its tests).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.term.phash2 import phash2

PARTITIONS = 256
MOST_PARTITIONS = 4096
MOST_WEIGHT = 16


class Ring:
    """Partitions and their owners. Members are names, or a mapping from names to weights (1..16)."""

    __slots__ = ("members", "owners", "partitions")

    def __init__(self, members: Iterable[str] | Mapping[str, int] = (), partitions: int = PARTITIONS) -> None:
        weights = dict(members) if isinstance(members, Mapping) else dict.fromkeys(members, 1)
        if not 1 <= partitions <= MOST_PARTITIONS or partitions & partitions - 1:
            raise UsageError(f"partitions are a power of two up to {MOST_PARTITIONS}, not {partitions}")
        if any(not 1 <= weight <= MOST_WEIGHT for weight in weights.values()):
            raise UsageError(f"a weight is 1..{MOST_WEIGHT}")
        self.members = {name: weights[name] for name in sorted(weights)}
        self.partitions = partitions
        self.owners: tuple[str | None, ...] = _shared_out(tuple(self.members.items()), partitions)

    def __repr__(self) -> str:
        return f"<Ring of {self.partitions} partitions, {len(self.members)} members>"

    def partition(self, key: Any) -> int:
        return phash2(key, self.partitions)

    def owner(self, partition: int) -> str | None:
        """Who has the partition; None when there are no members."""
        return self.owners[partition]

    def owner_of(self, key: Any) -> str | None:
        return self.owners[self.partition(key)]

    def owned_by(self, member: str) -> list[int]:
        return [partition for partition, owner in enumerate(self.owners) if owner == member]

    def preference(self, partition: int, count: int) -> list[str]:
        """The owner, and behind it whom the partition suits next, all distinct: for replicas and fallbacks.

        When the owner is gone its successor here owns the partition, unless that has its fill already.
        """
        owner = self.owners[partition]
        if owner is None:
            return []
        best = {name: max(_scores(name, slot, self.partitions)[partition] for slot in range(weight))
                for name, weight in self.members.items()}  # fmt: skip
        others = sorted((name for name in best if name != owner), key=lambda name: -best[name])
        return [owner, *others][:count]


@lru_cache(maxsize=256)
def _scores(member: str, slot: int, partitions: int) -> tuple[int, ...]:
    """What each partition scores with a slot."""
    start = f"{member} {slot} ".encode()
    return tuple([int.from_bytes(sha256(start + b"%d" % p).digest()[:8], "big") for p in range(partitions)])


@lru_cache(maxsize=16)
def _shared_out(weights: tuple[tuple[str, int], ...], partitions: int) -> tuple[str | None, ...]:
    slots = [(name, slot) for name, weight in weights for slot in range(weight)]
    if not slots:
        return (None,) * partitions
    least, one_more = divmod(partitions, len(slots))
    # Two equal scores are decided by the order of partitions and slots, the same everywhere.
    pairs = [
        (-score, p, number) for number, slot in enumerate(slots) for p, score in enumerate(_scores(*slot, partitions))
    ]
    pairs.sort()
    owners: list[str | None] = [None] * partitions
    load = [0] * len(slots)
    for _, partition, number in pairs:
        if owners[partition] is None and load[number] < least + (one_more > 0):
            one_more -= load[number] == least
            load[number] += 1
            owners[partition] = slots[number][0]
    return tuple(owners)
