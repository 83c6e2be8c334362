"""Trees, states, tables, ports, and processes that do not move, as a real BEAM has them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.errors import UsageError
from pyerlnode.inspect import Cluster, InspectError, Late, NoSuchProcess, Refused, RemoteNode, compare
from pyerlnode.inspect.process_core import Cut
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for


@pytest.fixture
def app(helper: Callable[[str], Beam], beam: Beam, node: Any) -> Iterator[RemoteNode]:
    helper("inspected.erl")
    with Cluster(node, timeout=patience(10.0)) as cluster:
        yield cluster.node(beam.node.name)


def started(beam: Beam, source: str, **bindings: Any) -> Any:
    """What `source` gives, of whose processes the one that evaluates it has let go."""
    return beam.eval(f"{{ok, P}} = {source}, unlink(P), P", **bindings)


def test_a_tree_has_the_applications_and_their_supervisors(app: RemoteNode) -> None:
    told = {application.name: application for application in app.tree()}
    assert {"kernel", "stdlib"} <= {*told}
    assert told["stdlib"].top is None
    kernel = told["kernel"].top
    assert kernel is not None
    assert kernel.name is A.kernel_sup
    assert {"net_sup", "logger_sup"} <= {child.name.name for child in kernel.children if child.name}
    [only] = app.tree("kernel")
    assert only.top is not None
    assert only.top.pid == kernel.pid


def test_a_supervisor_that_does_not_answer_costs_one_line(beam: Beam, app: RemoteNode) -> None:
    top = beam.eval("inspected:tree(30)")
    told = app.process(top).tree(limit=100, timeout=4.0)
    assert told.count == 32
    below = {str(child.id): child for child in told.children}
    assert below["stuck"].trouble == "late"
    assert below["inner"].children[0].id == b"one"
    cut = app.process(top).tree(limit=5, timeout=4.0)
    assert (len(cut.children), cut.cut) == (5, 27)
    assert [child.id for child in cut.children] == [(A.worker, n) for n in range(1, 6)]
    flat = app.process(top).tree(depth=1)
    assert next(child for child in flat.children if child.id is A.inner).trouble == "deep"
    beam.eval("exit(P, kill)", P=top)


def test_a_wide_supervisor_is_told_whole_when_asked_for(beam: Beam, app: RemoteNode) -> None:
    top = beam.eval("inspected:tree(1500)")
    told = app.process(top).tree(limit=5000)
    assert (told.count, len(told.children)) == (1502, 1502)
    beam.eval("exit(P, kill)", P=top)


def test_the_state_of_a_server(beam: Beam, app: RemoteNode) -> None:
    pid = started(beam, 'inspected:server(#{key => [1, "text"]})')
    told = app.process(pid).state()
    assert told.state == {A.key: [1, [116, 101, 120, 116]]}
    assert (told.queue, told.status) == (0, "waiting")
    assert app.process(pid).state(status=True).state[0] is A.status
    large = started(beam, "inspected:server(binary:copy(<<1>>, 1000000))")
    assert isinstance(app.process(large).state().state, Cut)
    beam.eval("exit(A, kill), exit(B, kill)", A=pid, B=large)


def test_a_state_is_not_asked_of_who_would_not_or_could_not_tell(beam: Beam, app: RemoteNode) -> None:
    plain = beam.eval("spawn(fun() -> receive stop -> ok end end)")
    with pytest.raises(Refused, match="not known to be an OTP process"):
        app.process(plain).state()
    assert beam.eval("element(2, process_info(P, message_queue_len))", P=plain) == 0
    busy = started(beam, "inspected:server(x)")
    beam.eval("gen_server:cast(P, {wait, 60000})", P=busy)
    with pytest.raises(Late, match=r"waiting in inspected:handle_cast/2|waiting in"):
        app.process(busy).state(timeout=0.5)
    beam.eval("[P ! x || _ <- lists:seq(1, 1001)], ok", P=busy)
    with pytest.raises(Refused, match="messages"):
        app.process(busy).state()
    beam.eval("exit(A, kill), exit(B, kill)", A=plain, B=busy)
    wait_for(lambda: not beam.eval("is_process_alive(P)", P=busy))
    with pytest.raises(NoSuchProcess):
        app.process(busy).state()


def test_the_tables_with_the_most_memory(beam: Beam, app: RemoteNode) -> None:
    owner = beam.eval("""Me = self(), P = spawn(fun() ->
        T = ets:new('The ünï table', [public, ordered_set]), [ets:insert(T, {I, I}) || I <- lists:seq(1, 100000)],
        Me ! {made, T}, receive stop -> ok end end), receive {made, _} -> P end""")
    told = app.ets(limit=2)
    first = told.rows[0]
    assert (first.name.name, first.size, first.type, first.owner) == ("The ünï table", 100_000, "ordered_set", owner)
    assert first.memory > 1_000_000
    assert told.cut == told.all - 2
    assert [t.name.name for t in app.ets(match="ÜNÏ").rows] == ["The ünï table"]
    assert app.ets("size", limit=1).rows[0].size == 100_000
    beam.eval("P ! stop", P=owner)


def test_ports_and_sockets_have_addresses(beam: Beam, app: RemoteNode) -> None:
    listen = """Me = self(), P = spawn(fun() -> {ok, L} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
        {ok, N} = inet:port(L), Me ! {port, N}, receive stop -> ok end end), receive {port, N} -> {P, N} end"""
    pid, number = beam.eval(listen)
    told = app.ports(limit=1000)
    mine = [port for port in told.rows if port.owner == pid]
    assert [port.local for port in mine] == [f"127.0.0.1:{number}"]
    assert [port.name for port in mine] == ["tcp_inet"]
    beam.eval("P ! stop", P=pid)


def test_applications_have_their_processes(app: RemoteNode) -> None:
    told = {application.name: application for application in app.applications()}
    assert told["kernel"].running
    assert told["kernel"].processes > 10
    assert told["stdlib"].processes == 0


def test_a_busy_scheduler_is_busy(beam: Beam, app: RemoteNode) -> None:
    pid = beam.eval("spawn(fun L() -> lists:seq(1, 1000), L() end)")
    told = app.schedulers(window=0.3)
    assert max(s.busy for s in told.busy if s.kind == "normal") > 0.3
    assert all(0.0 <= s.busy <= 1.0 for s in told.busy)
    assert beam.eval("erlang:statistics(scheduler_wall_time)") is A.undefined  # as it was before
    beam.eval("exit(P, kill)", P=pid)


def test_what_does_not_move_is_found_with_what_it_waits_for(beam: Beam, app: RemoteNode) -> None:
    server = started(beam, "inspected:server(x)")
    caller = beam.eval("inspected:caller(P)", P=server)
    deaf = beam.eval("P = spawn(fun() -> receive never -> ok end end), [P ! {job, I} || I <- lists:seq(1, 5)], P")
    found = {row.pid: row for row in app.stuck(window=0.2, limit=100).rows}
    assert found[deaf].queue == 5
    assert found[caller].waits_for == server
    assert found[caller].stack[0][:2] == (A.gen, A.do_call)
    assert server not in found
    beam.eval("[exit(P, kill) || P <- Ps], ok", Ps=[server, deaf])


def test_what_changes_something_is_not_for_one_who_reads(beam: Beam, app: RemoteNode, node: Any) -> None:
    pid = beam.eval("spawn(fun() -> receive stop -> ok end end)")
    for change in (app.process(pid).kill, app.process(pid).garbage_collect, lambda: app.eval("1 + 1.")):
        with pytest.raises(UsageError, match="only reads"):
            change()
    assert beam.eval("is_process_alive(P)", P=pid)
    with Cluster(node, timeout=patience(10.0), read_only=False) as cluster:
        mine = cluster.node(app.name)
        assert mine.eval("X = lists:sum([1, 2]), X * 2") == 6
        with pytest.raises(InspectError, match="no Erlang"):
            mine.eval("1 + ")
        with pytest.raises(InspectError, match="badarith"):
            mine.eval("1 / 0.")
        assert mine.process(pid).garbage_collect()[0] > 0
        mine.process(pid).kill()
        with pytest.raises(NoSuchProcess):
            mine.process(pid).kill()
    assert not beam.eval("is_process_alive(P)", P=pid)


def test_a_leak_is_what_has_changed_between_two_snapshots(beam: Beam, app: RemoteNode) -> None:
    before = app.snapshot()
    server = started(beam, "inspected:server(x)")
    leak = """[P ! {job, I} || I <- lists:seq(1, 5000)],
        spawn(fun() -> T = ets:new(leaking, []), [ets:insert(T, {I}) || I <- lists:seq(1, 5000)],
            receive stop -> ok end end)"""
    owner = beam.eval("sys:suspend(P), " + leak, P=server)
    wait_for(lambda: app.ets(match="leaking").rows and app.ets(match="leaking").rows[0].size == 5000)
    changes = {change.what: change.by for change in compare(before, app.snapshot())[:20]}
    assert changes["messages at processes of inspected:init/1"] == 5000
    assert changes["rows of tables leaking"] == 5000
    beam.eval("exit(A, kill), exit(B, kill)", A=server, B=owner)
