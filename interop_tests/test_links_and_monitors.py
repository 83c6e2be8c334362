"""Links and monitors across the languages: who ends how, and that the other side hears it exactly once."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk, mailbox, next_message
from pyerlnode import A
from pyerlnode.errors import Exit, NoProc
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

Helper = Callable[[str], Beam]


class Watch:
    """A probe on the BEAM, and Python's words for what it does and has seen."""

    def __init__(self, beam: Beam, node: Any) -> None:
        self.beam, self.node = beam, node
        self.pid = beam.eval("probe:start()")

    def run(self, source: str, **bindings: Any) -> Any:
        return self.beam.eval(f"probe:run(Probe, fun() -> {source} end)", Probe=self.pid, **bindings)

    def monitor(self, dest: Any) -> Any:
        return self.arrived(self.run("erlang:monitor(process, Dest)", Dest=dest))

    def link(self, pid: Pid) -> None:
        self.arrived(self.run("link(Pid)", Pid=pid))

    def arrived(self, value: Any = None) -> Any:
        """Give `value` when everything that the probe has sent has arrived at the node: its answer comes after it."""
        self.run("pong = net_adm:ping(N)", N=A[self.node.name])
        return value

    def messages(self, count: int) -> list[Any]:
        """Its messages, as soon as there are `count`, and after everything that the node had sent until then."""
        self.beam.wait_until("probe:count(Probe) >= Count", Probe=self.pid, Count=count)
        if self.node.name in self.beam.nodes():
            self.arrived()
        seen: list[Any] = self.beam.eval("probe:messages(Probe)", Probe=self.pid)
        return seen


@pytest.fixture
def watch(helper: Helper, node: Any) -> Watch:
    return Watch(helper("probe.erl"), node)


@pytest.fixture
def desk(node: Any) -> Pid:
    """A Python server, registered as `desk`."""
    return node.start(Desk, name="desk")


@pytest.fixture
def other(helper: Helper) -> Pid:
    """A server on the BEAM, registered as `desk`."""
    return helper("desk.erl").eval("desk:start(desk)")


STOP_PYTHON = {
    "normal": (lambda node, pid: node.call(pid, (A.stop, A.normal, A.ok)), A.normal),
    "shutdown": (lambda node, pid: node.call(pid, (A.stop, A.shutdown, A.ok)), A.shutdown),
    "any reason": (lambda node, pid: node.call(pid, (A.stop, (A.oops, [b"why"]), A.ok)), (A.oops, [b"why"])),
    "exit raised": (lambda node, pid: node.cast(pid, (A.exit, A.gone)), A.gone),
    "exit signal": (lambda node, pid: node.exit(pid, A.oops), A.oops),
    "kill is told as killed": (lambda node, pid: node.exit(pid, A.kill), A.killed),
}


# --- the BEAM watches Python -------------------------------------------------------------------------
@pytest.mark.parametrize(("end", "reason"), STOP_PYTHON.values(), ids=STOP_PYTHON)
def test_erlang_gets_one_down_and_one_exit_with_the_reason(
    watch: Watch, node: Any, desk: Pid, end: Callable[[Any, Pid], Any], reason: Any
) -> None:
    ref = watch.monitor(desk)
    watch.link(desk)
    end(node, desk)
    exit, down = sorted(watch.messages(2), key=lambda message: message[0].name, reverse=True)
    assert exit == (A.EXIT, desk, reason)
    assert down == (A.DOWN, ref, A.process, desk, reason)


def test_a_monitor_by_name_tells_the_name(watch: Watch, node: Any, desk: Pid) -> None:
    ref = watch.monitor((A.desk, A[node.name]))
    node.exit(desk, A.kill)
    assert watch.messages(1) == [(A.DOWN, ref, A.process, (A.desk, A[node.name]), A.killed)]


def test_a_handler_that_raises_gives_exit_and_down_with_the_python_stack_and_noproc_afterwards(
    watch: Watch, node: Any, desk: Pid
) -> None:
    watch.monitor(desk)
    watch.link(desk)
    watch.run("gen_server:cast(Pid, fail)", Pid=desk)
    for message in watch.messages(2):
        kind, error, text, stack = message[-1]
        assert (kind, error, text) == (A.python_error, b"ValueError", b"not today")
        module, function, _arity, where = stack[0]
        assert (module, function) == (A["interop_tests.servers"], A.handle_cast)
        assert dict(where)[A.line] > 0
        assert bytes(dict(where)[A.file]).endswith(b"servers.py")
    assert watch.run("catch gen_server:call(Pid, kept)", Pid=desk)[1][0] is A.noproc
    assert watch.run("catch gen_server:call({desk, N}, kept)", N=A[node.name])[1][0] is A.noproc
    assert node.whereis("desk") is None


