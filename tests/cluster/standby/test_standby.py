"""A standby group of real processes, on systems under a virtual clock."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from pyerlnode import Node
from pyerlnode.cluster.standby.elector import Told, read_epoch
from pyerlnode.cluster.standby.standby import Activation, Fenced, Standby, activation
from pyerlnode.errors import StartFailed
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.otp.supervisor import Supervise, Supervisor
from pyerlnode.runtime.names import Global
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.atom import Atom
from pyerlnode.term.pid import Pid
from pyerlnode.testing.patience import patience
from pyerlnode.testing.virtual import Simulation

NAMES = ("a@sim", "b@sim", "c@sim")
TAKES_OVER = 6.0
"""Seconds of the virtual clock."""


class Counter(GenServer):
    """Counts on from what was handed over."""

    def init(self, stubborn: bool = False) -> None:
        mine = activation()
        assert mine is not None
        self.mine = mine
        self.count = mine.state or 0
        self.process.trap_exit = stubborn
        self.stubborn = stubborn

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.add:
                self.count += 1
                return Reply((self.count, self.process.system.node))
            case A.who:
                return Reply(from_[0])
            case A.epoch:
                return Reply(self.mine.check())
            case A.never:
                return NoReply()
            case A.crash:
                return Stop(A.crashed)
        return Reply(self.count)

    def handle_cast(self, request: Any) -> None:
        self.count += request

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.standby, A.merge, state):
                self.count += state

    def terminate(self, reason: Any) -> None:
        if self.stubborn:
            self.process.receive(None, None)


class Group:
    """Three systems with a member each; `far`: seconds between a and c."""

    def __init__(self, simulation: Simulation, child: Any = Counter, far: float = 0.005, **options: Any) -> None:
        self.simulation = simulation
        self.child = child
        self.options = {"nodes": NAMES, "handoff": self.state_of, **options}
        self.systems = {name: simulation.system(name) for name in NAMES}
        self.links = {
            frozenset(pair): simulation.link(self.systems[pair[0]], self.systems[pair[1]], delay=delay)
            for *pair, delay in (("a@sim", "b@sim", 0.005), ("a@sim", "c@sim", far), ("b@sim", "c@sim", 0.005))
        }
        self.pids = {name: self.start(system) for name, system in self.systems.items()}
        self.pass_time(TAKES_OVER)

    def start(self, system: System) -> Any:
        return gen_server.start(system, Standby, (self.child,), self.options, name="counter")

    def state_of(self, pid: Any) -> Any:
        return gen.call(self.systems[pid.node.name], pid, A.count)

    def pass_time(self, seconds: float) -> None:
        self.simulation.advance(seconds)

    def call(self, name: str, request: Any, to: str | None = None) -> Any:
        return self.simulation.run(gen.call, self.systems[name], ("counter", to or name), request, 30.0)

    def active(self, name: str = "c@sim") -> Any:
        return Standby.status("counter", on=self.systems[name])[A.active]

    def isolate(self, name: str) -> None:
        for pair, link in self.links.items():
            if name in pair:
                link.cut()

    def mend(self) -> None:
        for link in self.links.values():
            link.mend()

    def stop(self, name: str) -> None:
        self.simulation.run(gen.stop, self.systems[name], self.pids[name], A.shutdown)


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    with Simulation() as made:
        yield made


@pytest.fixture
def group(simulation: Simulation) -> Group:
    return Group(simulation)


def test_a_call_to_any_member_reaches_the_active_child(group: Group) -> None:
    assert [group.call(name, A.add) for name in NAMES] == [(n, A["a@sim"]) for n in (1, 2, 3)]
    assert Standby.whereis("counter", on=group.systems["b@sim"]) == Standby.whereis(
        "counter", on=group.systems["a@sim"]
    )


def test_the_child_sees_who_has_called(group: Group) -> None:
    assert group.call("b@sim", A.who) == group.systems["b@sim"].root.pid


def test_a_cast_to_any_member_reaches_the_child(group: Group) -> None:
    gen.cast(group.systems["c@sim"], "counter", 5)
    group.pass_time(0.1)
    assert group.call("b@sim", A.count) == 5


def test_the_next_one_takes_over_and_calls_in_between_are_held(group: Group) -> None:
    group.call("b@sim", A.add)
    group.isolate("a@sim")
    group.simulation.run_until_idle()
    assert group.call("b@sim", A.add) == (1, A["b@sim"])
    group.pass_time(0.1)
    assert group.active("c@sim") is A["b@sim"]
    assert Standby.whereis("counter", on=group.systems["a@sim"]) is None


def test_a_child_that_does_not_stop_is_killed_before_another_one_starts(simulation: Simulation) -> None:
    group = Group(simulation, (Counter, True))
    old = Standby.whereis("counter", on=group.systems["a@sim"])
    assert old is not None
    group.isolate("a@sim")
    while group.systems["a@sim"].process(old) is not None:
        assert group.active("b@sim") is not A["b@sim"]
        group.pass_time(0.02)
    assert group.active("b@sim") is None
    group.pass_time(TAKES_OVER)
    assert group.active() is A["b@sim"]


def test_a_call_that_the_lost_child_had_is_answered_lost(group: Group) -> None:
    job = group.simulation.start(gen.call, group.systems["b@sim"], "counter", A.never, 30.0)
    group.pass_time(0.1)
    group.isolate("a@sim")
    group.simulation.run_until_idle()
    assert job.get() == (A.error, (A.standby, A.lost))


def fronts(group: Group) -> tuple[Any, Any, Told]:
    """Those of a, which is active, and of c; and the news, which c has not heard, that b is the next."""
    front_a, front_c = (group.systems[name].process(group.pids[name]) for name in ("a@sim", "c@sim"))
    assert front_a is not None
    assert front_c is not None
    news = Told(A["b@sim"], group.pids["b@sim"], front_c.handler.told.epoch + 1, None)
    return front_a, front_c, news


def called_and_overtaken(group: Group, request: Any) -> Any:
    """A call by way of c that goes to a, and the news of b behind it, before anything of a can be here."""
    front_a, front_c, news = fronts(group)
    known = front_c.handler.told
    job = group.simulation.start(gen.call, group.systems["c@sim"], "counter", request, 30.0)
    group.simulation.start(front_c.deliver, news)
    group.pass_time(0.1)
    front_a.handler.told.activation.open = True
    front_c.deliver(known)
    group.pass_time(0.1)
    return job


def test_a_call_that_came_too_late_is_not_lost_though_the_news_of_the_next_overtake_its_answer(group: Group) -> None:
    front_a, _, _ = fronts(group)
    front_a.handler.told.activation.open = False  # it is about to stop
    assert called_and_overtaken(group, A.add).get() == (1, A["a@sim"])


def test_a_call_that_came_too_late_goes_to_the_next_as_soon_as_that_is_told(simulation: Simulation) -> None:
    group = Group(simulation, far=0.6, hold=60.0)
    simulation.start(gen.stop, group.systems["a@sim"], group.pids["a@sim"], A.shutdown)
    group.pass_time(0.01)
    job = simulation.start(gen.call, group.systems["c@sim"], "counter", A.add, 60.0)
    group.pass_time(1.1)
    assert Standby.whereis("counter", on=group.systems["c@sim"]).node is A["b@sim"]
    assert not job.ready()  # a has not had time to say that it is the one no more
    group.pass_time(0.3)
    assert job.get() == (1, A["b@sim"])


def test_a_call_that_a_member_gets_before_it_knows_that_it_is_the_one_waits_for_that_alone(
    simulation: Simulation,
) -> None:
    group = Group(simulation, hold=60.0)
    front = group.systems["a@sim"].process(group.pids["a@sim"])
    assert front is not None
    known, front.handler.told = front.handler.told, Told(None, None, 0, None)
    job = simulation.start(gen.call, group.systems["c@sim"], "counter", A.add, 60.0)
    group.pass_time(0.3)
    front.handler.told = known
    group.pass_time(0.3)
    assert job.get() == (1, A["a@sim"])


def test_a_call_that_the_one_before_had_is_lost_as_soon_as_that_has_given_its_sign(group: Group) -> None:
    job = called_and_overtaken(group, A.never)
    assert job.get() == (A.error, (A.standby, A.lost))


def test_a_call_that_nobody_takes_is_answered_when_its_time_is_over(group: Group) -> None:
    group.isolate("a@sim")
    group.isolate("b@sim")
    group.pass_time(TAKES_OVER)
    assert group.call("c@sim", A.add) == (A.error, (A.standby, A.not_active))


def test_a_stop_in_order_hands_the_state_over_at_once(group: Group) -> None:
    group.call("b@sim", A.add)
    group.stop("a@sim")
    group.pass_time(0.5)
    assert group.call("c@sim", A.add) == (2, A["b@sim"])


def test_a_better_one_that_comes_back_takes_over_with_the_state(group: Group) -> None:
    group.stop("a@sim")
    group.pass_time(0.5)
    assert group.call("c@sim", A.add) == (1, A["b@sim"])
    first = group.call("c@sim", A.epoch)
    group.pids["a@sim"] = group.start(group.systems["a@sim"])
    group.pass_time(2 * TAKES_OVER)
    assert group.call("c@sim", A.add) == (2, A["a@sim"])
    assert group.call("c@sim", A.epoch) > first


def test_an_operator_moves_the_child_by_asking_any_member(group: Group) -> None:
    system = group.systems["c@sim"]
    run = group.simulation.run
    assert run(lambda: Standby.move("counter", "b@sim", on=system)) is A.ok
    group.pass_time(TAKES_OVER)
    status = Standby.status("counter", on=system)
    assert (status[A.active], status[A.pin]) == (A["b@sim"], A["b@sim"])
    assert [m[A.state] for m in status[A.members]] == [A.standby, A.active, A.standby]
    assert run(lambda: Standby.move("counter", "x@sim", on=system)) == (A.error, A.not_a_member)
    assert run(lambda: Standby.move("counter", None, on=system)) is A.ok
    group.pass_time(TAKES_OVER)
    assert group.active() is A["a@sim"]


def test_a_subscriber_is_told_of_every_change(group: Group) -> None:
    system = group.systems["c@sim"]
    node, epoch = Standby.subscribe("counter", on=system)
    assert node is A["a@sim"]
    group.stop("a@sim")
    group.pass_time(1.0)
    queue = system.root.queue or []
    assert list(queue) == [] or all(m[0] is A.standby for m in queue)
    seen: list[Any] = []
    listener = system.spawn(_listen, system, seen)
    group.simulation.run_until_idle()
    gen_server.start(group.systems["a@sim"], Standby, (Counter,), group.options, name="counter")
    group.pass_time(2 * TAKES_OVER)
    assert system.whereis("counter") is not None
    assert [(m[2], m[3]) for m in seen] == [(A.inactive, None), (A.active, A["a@sim"])]
    assert seen[-1][4] > epoch
    system.exit(listener, A.kill)


def _listen(system: System, seen: list[Any]) -> None:
    Standby.subscribe("counter", on=system)
    while True:
        seen.append(system.myself().receive(None, None))


def test_garbage_is_dropped_and_counted(group: Group, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    system = group.systems["a@sim"]
    for term in (A.hello, (A["$standby"], 1, system.root.pid, A.beat), {}):
        system.send("counter.standby", term)
        system.send("counter", term)
    group.simulation.run_until_idle()
    status = Standby.status("counter", on=system)
    assert (status[A.garbage], status[A.dropped]) == (3, 3)
    assert group.active() is A["a@sim"]
    assert ["no message of a member" in record.message for record in caplog.records] == [True, True]


def test_a_member_of_another_version_is_refused_with_a_word_that_says_so(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    system = group.systems["a@sim"]
    newer = Pid(A["b@sim"], 99, 0, 1)
    for _ in range(3):
        system.send("counter.standby", (A["$standby"], 2, newer, A.beat, 1, 2.0, A.a_field_of_tomorrow))
    for version in range(3, 40):
        system.send("counter.standby", (A["$standby"], version, newer, A.gone, 1))
    group.simulation.run_until_idle()
    told = [record.getMessage() for record in caplog.records if "speaks version" in record.getMessage()]
    assert len(told) == 16
    assert "b@sim speaks version 2 of what members say and this node 1" in told[0]
    assert Standby.status("counter", on=system)[A.garbage] == 0
    assert group.active() is A["a@sim"]


def test_a_child_that_crashes_moves_on_and_a_reset_brings_it_back(group: Group) -> None:
    with _silence():
        assert group.call("c@sim", A.crash) == (A.error, (A.standby, A.lost))
    group.pass_time(TAKES_OVER)
    assert group.active() is A["b@sim"]
    assert Standby.status("counter", on=group.systems["a@sim"])[A.members][0][A.state] is A.doubted
    Standby.reset("counter", on=group.systems["a@sim"])
    group.pass_time(TAKES_OVER)
    assert group.active() is A["a@sim"]


class Hung(GenServer):
    def init(self) -> None:
        self.process.trap_exit = True
        if self.process.system.node is A["a@sim"]:
            self.process.receive(None, None)

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(self.process.system.node)


def test_a_start_that_never_returns_is_killed_with_all_that_it_began(simulation: Simulation) -> None:
    with _silence():
        group = Group(simulation, Hung, start=1.0, handoff=None)
        group.pass_time(TAKES_OVER)
    assert group.call("a@sim", A.who) is A["b@sim"]
    names = {type(p.handler).__name__ for p in group.systems["a@sim"].processes.values()}
    assert "Hung" not in names


class Tree(Supervisor):
    def init(self) -> Any:
        return Supervise([{"id": "counter", "start": (Counter, [True])}])


def test_of_a_tree_that_is_killed_nothing_is_left(simulation: Simulation) -> None:
    group = Group(simulation, Tree, handoff=None)
    system = group.systems["a@sim"]
    assert Counter in {type(p.handler) for p in system.processes.values()}
    group.isolate("a@sim")
    group.pass_time(3.1)
    assert not {Counter, Tree} & {type(p.handler) for p in system.processes.values()}


def test_an_activation_that_is_over_is_fenced(group: Group) -> None:
    pid = Standby.whereis("counter", on=group.systems["a@sim"])
    process = group.systems["a@sim"].process(pid)  # type: ignore[arg-type]  # it is there
    mine: Activation = process.handler.mine  # type: ignore[union-attr]
    assert mine.check() == mine.epoch
    group.isolate("a@sim")
    group.pass_time(2.1)
    assert not mine.valid()
    with pytest.raises(Fenced, match="is over"):
        mine.check()


def test_two_sides_without_a_majority_each_have_one_and_merge(simulation: Simulation) -> None:
    group = Group(simulation, quorum=None)
    assert group.active() is A["a@sim"]
    group.isolate("a@sim")
    group.pass_time(TAKES_OVER)
    assert group.active("b@sim") is A["b@sim"]
    assert group.active("a@sim") is A["a@sim"]
    for name in ("a@sim", "b@sim", "b@sim"):
        group.call(name, A.add)
    group.mend()
    group.pass_time(TAKES_OVER)
    assert {group.active(name) for name in NAMES} == {A["a@sim"]}
    assert group.call("b@sim", A.count) == 3


def test_the_epoch_is_kept_in_a_file(simulation: Simulation, tmp_path: Path) -> None:
    group = Group(simulation, store=tmp_path / "epoch")
    assert read_epoch(str(tmp_path / "epoch")) == Standby.status("counter", on=group.systems["a@sim"])[A.epoch]


def test_the_child_has_a_global_name(simulation: Simulation) -> None:
    group = Group(simulation, global_name=A.counter)
    system = group.systems["a@sim"]
    assert system.whereis(Global(A.counter)) == Standby.whereis("counter", on=system)


def test_telemetry_tells_what_happens(simulation: Simulation) -> None:
    told: list[Any] = []
    group = Group(simulation, emit=lambda event, numbers, **about: told.append((event, about["name"])))
    assert told == [("standby.elected", "counter"), ("standby.active", "counter")]
    group.stop("a@sim")
    group.pass_time(1.0)
    assert [event for event, _ in told[2:]] == ["standby.stopped", "standby.elected", "standby.active"]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"nodes": ["b@sim"]}, "is not among the nodes"),
        ({"nodes": ["a@sim", ["a@sim"]]}, "named twice"),
        ({"nodes": ["a@sim"], "quorum": "most"}, "quorum is"),
        ({"nodes": ["a@sim"], "lease": 0}, "more than 0"),
        ({"nodes": ["a@sim"], "drift": 0.7}, "drift is"),
        ({"nodes": ["a@sim"], "quorum": None, "global_name": "x"}, "global_name wants"),
    ],
)
def test_a_group_that_can_not_be_is_refused(simulation: Simulation, options: Any, wrong: str) -> None:
    system = simulation.system("a@sim")
    with _silence(), pytest.raises(StartFailed, match=wrong):
        gen_server.start(system, Standby, (Counter,), options, name="counter")


def test_a_group_without_a_name_is_refused(simulation: Simulation) -> None:
    with _silence(), pytest.raises(StartFailed, match="needs a name"):
        gen_server.start(simulation.system("a@sim"), Standby, (Counter,), {"nodes": ["a@sim"]})


class _silence:
    """The reports of crashes that a test causes are not of interest."""

    def __enter__(self) -> None:
        logging.getLogger("pyerlnode").setLevel(logging.CRITICAL)

    def __exit__(self, *error: object) -> None:
        logging.getLogger("pyerlnode").setLevel(logging.NOTSET)


def test_a_member_that_can_not_reach_the_active_one_holds_its_calls_and_answers_others() -> None:
    hung = "aa_hung@127.0.0.1"
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        Node("zz@127.0.0.1", cookie="c", epmd="none", addresses={hung: mute.getsockname()}, setup_time=1e6) as node,
    ):
        pid = node.start(Standby, Counter, name="group", nodes=[hung, node.name], quorum=None, hold=1e6)
        child = Pid(A[hung], 1, 0, 1)
        node.send(pid, Told(A[hung], child, 7, None))
        asked = [gevent.spawn(node.call, pid, A.add, timeout=None) for _ in range(3)]
        gevent.idle()
        assert node.call(pid, A.whereis, timeout=patience()) == child
        assert not any(call.ready() for call in asked)
        gevent.killall(asked)


def test_outside_of_a_child_there_is_no_activation() -> None:
    assert activation() is None
    assert Atom("counter") is A.counter
