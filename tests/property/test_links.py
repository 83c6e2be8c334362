"""Links, monitors and exits against a small model of OTP's rules, under any sequence of operations."""

import os
from collections import Counter

import gevent
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from pyerlnode.etf import encode
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.testing.waiting import settle
from tests.helpers import hostile

REASONS = st.one_of(st.sampled_from([A.normal, A.kill]), hostile.reasons())


def exactly(reason):
    """A key for a reason: Python takes some for the same, and can not hash others."""
    return encode(reason)


class Body:
    """A handler that keeps what it gets."""

    def __init__(self):
        self.got = []

    def handle(self, message):
        self.got.append(message)


class Model:
    """One process as the rules have it."""

    def __init__(self, traps):
        self.traps = traps
        self.alive = True
        self.links = set()
        self.watchers = {}
        self.expected = Counter()


class Links(RuleBasedStateMachine):
    processes = Bundle("processes")
    monitors = Bundle("monitors")

    def __init__(self):
        super().__init__()
        self.system = System("model@local", 1)
        self.models = {}

    def teardown(self):
        self.system.stop()
        gevent.sleep(0)

    @rule(target=processes, traps=st.booleans())
    def spawn(self, traps):
        process = self.system.spawn_handler(Body())
        process.trap_exit = traps
        self.models[process.pid] = (process, process.handler, Model(traps))
        return process.pid

    @rule(one=processes, other=processes)
    def link(self, one, other):
        process, _, model = self.models[one]
        if not model.alive:
            return
        self.system.link(process, other)
        if one == other:
            return
        theirs = self.models[other][2]
        if theirs.alive:
            model.links.add(other)
            theirs.links.add(one)
        else:
            self.broken(one, other, A.noproc)

    @rule(one=processes, other=processes)
    def unlink(self, one, other):
        process, _, model = self.models[one]
        if model.alive:
            self.system.unlink(process, other)
            model.links.discard(other)
            self.models[other][2].links.discard(one)

    @rule(target=monitors, one=processes, other=processes)
    def monitor(self, one, other):
        process, _, model = self.models[one]
        if not model.alive:
            return None
        ref = self.system.monitor(process, other)
        theirs = self.models[other][2]
        if one == other:
            pass  # a monitor of oneself is none
        elif theirs.alive:
            theirs.watchers[ref] = one
        else:
            model.expected[A.DOWN, other, exactly(A.noproc), ref] += 1
        return one, other, ref

    @rule(monitor=consumes(monitors))
    def demonitor(self, monitor):
        if monitor is not None and self.models[monitor[0]][2].alive:
            self.system.demonitor(self.models[monitor[0]][0], monitor[2])
            self.models[monitor[1]][2].watchers.pop(monitor[2], None)

    @rule(pid=processes, reason=REASONS)
    def exit(self, pid, reason):
        self.system.exit(pid, reason)
        model = self.models[pid][2]
        if not model.alive:
            return
        if reason is A.kill:
            self.die(pid, A.killed)
        elif model.traps:
            model.expected[A.EXIT, self.system.root.pid, exactly(reason), None] += 1
        elif reason is not A.normal:
            self.die(pid, reason)

    @rule(pid=processes, reason=REASONS)
    def end(self, pid, reason):
        self.models[pid][0].exit(reason)
        if self.models[pid][2].alive:
            self.die(pid, reason)

    def die(self, pid, reason):
        model = self.models[pid][2]
        model.alive = False
        links, model.links = model.links, set()
        for ref, watcher in model.watchers.items():
            if self.models[watcher][2].alive:
                self.models[watcher][2].expected[A.DOWN, pid, exactly(reason), ref] += 1
        for _, _, other in self.models.values():  # whom it monitored is monitored no more
            other.watchers = {ref: who for ref, who in other.watchers.items() if who != pid}
        for other in links:
            self.models[other][2].links.discard(pid)
        for other in links:
            self.broken(other, pid, reason)

    def broken(self, pid, other, reason):
        model = self.models[pid][2]
        if not model.alive:
            return
        if model.traps:
            model.expected[A.EXIT, other, exactly(reason), None] += 1
        elif reason is not A.normal:
            self.die(pid, reason)

    @invariant()
    def the_system_is_as_the_model_says(self):
        settle(self.system)
        for process, body, model in self.models.values():
            assert process.alive is model.alive
            if not model.alive:
                continue
            got = Counter()
            for message in body.got:
                if message[0] is A.EXIT:
                    got[A.EXIT, message[1], exactly(message[2]), None] += 1
                else:
                    got[A.DOWN, message[3], exactly(message[4]), message[1]] += 1
            assert got == model.expected
            assert {end.pid for end in process.links or ()} == model.links
            assert len(process.monitored_by or ()) == len(model.watchers)


TestLinks = Links.TestCase
EXAMPLES = 5_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 200
TestLinks.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