@pytest.mark.beam(elixir=True)
def test_elixir_formats_the_reason_with_the_python_stack(watch: Watch, beam: Beam, node: Any, desk: Pid) -> None:
    ref = watch.monitor(desk)
    watch.run("gen_server:cast(Pid, fail)", Pid=desk)
    _, _, _, _, reason = watch.messages(1)[0]
    assert ref
    text = beam.elixir("Exception.format_stacktrace(Enum.map(stack, & &1))", stack=reason[3])
    assert b"servers.py" in text
    assert b"handle_cast" in text


def test_a_monitor_of_a_dead_pid_and_of_an_unknown_name_answers_noproc(watch: Watch, node: Any, desk: Pid) -> None:
    node.call(desk, (A.stop, A.normal, A.ok))
    first = watch.monitor(desk)
    second = watch.monitor((A.nobody, A[node.name]))
    assert watch.messages(2) == [
        (A.DOWN, first, A.process, desk, A.noproc),
        (A.DOWN, second, A.process, (A.nobody, A[node.name]), A.noproc),
    ]


def test_a_link_to_a_dead_pid_answers_noproc(watch: Watch, node: Any, desk: Pid) -> None:
    node.call(desk, (A.stop, A.normal, A.ok))
    watch.link(desk)
    assert watch.messages(1) == [(A.EXIT, desk, A.noproc)]


def test_a_demonitored_process_tells_nothing(watch: Watch, node: Any, desk: Pid) -> None:
    ref = watch.monitor(desk)
    watch.arrived(watch.run("demonitor(Ref)", Ref=ref))
    again = watch.monitor(desk)
    node.exit(desk, A.kill)
    assert watch.messages(1) == [(A.DOWN, again, A.process, desk, A.killed)]


def test_unlink_ends_the_link_and_the_connection_stays(watch: Watch, node: Any, desk: Pid) -> None:
    watch.link(desk)
    watch.run("unlink(Pid)", Pid=desk)
    assert watch.run("gen_server:call(Pid, {echo, 1})", Pid=desk) == 1
    creation_of_link = watch.beam.nodes()
    node.exit(desk, A.kill)
    wait_for(lambda: node.whereis("desk") is None)
    assert watch.messages(0) == []
    assert watch.beam.nodes() == creation_of_link == [node.name]


def test_a_hundred_links_and_unlinks_in_a_row_leave_one_link(watch: Watch, node: Any, desk: Pid) -> None:
    watch.arrived(watch.run("[begin link(Pid), unlink(Pid), link(Pid) end || _ <- lists:seq(1, 100)]", Pid=desk))
    node.call(desk, (A.stop, A.bye, A.ok))
    assert watch.messages(1) == [(A.EXIT, desk, A.bye)]


def test_a_hundred_monitors_give_a_hundred_downs(watch: Watch, node: Any, desk: Pid) -> None:
    refs = watch.arrived(watch.run("[monitor(process, Pid) || _ <- lists:seq(1, 100)]", Pid=desk))
    node.exit(desk, A.kill)
    downs = watch.messages(100)
    assert len(downs) == 100
    assert {down[1] for down in downs} == set(refs)


# --- exit signals into Python ----------------------------------------------------------------------------
def test_exit_normal_from_erlang_does_not_end_a_python_process(watch: Watch, node: Any, desk: Pid) -> None:
    watch.run("exit(Pid, normal)", Pid=desk)
    assert watch.run("gen_server:call(Pid, {echo, 1})", Pid=desk) == 1


def test_exit_kill_from_erlang_ends_a_process_that_traps_exits(watch: Watch, node: Any) -> None:
    seen: list[Any] = []

    def trapper() -> None:
        node.process_flag("trap_exit", True)
        while True:
            seen.append(node.receive())

    pid = node.spawn(trapper)
    ref = watch.monitor(pid)
    watch.run("exit(Pid, soft)", Pid=pid)
    wait_for(lambda: seen == [(A.EXIT, watch.pid, A.soft)])
    watch.run("exit(Pid, kill)", Pid=pid)
    assert watch.messages(1) == [(A.DOWN, ref, A.process, pid, A.killed)]


