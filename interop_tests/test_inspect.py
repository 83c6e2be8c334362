"""An inspector looks into a real BEAM, gets true answers within bounds, and leaves nothing behind."""

from collections.abc import Iterator
from typing import Any

import pytest

from interop_tests.inspectors import killed_inspector
from pyerlnode import A
from pyerlnode.errors import UsageError
from pyerlnode.inspect import Cluster, InspectError, Late, NoSuchProcess, Refused, RemoteNode
from pyerlnode.inspect.rank_core import question
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

FOREIGN = "[P || P <- processes(), {_, L} <- [process_info(P, group_leader)], node(L) =/= node()]"
"""Whoever another node has started on the BEAM."""
HOLDER = """
    Holder = fun(Setup) ->
        Me = self(), P = spawn(fun() -> Setup(), Me ! {ready, self()}, receive stop -> ok end end),
        receive {ready, P} -> P end
    end, """


@pytest.fixture
def app(beam: Beam, node: Any) -> Iterator[RemoteNode]:
    with Cluster(node, timeout=patience(30.0)) as cluster:
        yield cluster.node(beam.node.name)


def held(beam: Beam, setup: str = "ok") -> Any:
    """A process of the BEAM that has done `setup` and waits for `stop`."""
    return beam.eval(f"{HOLDER} Holder(fun() -> {setup} end)")


def with_messages(beam: Beam, count: int, message: str = "{job, I}") -> Any:
    pid = held(beam)
    beam.eval(f"[P ! {message} || I <- lists:seq(1, {count})], ok", P=pid)
    return pid


# --- what it tells -----------------------------------------------------------------------------------
def test_info_is_what_the_node_says(beam: Beam, app: RemoteNode) -> None:
    told = app.info()
    assert told.otp.encode() == beam.eval("list_to_binary(erlang:system_info(otp_release))")
    assert told.limits["processes"].most == beam.eval("erlang:system_info(process_limit)")
    assert told.limits["atoms"].used > 1000
    assert told.memory["total"] > told.memory["processes"] > 0
    assert told.ticktime == beam.eval("net_kernel:get_net_ticktime()")


@pytest.mark.parametrize("by", ["memory", "reductions", "queue", "binary", "heap", "stack"])
def test_top_is_ranked_and_says_what_it_left_out(app: RemoteNode, by: str) -> None:
    told = app.top(by, limit=5)
    values = [row.value for row in told.rows]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    assert told.cut == told.matched - 5 == told.all - 5
    second = app.top(by, limit=5, skip=5)
    assert not {row.pid for row in told.rows} & {row.pid for row in second.rows} or by in ("reductions", "memory")


def test_a_ranking_takes_the_whole_of_many_processes(beam: Beam, app: RemoteNode) -> None:
    # More than one chunk of 5,000, and the ones to find are in the midst of them.
    made = "[spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, 6000)]"
    pids = beam.eval(f"Ps = {made}, [lists:nth(10, Ps) ! I || I <- [1, 2]], lists:nth(5900, Ps) ! 1, Ps")
    told = app.top("queue", limit=2)
    assert [(row.pid, row.value) for row in told.rows] == [(pids[9], 2), (pids[5899], 1)]
    assert told.all > 6000
    beam.eval("[P ! stop || P <- Ps], ok", Ps=pids)


def test_a_huge_mailbox_is_marked_and_its_memory_not_asked_for(beam: Beam, app: RemoteNode) -> None:
    pid = with_messages(beam, 100_001)
    top = app.top("memory", limit=1).rows[0]
    assert (top.pid, top.value, top.memory, top.queue) == (pid, None, None, 100_001)
    assert app.process(pid).info().memory is None
    with pytest.raises(Refused, match="100001 messages"):
        app.process(pid).mailbox()
    assert app.process(pid).mailbox(force=True, limit=2).first == ((A.job, 1), (A.job, 2))
    beam.eval("exit(P, kill)", P=pid)


