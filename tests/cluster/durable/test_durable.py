"""The servers of durable requests, in a system of their own: what they promise to programs, and across restarts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import pytest

from pyerlnode.cluster.durable.core import Full, OutboxLimits
from pyerlnode.cluster.durable.inbox import Inbox, InboxLimits
from pyerlnode.cluster.durable.journal import Journal, JournalInUse
from pyerlnode.cluster.durable.outbox import Outbox, Requests, UnknownRequest
from pyerlnode.errors import CallTimeout, ConnectError, EncodeError, Exit, ServerExit, StartFailed, UsageError
from pyerlnode.etf import encode
from pyerlnode.kernel.local import Local
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

FAST = OutboxLimits(first_retry=0.02, last_retry=0.05)


class Here(Local):
    """A node without a network."""

    def __init__(self) -> None:
        self.name = "py@here"
        self._system = System(self.name)
        self.watching: list[Any] = []

    @property
    def system(self) -> System:
        return self._system

    def monitor_nodes(self, flag: bool = True, *, info: bool = False) -> None:
        self.watching.append((self.self_(), flag, info))


class Bank(Inbox):
    transaction = True

    def setup(self, db: Any) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS bookings (amount INTEGER)")

    def handle_request(self, request: Any, tx: Any) -> Any:
        match request:
            case int():
                tx.execute("INSERT INTO bookings VALUES (?)", (request,))
                if request < 0:
                    raise ValueError("too little")
                return request
            case A.all:
                return [row[0] for row in tx.execute("SELECT amount FROM bookings")]
            case A.two:
                return tx.executemany("INSERT INTO bookings VALUES (?)", [(1,), (2,)]).rowcount
            case A.commit:
                tx.execute(" commit")
            case A.commit_by_force:
                tx.execute("/* */ COMMIT")
            case A.unencodable:
                return object()
            case A.leave:
                raise Exit(A.enough)
        return None


class Desk(Inbox):
    """Handlers that wait until they are let go; `ran` holds what has begun, with its id."""

    def init(self, host: Any, journal: Journal, ran: list[Any], gates: dict[Any, Any], **options: Any) -> None:
        self.ran, self.gates = ran, gates
        super().init(host, journal, **options)

    def handle_request(self, request: Any, tx: Any) -> Any:
        self.ran.append((request, tx.key, tx.id))
        if request in self.gates:
            self.gates[request].wait()
        if request == A.sql:
            tx.execute("SELECT 1")
        return request


class Again(Desk):
    on_interrupted = "retry"


@pytest.fixture
def here() -> Iterator[Here]:
    node = Here()
    yield node
    node.system.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    """Opens a journal by its name; one that was opened stays open until the test ends."""
    opened: dict[str, Journal] = {}
    with ExitStack() as stack:

        def get(name: str, **options: Any) -> Journal:
            if name not in opened:
                opened[name] = stack.enter_context(Journal(tmp_path / name, **{"sync": "off", **options}))
            return opened[name]

        yield get


@pytest.fixture
def requests(here: Here, journal: Callable[..., Journal]) -> Requests:
    here.start(Outbox, here, journal("outbox"), name="outbox", limits=FAST)
    return Requests(here)


@pytest.fixture
def bank(here: Here, journal: Callable[..., Journal]) -> Any:
    return here.start(Bank, here, journal("bank"), name="bank")


def killed(here: Here, name: str) -> None:
    pid = here.whereis(name)
    here.exit(pid, A.kill)
    wait_for(lambda: here.whereis(name) is None)


# --- what programs are promised --------------------------------------------------------------------
@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_a_request_has_its_effect_and_its_outcome(here: Here, journal: Callable[..., Journal], sync: str) -> None:
    here.start(Outbox, here, journal("outbox", sync=sync), name="outbox")
    here.start(Bank, here, journal("bank", sync=sync), name="bank")
    requests = Requests(here)
    ids = [requests.submit("bank", amount) for amount in (1, 2, 3)]
    assert [requests.await_result(id) for id in ids] == [(A.ok, 1), (A.ok, 2), (A.ok, 3)]
    assert requests.await_result(requests.submit(("bank", "py@here"), A.all)) == (A.ok, [1, 2, 3])


def test_a_result_is_kept_until_it_is_taken(requests: Requests, bank: Any) -> None:
    id = requests.submit("bank", 5, id="mine")
    assert id == b"mine"
    assert requests.await_result("mine") == (A.ok, 5)
    assert requests.result(id) == (A.ok, 5)
    assert requests.take("mine") == (A.ok, 5)
    for ask in (requests.take, requests.result, requests.cancel, requests.await_result):
        with pytest.raises(UnknownRequest, match="was taken, has expired, or never was"):
            ask("mine")


def test_a_submission_that_is_made_again_is_the_same(requests: Requests, bank: Any) -> None:
    for _ in range(2):
        requests.submit("bank", 5, id="mine")
        requests.await_result("mine")
    assert requests.await_result(requests.submit("bank", A.all)) == (A.ok, [5])


def test_a_failure_is_an_outcome_and_undoes_what_was_done(requests: Requests, bank: Any) -> None:
    kind, reason = requests.await_result(requests.submit("bank", -1))
    assert (kind, reason[:3]) == (A.error, (A.python_error, b"ValueError", b"too little"))
    assert requests.await_result(requests.submit("bank", A.leave)) == (A.error, A.enough)
    assert requests.await_result(requests.submit("bank", A.unencodable))[0] is A.error
    assert requests.await_result(requests.submit("bank", A.two)) == (A.ok, 2)
    assert requests.await_result(requests.submit("bank", A.all)) == (A.ok, [1, 2])


def test_one_who_waits_too_long_asks_again(here: Here, requests: Requests, journal: Callable[..., Journal]) -> None:
    id = requests.submit("bank", 5)
    with pytest.raises(CallTimeout):
        requests.await_result(id, timeout=0.01)
    assert (requests.result(id), requests.take(id), requests.pending()) == (None, None, [id])
    waiting = gevent.spawn(requests.await_result, id, None)
    here.start(Bank, here, journal("bank"), name="bank")
    assert waiting.get(timeout=patience()) == (A.ok, 5)
    assert requests.pending() == []


def test_a_deadline_ends_the_wait(requests: Requests) -> None:
    assert requests.await_result(requests.submit("nobody", 1, deadline=0.05)) == (A.error, A.deadline)


def test_a_cancelled_request_is_not_carried_out(
    here: Here, requests: Requests, journal: Callable[..., Journal]
) -> None:
    id = requests.submit("bank", 5)
    assert requests.cancel(id)
    assert not requests.cancel(id)
    here.start(Bank, here, journal("bank"), name="bank")
    assert requests.await_result(requests.submit("bank", A.all)) == (A.ok, [])
    assert requests.result(id) == (A.error, A.cancelled)


def test_subscribers_are_told_of_every_outcome_while_they_live(here: Here, requests: Requests, bank: Any) -> None:
    other = here.spawn(lambda: here.receive())
    for pid in (here.self_(), here.self_(), other):
        requests.subscribe(pid)
    here.exit(other, A.kill)
    id = requests.submit("bank", 5)
    assert here.receive((A.pyerlnode_outcome, bytes, tuple), timeout=patience()) == (A.pyerlnode_outcome, id, (A.ok, 5))


def test_a_full_outbox_refuses(here: Here, journal: Callable[..., Journal]) -> None:
    here.start(Outbox, here, journal("outbox"), name="outbox", limits=OutboxLimits(requests=1))
    requests = Requests(here)
    id = requests.submit("nobody", 1)
    with pytest.raises(Full, match="take results"):
        requests.submit("nobody", 2)
    requests.cancel(id)
    requests.take(id)
    requests.submit("nobody", 3)


def test_a_destination_is_a_name_and_a_request_a_term(here: Here, requests: Requests) -> None:
    with pytest.raises(UsageError, match="a pid does not survive"):
        requests.submit(here.self_(), 1)
    with pytest.raises(EncodeError):
        requests.submit("bank", object())
    with pytest.raises(UnknownRequest):
        requests._ask((A.nonsense,))


# --- handlers in processes -------------------------------------------------------------------------
def test_of_one_key_one_runs_at_a_time_and_other_keys_pass(
    here: Here, requests: Requests, journal: Callable[..., Journal]
) -> None:
    ran: list[Any] = []
    gates = {A.first: gevent.event.Event()}
    here.start(Desk, here, journal("desk"), ran, gates, name="desk")
    first, second = (requests.submit("desk", what, key=1) for what in (A.first, A.second))
    assert requests.await_result(requests.submit("desk", A.other, key=2)) == (A.ok, A.other)
    assert [what for what, *_ in ran] == [A.first, A.other]
    gates[A.first].set()
    assert requests.await_result(second) == (A.ok, A.second)
    assert requests.result(first) == (A.ok, A.first)
    assert [key for _, key, _ in ran] == [1, 2, 1]


def test_a_repetition_of_one_that_runs_is_joined(
    here: Here, requests: Requests, journal: Callable[..., Journal]
) -> None:
    ran: list[Any] = []
    gates = {1: gevent.event.Event()}
    pid = here.start(Desk, here, journal("desk"), ran, gates, name="desk")
    id = requests.submit("desk", 1)
    core = here.system.process(pid).handler.core  # type: ignore[union-attr]
    entry = here.system.process(here.whereis("outbox")).handler.core.entries[id]  # type: ignore[arg-type, union-attr]
    wait_for(lambda: entry.attempts > 3, what="repetitions")
    assert (len(ran), core.count) == (1, 1)
    gates[1].set()
    assert requests.await_result(id) == (A.ok, 1)


def test_a_handler_that_is_killed_is_an_outcome(
    here: Here, requests: Requests, journal: Callable[..., Journal]
) -> None:
    gates = {1: gevent.event.Event()}
    desk = here.start(Desk, here, journal("desk"), [], gates, name="desk")
    id = requests.submit("desk", 1)
    handlers = here.system.process(desk).handler._handlers  # type: ignore[union-attr]
    wait_for(lambda: handlers)
    here.exit(next(iter(handlers)), A.kill)
    assert requests.await_result(id) == (A.error, (A.exit, A.killed))


def test_there_is_no_transaction_where_none_was_asked_for(
    here: Here, requests: Requests, journal: Callable[..., Journal]
) -> None:
    here.start(Desk, here, journal("desk"), [], {}, name="desk")
    kind, reason = requests.await_result(requests.submit("desk", A.sql))
    assert (kind, reason[1]) == (A.error, b"pyerlnode.errors.UsageError")


@pytest.mark.parametrize(("kind", "outcome", "times"), [(Desk, (A.error, A.interrupted), 1), (Again, (A.ok, 1), 2)])
def test_what_the_end_of_the_server_interrupts_is_treated_as_said(
    here: Here, requests: Requests, journal: Callable[..., Journal], kind: Any, outcome: Any, times: int
) -> None:
    ran: list[Any] = []
    gates = {1: gevent.event.Event()}
    here.start(kind, here, journal("desk"), ran, gates, name="desk")
    id = requests.submit("desk", 1)
    wait_for(lambda: ran)
    killed(here, "desk")
    gates.clear()
    here.start(kind, here, journal("desk"), ran, gates, name="desk")
    assert requests.await_result(id) == outcome
    assert len(ran) == times
    assert len(set(ran)) == 1, "its id is the same each time"


# --- restarts --------------------------------------------------------------------------------------
def test_an_outbox_that_was_killed_goes_on_from_its_journal(
    here: Here, requests: Requests, journal: Callable[..., Journal]
) -> None:
    ids = [requests.submit("bank", amount, key=1) for amount in range(5)]
    waiting = gevent.spawn(requests.await_result, ids[0], None)
    wait_for(lambda: here.system.process(here.whereis("outbox")).handler._waiting)  # type: ignore[arg-type, union-attr]
    killed(here, "outbox")
    with pytest.raises(ServerExit):
        waiting.get(timeout=patience())
    here.start(Outbox, here, journal("outbox"), name="outbox", limits=FAST)
    assert set(requests.pending()) == set(ids)
    here.start(Bank, here, journal("bank"), name="bank")
    assert [requests.await_result(id) for id in ids] == [(A.ok, amount) for amount in range(5)]
    assert requests.await_result(requests.submit("bank", A.all)) == (A.ok, list(range(5)))


def test_a_result_survives_both_servers(here: Here, requests: Requests, bank: Any, journal: Any) -> None:
    id = requests.submit("bank", 5)
    requests.await_result(id)
    killed(here, "outbox")
    killed(here, "bank")
    here.start(Bank, here, journal("bank"), name="bank")
    here.start(Outbox, here, journal("outbox"), name="outbox", limits=FAST)
    assert requests.result(id) == (A.ok, 5)
    assert requests.await_result(requests.submit("bank", A.all)) == (A.ok, [5])


def test_an_inbox_forgets_what_the_requester_has(here: Here, requests: Requests, bank: Any) -> None:
    for amount in range(10):
        requests.await_result(requests.submit("bank", amount))
    core = here.system.process(bank).handler.core  # type: ignore[union-attr]
    wait_for(lambda: core.count == 0 and not any(line.items for line in core.lines.values()))


def test_a_burst_is_carried_out_by_several_commits(here: Here, requests: Requests, journal: Any) -> None:
    here.start(Bank, here, journal("bank"), name="bank", limits=InboxLimits(running=500))
    submitting = [gevent.spawn(requests.submit, "bank", amount) for amount in range(300)]
    ids = [greenlet.get(timeout=patience()) for greenlet in submitting]
    assert {requests.await_result(id) for id in ids} == {(A.ok, amount) for amount in range(300)}
    assert sorted(requests.await_result(requests.submit("bank", A.all))[1]) == list(range(300))


# --- faults ----------------------------------------------------------------------------------------
def test_a_journal_in_the_hands_of_a_live_server_is_refused(here: Here, requests: Requests, journal: Any) -> None:
    with pytest.raises(StartFailed) as caught:
        here.start(Outbox, here, journal("outbox"), name="second")
    assert isinstance(caught.value.__cause__, JournalInUse)
    with pytest.raises(StartFailed, match="local name"):
        here.start(Outbox, here, journal("other"))
    assert requests.pending() == []


def test_a_disk_that_is_full_ends_the_outbox_and_nothing_accepted_is_lost(here: Here, journal: Any) -> None:
    here.start(Outbox, here, journal("outbox", pages=60), name="outbox")
    requests = Requests(here)
    kept: list[bytes] = []

    def fill() -> None:
        while len(kept) < 100:
            kept.append(requests.submit("nobody", b"x" * 5_000))

    with pytest.raises(ServerExit, match="JournalFull"):
        fill()
    here.start(Outbox, here, journal("outbox"), name="outbox")
    assert set(requests.pending()) == set(kept)
    assert kept


def test_a_handler_can_not_end_the_transaction(here: Here, requests: Requests, bank: Any) -> None:
    kind, reason = requests.await_result(requests.submit("bank", A.commit))
    assert (kind, reason[1]) == (A.error, b"pyerlnode.errors.UsageError")
    ref = here.monitor(bank)
    requests.submit("bank", A.commit_by_force)
    down = here.receive((A.DOWN, ref, A.process, bank, tuple), timeout=patience())
    assert down[4][1] == b"pyerlnode.cluster.durable.journal.JournalError"


def test_messages_that_nobody_understands_change_nothing(here: Here, requests: Requests, bank: Any) -> None:
    for name in ("outbox", "bank"):
        for message in (A.hello, (A.hello,), (A.nodeup, A["x@y"]), (A.nodedown, A["x@y"])):
            here.send(name, message)
    uid = bytes(16)
    here.send("bank", (A.pyerlnode_request, (A.nobody, Atom("py@here")), uid, 0, 0, b"", b"\x83garbage"))
    here.send("bank", (A.pyerlnode_request, (A.nobody, Atom("py@here")), uid, 1, 0, b"", encode(7)))
    assert requests.await_result(requests.submit("bank", A.all)) == (A.ok, [7])


def test_an_outcome_that_is_no_term_is_one_that_says_so(here: Here, requests: Requests) -> None:
    requests.subscribe(here.self_())
    id = requests.submit("nobody", 1)
    entry = here.system.process(here.whereis("outbox")).handler.core.entries[id]  # type: ignore[arg-type, union-attr]
    here.send("outbox", (A.pyerlnode_done, entry.stream, entry.number, b"\x83garbage"))
    assert requests.await_result(id) == requests.result(id) == (A.error, A.undecodable)
    assert here.receive((A.pyerlnode_outcome, id, tuple), timeout=patience())[2] == (A.error, A.undecodable)


def test_a_node_that_can_not_be_reached_delays_nobody(here: Here, requests: Requests, bank: Any) -> None:
    asked = []

    def refuse(node: Any) -> Any:
        asked.append(node)
        raise ConnectError("nobody is there", str(node), "refused")

    here.system.connector = refuse
    away = requests.submit(("bank", "away@nowhere"), 1)
    assert requests.await_result(requests.submit("bank", 5)) == (A.ok, 5)
    wait_for(lambda: len(asked) > 2, what="repetitions")
    assert requests.result(away) is None


def test_a_server_that_stops_takes_its_carriers_along(here: Here, requests: Requests) -> None:
    gate = gevent.event.Event()
    here.system.connector = lambda node: gate.wait() or None  # type: ignore[assignment, return-value]  # a node that hangs
    requests.submit(("bank", "away@nowhere"), 1)
    outbox = here.system.process(here.whereis("outbox")).handler  # type: ignore[arg-type, union-attr]
    wait_for(lambda: outbox._carriers)
    carrier = next(iter(outbox._carriers.values())).pid
    here.stop_process("outbox")
    wait_for(lambda: here.system.process(carrier) is None)


def test_the_base_class_is_to_be_completed(here: Here, requests: Requests, journal: Any) -> None:
    assert issubclass(Inbox, GenServer)
    here.start(Inbox, here, journal("plain"), name="plain")
    kind, reason = requests.await_result(requests.submit("plain", 1))
    assert (kind, reason[1]) == (A.error, b"NotImplementedError")