def test_the_end_of_a_linked_erlang_process_ends_a_python_process_that_does_not_trap(
    watch: Watch, node: Any, other: Pid
) -> None:
    def linked() -> None:
        node.link(other)
        node.receive()

    pid = node.spawn(linked)
    ref = watch.monitor(pid)
    watch.beam.wait_until("{links, L} = process_info(P, links), lists:member(W, L)", P=other, W=pid)
    watch.run("exit(P, gone)", P=other)
    assert watch.messages(1) == [(A.DOWN, ref, A.process, pid, A.gone)]


def test_a_normal_exit_over_a_link_reaches_a_permanent_child_s_supervisor(helper: Helper, node: Any, desk: Pid) -> None:
    beam = helper("keeper.erl")
    started: list[Pid] = []

    def start() -> Pid:
        started.append(node.start(Desk))
        return started[-1]

    node.export("worker", start)
    keeper = beam.eval("keeper:start(N, worker, start)", N=A[node.name])
    for end in (
        lambda pid: node.call(pid, (A.stop, A.normal, A.ok)),
        lambda pid: node.cast(pid, A.fail),
        lambda pid: node.exit(pid, A.kill),
    ):
        before = started[-1]
        end(before)
        beam.wait_until("P = keeper:child(K), is_pid(P) andalso P =/= Old", K=keeper, Old=before)
    assert beam.eval("gen_server:call(keeper:child(K), {echo, 1})", K=keeper) == 1
    assert len(started) == 4


def test_a_supervisor_on_the_beam_that_is_shut_down_ends_its_python_child(
    watch: Watch, helper: Helper, node: Any
) -> None:
    beam = helper("keeper.erl")
    node.export("worker", lambda: node.start(Desk, name="child"), name="start")
    keeper = beam.eval("keeper:start(N, worker, start)", N=A[node.name])
    ref = watch.monitor(beam.eval("keeper:child(K)", K=keeper))
    beam.eval("gen_server:stop(K)", K=keeper)
    assert watch.messages(1)[0][:3] == (A.DOWN, ref, A.process)
    assert watch.messages(1)[0][4] is A.shutdown
    wait_for(lambda: node.whereis("child") is None)


# --- Python watches the BEAM -------------------------------------------------------------------------------
STOP_ERLANG = {
    "normal": ("gen_server:stop(P)", A.normal),
    "a reason": ("gen_server:call(P, {stop, {oops, <<1>>}, ok})", (A.oops, b"\x01")),
    "kill is told as killed": ("exit(P, kill)", A.killed),
    "exit signal": ("exit(P, gone)", A.gone),
}


@pytest.mark.parametrize(("source", "reason"), STOP_ERLANG.values(), ids=STOP_ERLANG)
def test_python_gets_one_down_and_one_exit_with_the_reason(
    beam: Beam, node: Any, other: Pid, source: str, reason: Any
) -> None:
    node.process_flag("trap_exit", True)
    ref = node.monitor(other)
    node.link(other)
    assert node.ping(beam.name)
    beam.eval(source, P=other)
    got = [next_message(), next_message()]
    assert node.ping(beam.name)  # whatever else was on its way has arrived before this answer
    assert mailbox() == []
    assert (A.DOWN, ref, A.process, other, reason) in got
    assert (A.EXIT, other, reason) in got


def test_a_crash_on_the_beam_tells_its_stack(beam: Beam, node: Any, other: Pid) -> None:
    ref = node.monitor(other)
    assert node.ping(beam.name)
    beam.eval("catch gen_server:call(P, {fail, not_today})", P=other)
    kind, got, _, pid, (why, stack) = next_message()
    assert (kind, got, pid, why) == (A.DOWN, ref, other, A.not_today)
    assert stack[0][0] is A.desk


def test_a_monitor_of_a_dead_pid_and_of_an_unknown_name_gives_noproc(beam: Beam, node: Any, other: Pid) -> None:
    beam.eval("gen_server:stop(P)", P=other)
    first = node.monitor(other)
    second = node.monitor(("nobody", beam.name))
    assert next_message() == (A.DOWN, first, A.process, other, A.noproc)
    assert next_message() == (A.DOWN, second, A.process, (A.nobody, beam.node), A.noproc)


def test_a_link_to_a_dead_pid_gives_noproc(beam: Beam, node: Any, other: Pid) -> None:
    beam.eval("gen_server:stop(P)", P=other)
    node.process_flag("trap_exit", True)
    node.link(other)
    assert next_message() == (A.EXIT, other, A.noproc)