def test_a_window_ranks_by_what_was_added_in_it(beam: Beam, app: RemoteNode) -> None:
    idle = held(beam, "lists:sum(lists:seq(1, 1000000))")
    busy = beam.eval("spawn(fun L() -> receive stop -> ok after 1 -> lists:seq(1, 1000), L() end end)")
    assert any(row.pid == busy for row in app.top("reductions", window=0.5).rows)
    with app.watch_top("reductions", limit=50) as watch:
        wait_for(lambda: busy in {row.pid for row in watch.next().rows})
        assert idle not in {row.pid for row in watch.next().rows}
    beam.eval("A ! stop, B ! stop, ok", A=idle, B=busy)


@pytest.mark.parametrize("name", ["'it is \"ö\", ''no'''", "'Elixir.My.Worker'", "'ünï <0.1.2>'"])
def test_a_process_is_found_by_any_name_and_by_its_pid_in_any_form(beam: Beam, app: RemoteNode, name: str) -> None:
    erlang = name.replace("''", "\\'")
    pid = held(beam, f"register({erlang}, self())")
    atom = beam.eval("element(2, process_info(P, registered_name))", P=pid)
    forms = [f"<0.{pid.id}.{pid.serial}>", f"#PID<0.{pid.id}.{pid.serial}>", f"0.{pid.id}.{pid.serial}"]
    forms.append(f"<{app.name}.{pid.creation}.{pid.id}.{pid.serial}>")  # as RabbitMQ prints it
    for what in (atom, pid, *forms):
        assert app.process(what).info().pid == pid, what
    assert app.process("My.Worker" if "My" in name else atom).info().name is atom
    beam.eval("P ! stop", P=pid)


def test_what_is_no_process_of_this_node_is_said(beam: Beam, app: RemoteNode, node: Any) -> None:
    dead = beam.eval("P = spawn(fun() -> ok end), M = monitor(process, P), receive {'DOWN', M, _, _, _} -> P end")
    for what in (dead, f"<0.{dead.id}.{dead.serial}>", "nobody", f"<{app.name}.1.{dead.id}.0>", "<0.99999999999.9>"):
        with pytest.raises(NoSuchProcess, match="there is no process"):
            app.process(what).info()
        with pytest.raises(NoSuchProcess):
            app.process(what).mailbox()
    with pytest.raises(UsageError, match=f"ask {node.name}"):
        app.process(node.spawn(lambda: None))


def test_proc_tells_links_monitors_and_stack_and_cuts_long_lists(beam: Beam, app: RemoteNode) -> None:
    many = "[spawn_link(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, 60)]"
    pid = held(beam, f"process_flag(trap_exit, true), {many}, erlang:monitor(process, init), put(key, <<0:80000>>)")
    told = app.process(pid).info(limit=10)
    assert (told.links.length, len(told.links.items), told.links.cut) == (60, 10, 50)
    assert told.monitors.items == ((A.process, (A.init, beam.node)),) or told.monitors.length == 1
    assert told.dictionary.items == (b"key",)
    assert told.trap_exit is True
    assert told.status == "waiting"
    assert app.process("kernel_sup").info().initial_call == (A.supervisor, A.kernel, 1)
    assert app.process("kernel_sup").info().application == "kernel"
    beam.eval("exit(P, kill)", P=pid)


def test_a_mailbox_is_its_first_messages_and_all_their_shapes(beam: Beam, app: RemoteNode) -> None:
    pid = with_messages(beam, 30)
    beam.eval("P ! hello, P ! {1, 2}, P ! <<0:800000>>, P ! #{}, P ! {}, ok", P=pid)
    told = app.process(pid).mailbox(limit=3)
    assert told.first == ((A.job, 1), (A.job, 2), (A.job, 3))
    assert (told.length, told.cut, told.looked) == (35, 32, 35)
    everything = app.process(pid).mailbox(limit=100)
    assert everything.shapes[0] == ("{job,_}", 30)
    assert {*everything.shapes[1:]} == {("hello", 1), ("{_,_}", 1), ("<binary>", 1), ("<map>", 1), ("{}", 1)}
    assert everything.first[32].size > 100_000  # too large to be sent: the start of its text
    assert len(everything.first[32].text) < 400
    beam.eval("P ! stop", P=pid)


