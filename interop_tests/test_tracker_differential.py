"""Random scripts on the presences of three replicas: ours beside the library's own `Phoenix.Tracker.State`.

The library is not part of this repository. With `PYERLNODE_PHOENIX_PUBSUB`, a directory of its compiled modules, and
Elixir's own on the code path (`ERL_LIBS`), each script runs on either side, and all that can be seen of a state is the
same after each step. Without it, there is nothing to compare with: `tests/bridges/phoenix` has what holds for ours.
"""

import os
import random
from collections.abc import Callable
from typing import Any

from each import each

from pyerlnode import A
from pyerlnode.bridges.phoenix.tracker_core import Delta, Other, Ref, State, Value, place
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam

EBIN = os.environ.get("PYERLNODE_PHOENIX_PUBSUB")
SCRIPTS = int(os.environ.get("PYERLNODE_TRACKER_SCRIPTS", "20"))
STEPS = 60
WORDS = [
    "join",
    "join",
    "update",
    "leave",
    "up",
    "up",
    "down",
    "remove",
    "delta",
    "delta",
    "merge",
    "merge",
    "transfer",
]
REPLICAS: list[Ref] = [(A[f"n{number}@host"], 100 + number) for number in range(3)]
PIDS = {ref: [Pid(ref[0], 10 + index, 0, 1) for index in range(2)] for ref in REPLICAS}


class Ours:
    """The same script on our states; the steps are made as it goes, from what is there."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.states = {ref: State(ref) for ref in REPLICAS}
        self.deltas: list[Other] = []
        self.script: list[Any] = [(A.new, ref) for ref in REPLICAS]
        self.told = [([], [], view(self.states[ref])) for ref in REPLICAS]

    def run(self) -> None:
        for _ in range(STEPS):
            ref = self.random.choice(REPLICAS)
            other = self.random.choice([one for one in REPLICAS if one != ref])
            step, joins, leaves = self.step(self.states[ref], ref, other)
            self.script.append(step)
            self.told.append((joins, leaves, view(self.states[ref])))

    def step(self, state: State, ref: Ref, other: Ref) -> Any:
        value = Value(self.random.choice(PIDS[ref]), b"t%d" % self.random.randrange(2), b"k", {A.n: len(self.script)})
        there = place(value) in state.entries
        match self.random.choice(WORDS):
            case "up":
                return (A.up, ref, other), [(tag_of(state, v), v) for v in state.replica_up(other)], []
            case "down":
                return (A.down, ref, other), [], [(tag_of(state, v), v) for v in state.replica_down(other)]
            case "remove" if state.up.get(other) is False:
                state.remove_replica(other)
                return (A.remove, ref, other), [], []
            case "merge" if self.deltas:
                number = self.random.randrange(len(self.deltas))
                return (A.merge, ref, number), *merged(state, self.deltas[number])
            case "transfer":
                return (A.transfer, ref, other), *merged(state, self.states[other].extract(state.context))
            case "update" if there:
                state.leave_join(value)
                return (A.update, ref, *value), [], []
            case "leave" if there:
                state.leave(place(value))
                return (A.leave, ref, *value[:3]), [], []
            case "join" if not there:
                state.join(value)
                return (A.join, ref, *value), [], []
        delta = state.delta
        self.deltas.append(Other(delta.values, delta.clouds, {}))
        state.reset_delta()
        state.compact()
        return (A.delta, ref, len(self.deltas) - 1), [], []


def tag_of(state: State, value: Value) -> Any:
    return state.entries[place(value)].tag


def merged(state: State, other: Other) -> tuple[list[Any], list[Any]]:
    before = dict(state.entries)
    joins, leaves = state.merge(other)
    return [(tag_of(state, v), v) for v in joins], [(before[place(v)].tag, v) for v in leaves]


def entries(pairs: Any) -> list[Any]:
    return sorted([(tag, *value) for tag, value in pairs], key=repr)


def clouds(found: Any) -> Any:
    return {ref: sorted(cloud) for ref, cloud in found.items() if cloud}


def view(state: State) -> Any:
    delta: Delta = state.delta
    online = [value for topic in (b"t0", b"t1") for value in state.of_topic(topic)]
    return {
        "context": dict(state.context),
        "clocks": state.clocks(),
        "clouds": clouds(state.clouds),
        "entries": entries((entry.tag, entry.value) for entry in state.entries.values()),
        "online": entries((tag_of(state, value), value) for value in online),
        "delta": (entries(delta.values.items()), clouds(delta.clouds), dict(delta.start), dict(delta.end)),
    }


def theirs(told: Any) -> Any:
    """What the library's side tells, in the same form."""
    seen = {key.name: told[key] for key in told}
    values, ticks, start, end = seen["delta"]
    numbers = {ref: [tag[1] for tag in tags] for ref, tags in seen["clouds"].items()}
    return {
        **seen,
        "clouds": numbers,
        "entries": entries(seen["entries"]),
        "online": entries(seen["online"]),
        "delta": (entries(values), {ref: [tag[1] for tag in tags] for ref, tags in ticks.items()}, start, end),
    }


if EBIN:

    @each(range(SCRIPTS))
    def test_a_state_is_the_librarys_after_each_step(helper: Callable[[str], Beam], seed: int) -> None:
        beam = helper("tracker_state.erl")
        beam.eval("code:add_patha(binary_to_list(D))", D=str(EBIN).encode())
        ours = Ours(seed)
        ours.run()
        told = beam.rpc("tracker_state", "run", ours.script)
        for step, mine, (joins, leaves, seen) in zip(ours.script, ours.told, told, strict=True):
            assert (entries(mine[0]), entries(mine[1])) == (entries(joins), entries(leaves)), step
            assert mine[2] == theirs(seen), step