def test_a_demonitor_with_flush_leaves_nothing(beam: Beam, node: Any, other: Pid) -> None:
    ref = node.monitor(other)
    kept = node.monitor(("desk", beam.name))
    node.demonitor(ref, flush=True)
    assert node.ping(beam.name)
    beam.eval("exit(P, kill)", P=other)
    assert next_message() == (A.DOWN, kept, A.process, (A.desk, beam.node), A.killed)
    assert node.ping(beam.name)
    assert mailbox() == []


def test_unlink_from_python_ends_the_link_on_both_sides(beam: Beam, node: Any, other: Pid) -> None:
    node.process_flag("trap_exit", True)
    node.link(other)
    beam.wait_until("{links, L} = process_info(P, links), lists:member(W, L)", P=other, W=node.self_())
    node.unlink(other)
    beam.wait_until("process_info(P, links) =:= {links, []}", P=other)
    beam.eval("exit(P, kill)", P=other)
    with pytest.raises(NoProc):
        node.call(other, A.kept)
    assert mailbox() == []
    assert beam.nodes() == [node.name]


def test_a_python_process_that_ends_takes_its_monitors_with_it(beam: Beam, node: Any, other: Pid) -> None:
    def glance() -> None:
        node.monitor(other)
        node.call(other, A.kept)

    for _ in range(20):
        node.spawn(glance)
    beam.wait_until("process_info(P, monitored_by) =:= {monitored_by, []}", P=other)


def test_the_end_of_a_python_process_reaches_a_linked_erlang_process(watch: Watch, node: Any) -> None:
    def short() -> None:
        node.link(watch.pid)
        raise Exit((A.done, 1))

    pid = node.spawn(short)
    assert watch.messages(1) == [(A.EXIT, pid, (A.done, 1))]


# --- the connection is lost ------------------------------------------------------------------------------------
def test_a_lost_connection_is_noconnection_to_every_link_and_monitor_once(
    watch: Watch, beam: Beam, node: Any, desk: Pid, other: Pid
) -> None:
    node.process_flag("trap_exit", True)
    there = watch.monitor(desk)
    watch.link(desk)
    here = node.monitor(other)
    node.link(other)
    assert node.ping(beam.name)
    assert node.disconnect(beam.name)
    got = [next_message(), next_message()]
    assert sorted(got, key=lambda message: message[0].name) == [
        (A.DOWN, here, A.process, other, A.noconnection),
        (A.EXIT, other, A.noconnection),
    ]
    seen = sorted(watch.messages(2), key=lambda message: message[0].name)
    assert seen == [(A.DOWN, there, A.process, desk, A.noconnection), (A.EXIT, desk, A.noconnection)]
    assert node.ping(beam.name)  # a new connection: no second DOWN with it
    node.exit(desk, A.kill)
    beam.eval("exit(P, kill)", P=other)
    assert node.ping(beam.name)
    assert mailbox() == []
    assert len(watch.messages(2)) == 2


def test_a_monitor_over_a_new_connection_works_after_a_lost_one(beam: Beam, node: Any, other: Pid) -> None:
    node.monitor(other)
    node.disconnect(beam.name)
    assert next_message()[4] is A.noconnection
    ref = node.monitor(other)
    assert node.ping(beam.name)
    beam.eval("exit(P, kill)", P=other)
    assert next_message() == (A.DOWN, ref, A.process, other, A.killed)


def test_nodeup_and_nodedown_are_told_to_who_monitors_nodes(beam: Beam, node: Any) -> None:
    node.monitor_nodes()
    node.connect(beam.name)
    assert next_message() == (A.nodeup, beam.node)
    beam.eval("erlang:disconnect_node(N)", N=A[node.name])
    assert next_message() == (A.nodedown, beam.node)
    assert mailbox() == []


def test_the_beam_is_told_nodeup_and_nodedown_of_the_hidden_python_node(watch: Watch, node: Any) -> None:
    watch.run("net_kernel:monitor_nodes(true, [{node_type, hidden}])")
    node.connect(watch.beam.name)
    watch.beam.wait_until("probe:count(P) =:= 1", P=watch.pid)
    node.disconnect(watch.beam.name)
    kinds = [(message[0], message[1]) for message in watch.messages(2)]
    assert kinds == [(A.nodeup, A[node.name]), (A.nodedown, A[node.name])]