def test_a_filter_takes_applications_modules_and_names(beam: Beam, app: RemoteNode) -> None:
    pid = held(beam, "register('Some_Server', self())")
    assert [row.pid for row in app.top(match="some_serv").rows] == [pid]
    kernel = app.top(match="kernel_sup", limit=50)
    assert "kernel_sup" in [row.name and row.name.name for row in kernel.rows]
    assert app.top(match="no such thing").rows == ()
    beam.eval("P ! stop", P=pid)


def test_the_nodes_that_are_seen_and_their_traffic(beam: Beam, app: RemoteNode, node: Any) -> None:
    told = app.nodes()
    mine = next(seen for seen in told.nodes if seen.node == node.name)
    assert (mine.kind, mine.asked) == ("hidden", False)
    assert told.nodes[0].node == app.name
    assert mine.traffic is None or mine.traffic[0] > 0
    assert told.splits == ()


# --- bounds ------------------------------------------------------------------------------------------
def test_a_question_that_is_late_ends_and_the_next_is_answered(beam: Beam, app: RemoteNode) -> None:
    app.info()
    before = beam.eval(f"length({FOREIGN})")
    with pytest.raises(Late, match="no answer within"):
        app.ask("rank", {**question("reductions", (A.window, 3_600_000), 5, 0, "")}, 0.2)
    assert app.info(timeout=patience(30.0)).node == app.name
    wait_for(lambda: beam.eval(f"length({FOREIGN})") <= before)


def test_a_session_that_somebody_ends_is_started_again(beam: Beam, app: RemoteNode) -> None:
    app.info()
    beam.eval(f"[exit(P, kill) || P <- {FOREIGN}], ok")
    wait_for(lambda: beam.eval(FOREIGN) == [])
    assert app.info().node == app.name


def test_the_inspector_is_in_none_of_its_own_lists_and_of_low_priority(beam: Beam, app: RemoteNode) -> None:
    app.info()
    mine = beam.eval(FOREIGN)
    assert mine
    assert beam.eval("[element(2, process_info(P, priority)) || P <- Ps]", Ps=mine) == [A.low] * len(mine)
    assert not {*mine} & {row.pid for row in app.top(limit=10_000).rows}


def test_what_is_not_a_beam_is_said(python: Any) -> None:
    one, other = python(), python()
    with Cluster(one, timeout=patience(10.0)) as cluster, pytest.raises(InspectError, match="needs a BEAM"):
        cluster.node(other.name).info()


# --- what is left ------------------------------------------------------------------------------------
STATE = f"""{{length({FOREIGN}), length(processes()), length(erlang:ports()),
    length([x || P <- processes(), {{_, Ms}} <- [process_info(P, monitors)], {{process, M}} <- Ms, is_pid(M),
                 node(M) =/= node()])}}"""


def as_before(beam: Beam, before: Any) -> bool:
    """Whether nothing of an inspector is there, nor more of anything than before: others may have gone meanwhile."""
    now = beam.eval(STATE)
    return now[0] == 0 and all(count <= was for count, was in zip(now, before, strict=True))


def test_a_closed_inspector_leaves_nothing(beam: Beam, node: Any) -> None:
    assert node.ping(beam.node)
    before = beam.eval(STATE)
    with Cluster(node, timeout=patience(30.0)) as cluster:
        app = cluster.node(beam.node.name)
        with app.watch_top() as watch:
            watch.next()
            app.top("memory")
            left = app.session.open("rank", question("reductions", A.live, 5, 0, ""), patience(30.0))
        assert beam.eval("is_process_alive(P)", P=left)
    wait_for(lambda: as_before(beam, before))


def test_an_inspector_that_is_killed_leaves_nothing(beam: Beam) -> None:
    before = beam.eval(STATE)
    with killed_inspector(beam, "app.watch_top()", "view.next()"):
        assert beam.eval(FOREIGN)
    wait_for(lambda: as_before(beam, before))


def test_the_memory_of_a_session_stays_flat(beam: Beam, app: RemoteNode) -> None:
    with app.watch_top() as watch:
        for _ in range(20):
            watch.next()
            app.info()
        size = "lists:sum([element(2, process_info(P, memory)) || P <- Ps, is_process_alive(P)])"
        mine = beam.eval(FOREIGN)
        before = beam.eval(size, Ps=mine)
        for _ in range(60):
            watch.next()
            app.info()
        assert beam.eval(size, Ps=mine) < 3 * before
