"""Both cores with their journals, while everything between and below them goes wrong, at every step.

The world of the machine: an outbox, an inbox, each with a journal in memory, and a network that loses, doubles, delays
and reorders. A crash loses a core with whatever it had not committed, or with the actions of what it had.
"""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pyerlnode.cluster.durable.core import REQUEST, OutboxCore, OutboxLimits, Tell
from pyerlnode.cluster.durable.inbox_core import InboxCore, InboxLimits, Run
from pyerlnode.cluster.durable.journal import Journal
from pyerlnode.etf import decode, encode
from pyerlnode.term.atom import A
from tests.helpers import hostile

DEST = (A.orders, A["app@host"])
US = (A.outbox, A["py@host"])
PICK = st.integers(0, 1_000)
INTERRUPTED = (A.error, A.interrupted)


class Server:
    """A process that can be dead."""

    def __init__(self) -> None:
        self.alive = True
        self.pid = "pid"


class World(RuleBasedStateMachine):
    """`mode`: transaction, fail or retry."""

    @initialize(mode=st.sampled_from(["transaction", "fail", "retry"]))
    def begin(self, mode: str) -> None:
        self.mode = mode
        self.now = 1_000.0
        self.count = self.lives = 0
        self.wire: list[tuple[Any, tuple[Any, ...]]] = []
        self.accepted: dict[bytes, tuple[bytes, float | None]] = {}
        self.unsure: dict[bytes, tuple[bytes, float | None]] = {}
        self.told: dict[bytes, bytes] = {}
        self.started: list[bytes] = []
        self.handlers: list[Run] = []
        self.out_journal = Journal(":memory:", sync="off")
        self.in_journal = Journal(":memory:", sync="off")
        self.in_journal.db.execute("CREATE TABLE effects (id BLOB)")
        self.server: dict[str, Server] = {}
        self.start_outbox()
        self.start_inbox()

    def teardown(self) -> None:
        if hasattr(self, "mode"):
            try:
                self.settle()
                self.check()
            finally:
                self.out_journal.close()
                self.in_journal.close()

    # --- lives -----------------------------------------------------------------------------------
    def claim(self, journal: Journal, role: Any) -> None:
        if role in self.server:
            self.server[role].alive = False
        self.server[role] = Server()
        journal.claim(role, self.server[role])

    def start_outbox(self) -> None:
        self.claim(self.out_journal, "outbox")
        self.outbox = OutboxCore(US, OutboxLimits(in_flight=3), lambda: 0.5)
        self.outbox.load(*self.out_journal.outbox(), self.now)
        for id in list(self.unsure):  # its submitter was not told; it is there, or it is not
            if id in self.outbox.entries:
                self.accepted[id] = self.unsure[id]
        self.unsure.clear()

    def start_inbox(self) -> None:
        self.claim(self.in_journal, "inbox")
        self.handlers = []  # they are linked to the server
        interrupted = "fail" if self.mode == "fail" else "retry"
        self.inbox = InboxCore(InboxLimits(running=3), lambda: 0.5, interrupted)
        self.inbox.load(*self.in_journal.inbox(), self.now)

    @rule()
    def outbox_crashes(self) -> None:
        self.start_outbox()

    @rule()
    def inbox_crashes(self) -> None:
        self.start_inbox()

    # --- steps of the servers ----------------------------------------------------------------------
    @rule(key=st.sampled_from([b"", b"", b"a", *hostile.TEXTS[1:4]]), life=st.sampled_from([None, None, 3.0]))
    def submit(self, key: bytes, life: float | None) -> None:
        id = b"%d" % self.count
        self.count += 1
        self.lives += 1
        deadline = None if life is None else self.now + life
        self.outbox.submit(id, DEST, encode(id), self.now, self.lives.to_bytes(16, "big"), key, deadline)
        self.unsure[id] = (key, deadline)

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        if self.outbox.entries:
            self.outbox.cancel(list(self.outbox.entries)[pick % len(self.outbox.entries)], self.now)

    @rule(crash=st.sampled_from(["", "", "", "before", "behind"]), kept=PICK)
    def outbox_flushes(self, crash: str, kept: int) -> None:
        writes, actions = self.outbox.drain()
        self.out_journal.begin()
        self.out_journal.apply(writes)
        if crash == "before":
            self.start_outbox()
            return
        self.out_journal.commit()
        self.accepted.update(self.unsure)
        self.unsure.clear()
        for action in actions[: kept % (len(actions) + 1)] if crash else actions:
            if type(action) is Tell:
                assert action.id not in self.told, "an outcome was told twice"
                self.told[action.id] = action.outcome
            else:
                self.wire.append((self.inbox_gets, action.message))
        if crash:
            self.start_outbox()

    @rule(crash=st.sampled_from(["", "", "", "before", "behind"]), kept=PICK)
    def inbox_flushes(self, crash: str, kept: int) -> None:
        writes, actions = self.inbox.drain()
        self.in_journal.begin()
        self.in_journal.apply(writes)
        behind = self.within(list(actions)) if self.mode == "transaction" else list(actions)
        if crash == "before":
            self.start_inbox()
            return
        self.in_journal.commit()
        for action in behind[: kept % (len(behind) + 1)] if crash else behind:
            if type(action) is Run:
                self.handlers.append(action)
                self.started.append(decode(action.request))
            else:
                self.wire.append((self.outbox_gets, action.message))
        if crash:
            self.start_inbox()

    def within(self, actions: list[Any]) -> list[Any]:
        behind = []
        while actions:
            action = actions.pop(0)
            if type(action) is not Run:
                behind.append(action)
                continue
            id = decode(action.request)
            self.in_journal.db.execute("INSERT INTO effects VALUES (?)", (id,))
            self.inbox.finished(action.uid, action.number, encode((A.ok, id)), self.now)
            writes, more = self.inbox.drain()
            self.in_journal.apply(writes)
            actions += more
        return behind

    @rule(pick=PICK)
    def handler_ends(self, pick: int) -> None:
        if self.handlers:
            run = self.handlers.pop(pick % len(self.handlers))
            self.inbox.finished(run.uid, run.number, encode((A.ok, decode(run.request))), self.now)

    # --- the network -----------------------------------------------------------------------------
    def outbox_gets(self, message: tuple[Any, ...]) -> None:
        assert self.outbox.heard(message, self.now)

    def inbox_gets(self, message: tuple[Any, ...]) -> None:
        assert self.inbox.heard(message, self.now)

    @rule(pick=PICK, again=st.sampled_from([False, False, True]))
    def a_message_arrives(self, pick: int, again: bool) -> None:
        if self.wire:
            number = pick % len(self.wire)
            take, message = self.wire[number]
            if not again:
                del self.wire[number]
            take(message)

    @rule()
    def all_arrive(self) -> None:
        wire, self.wire = self.wire, []
        for take, message in wire:
            take(message)

    @rule(pick=PICK)
    def a_message_is_lost(self, pick: int) -> None:
        if self.wire:
            del self.wire[pick % len(self.wire)]

    @rule()
    def the_connection_is_lost(self) -> None:
        self.wire.clear()

    @rule(seconds=st.sampled_from([0.5, 2.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.outbox.alarm(self.now)
        self.inbox.alarm(self.now)

    @rule()
    def the_node_comes_up(self) -> None:
        self.outbox.node_up(DEST[1], self.now)

    # --- the end -----------------------------------------------------------------------------------
    def settle(self) -> None:
        """Nothing goes wrong any more; what is under way comes to its end."""
        late = [message for take, message in self.wire if message[0] is REQUEST]
        for _ in range(40 + 4 * self.count):
            self.outbox_flushes("", 0)
            self.inbox_flushes("", 0)
            self.all_arrive()
            while self.handlers:
                self.handler_ends(0)
            self.time_passes(30.0)
        for message in late:  # after all is over, old requests come once more
            self.inbox_gets(message)
            self.inbox_flushes("", 0)
            assert self.handlers == []

    def check(self) -> None:
        kept = {entry.id: entry.outcome for entry in self.outbox.entries.values()}
        assert set(kept) == set(self.accepted), "an accepted request is lost, or one came from nowhere"
        for id, outcome in self.told.items():
            assert kept[id] == outcome, "another outcome is kept than was told"
        effects = Counter(row[0] for row in self.in_journal.db.execute("SELECT id FROM effects"))
        starts = Counter(self.started)
        for id, outcome in kept.items():
            assert outcome is not None, "a request has no outcome"
            self.check_outcome(id, decode(outcome), effects[id] if self.mode == "transaction" else starts[id])
        self.check_order()
        # Both sides have forgotten what they may forget.
        assert (self.inbox.count, self.inbox.bytes, self.inbox.running) == (0, 0, {})
        assert self.in_journal.db.execute("SELECT count(*) FROM pyerlnode_items").fetchone() == (0,)
        assert all(not stream.lanes and not stream.flight for stream in self.outbox.streams.values())

    def check_outcome(self, id: bytes, outcome: Any, times: int) -> None:
        if self.mode != "retry":
            assert times <= 1, "an effect happened twice"
        if outcome == (A.ok, id):
            assert times >= 1, "an effect is missing"
        elif outcome == INTERRUPTED:
            assert self.mode == "fail"
        else:
            assert outcome in ((A.error, A.cancelled), (A.error, A.deadline))

    def check_order(self) -> None:
        ran = [row[0] for row in self.in_journal.db.execute("SELECT id FROM effects")]
        ran = ran if self.mode == "transaction" else list(dict.fromkeys(self.started))
        for key in (b"a", b"b"):
            numbers = [int(id) for id in ran if self.accepted[id][0] == key]
            assert numbers == sorted(numbers), "requests of one key were carried out in another order"


World.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class TestEveryAcceptedRequestHasOneEffectAndOneOutcome(World.TestCase):  # type: ignore[misc, name-defined]  # made by hypothesis
    pass
