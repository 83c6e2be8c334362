"""Python supervisors with children on a BEAM: GenServers by OTP's own start protocol, and any start function."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.conftest import BEAM_SRC
from pyerlnode import A, Supervise, Supervisor
from pyerlnode.errors import NoProc, StartFailed
from pyerlnode.kernel.remote.child import child_of, remote_child, remote_server
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.beam(elixir=True)


@pytest.fixture
def app(helper: Callable[[str], Beam]) -> Beam:
    return helper("stock.ex")


class Tree(Supervisor):
    def init(self, *children: Any) -> Supervise:
        return Supervise(list(children))


@pytest.fixture
def grown(node: Any) -> Callable[..., Pid]:
    return lambda *children: node.start(Tree, *children)


def child(node: Any, tree: Pid, id: Any) -> Any:
    return next(pid for i, pid, _, _ in Supervisor.which_children(tree, on=node) if i is A[id])


def test_a_genserver_of_the_beam_is_a_child_whose_parent_is_the_supervisor(app: Beam, node: Any, grown: Any) -> None:
    tree = grown(remote_server(app.name, "Elixir.Stock", 41, name="stock", id="stock"))
    pid = child(node, tree, "stock")
    assert pid.node is app.node
    assert node.call(("stock", app.name), A.get) == 41
    assert node.call(pid, A.parent) == tree
    app.elixir("GenServer.cast(:stock, {:stop, :boom})")
    wait_for(lambda: child(node, tree, "stock") not in (pid, A.restarting))
    assert node.call(("stock", app.name), A.get) == 41
    node.stop_process(tree, A.shutdown)
    app.wait_until("whereis(stock) =:= undefined")


@pytest.mark.parametrize("make", ["server", "child"])
def test_shutdown_reaches_terminate_over_the_wire_and_its_time_is_kept(
    app: Beam, node: Any, grown: Any, make: str
) -> None:
    me = node.self_()

    def spec(state: Any, **options: Any) -> Any:
        if make == "server":
            return remote_server(app.name, "Elixir.Stock", state, id="stock", **options)
        return remote_child(app.name, "Elixir.Stock", "start_link", [state], id="stock", **options)

    tree = grown(spec((A.tell, me)))
    node.stop_process(tree, A.shutdown)
    assert node.receive(timeout=patience()) == (A.ends, A.shutdown)
    tree = grown(spec((A.slow, me), shutdown=0.1))
    pid = child(node, tree, "stock")
    ref = node.monitor(pid)
    node.stop_process(tree, A.shutdown)
    assert node.receive((A.ends, A.shutdown), timeout=patience())
    assert node.receive(timeout=patience()) == (A.DOWN, ref, A.process, pid, A.killed)


def test_a_start_function_of_the_beam_is_a_child_through_the_process_that_called_it(
    app: Beam, node: Any, grown: Any
) -> None:
    tree = grown(remote_child(app.name, "Elixir.Stock", "start_link", [7], id="stock", restart="transient"))
    node.self_()

    def behind() -> Pid:
        return child_behind(node, child(node, tree, "stock"))

    first = behind()
    assert node.call(first, A.get) == 7
    node.exit(first, A.kill)
    wait_for(lambda: isinstance(child(node, tree, "stock"), Pid) and behind() != first)
    node.cast(behind(), (A.stop, A.normal))
    wait_for(lambda: child(node, tree, "stock") is A.undefined)
    node.stop_process(tree, A.shutdown)


def child_behind(node: Any, keeper: Pid) -> Pid:
    found: list[Pid] = []
    _, ref = node.spawn_monitor(lambda: found.append(child_of(keeper)))
    wait_for(lambda: bool(found))
    node.demonitor(ref, flush=True)
    return found[0]


def test_what_init_and_start_functions_refuse_is_the_start_error(app: Beam, node: Any, grown: Any) -> None:
    tree = grown()
    for spec in (
        remote_server(app.name, "Elixir.Stock", A.ignore, id="a"),
        remote_child(app.name, "Elixir.Stock", "start_link", [A.ignore], id="b"),
    ):
        assert Supervisor.start_child(tree, spec, on=node) is None
    for spec, reason in (
        (remote_server(app.name, "Elixir.Stock", A.stop, id="c"), A.sold_out),
        (remote_child(app.name, "Elixir.Stock", "start_link", [A.stop], id="d"), A.sold_out),
        (remote_child("nobody@127.0.0.1", "m", "f", id="e"), (A.nodedown, A["nobody@127.0.0.1"])),
    ):
        with pytest.raises(StartFailed) as refused:
            Supervisor.start_child(tree, spec, on=node)
        assert refused.value.reason[0] == reason
    no_function = remote_child(app.name, "Elixir.Stock", "nothing", id="f")
    with pytest.raises(StartFailed, match="undef"):
        Supervisor.start_child(tree, no_function, on=node)
    assert node.receive(timeout=0, default=None) is None
    node.stop_process(tree, A.shutdown)


def test_a_supervisor_of_the_beam_is_a_child(app: Beam, node: Any, grown: Any) -> None:
    tree = grown(remote_server(app.name, "Elixir.StockTree", 5, name="stocks", behaviour="supervisor"))
    [(_, pid, _, _)] = node.rpc(app.name, "Elixir.Supervisor", "which_children", [A.stocks])
    assert node.call(pid, A.get) == 5
    node.stop_process(tree, A.shutdown)
    app.wait_until("whereis(stocks) =:= undefined")
    with pytest.raises(NoProc):
        node.call(pid, A.get)


def test_a_child_is_started_on_another_peer_when_one_is_gone(app: Beam, beam_factory: Any, python: Any) -> None:
    other = beam_factory(elixir=True)
    other.load(BEAM_SRC / "stock.ex")
    node = python(cookies={other.name: other.cookie})
    tree = node.start(Tree, remote_server([other.name, app.name], "Elixir.Stock", 1, id="stock"))
    assert child(node, tree, "stock").node is other.node
    other.kill9()
    wait_for(lambda: getattr(child(node, tree, "stock"), "node", None) is app.node)
    assert node.call(child(node, tree, "stock"), A.get) == 1
    node.stop_process(tree, A.shutdown)


def test_a_lost_connection_ends_what_the_supervisor_had_there(app: Beam, node: Any, grown: Any) -> None:
    tree = grown(
        remote_server(app.name, "Elixir.Stock", 1, id="one"),
        remote_child(app.name, "Elixir.Stock", "start_link", [2], id="two"),
    )
    before = [child(node, tree, id) for id in ("one", "two")]
    node.disconnect(app.name)
    wait_for(lambda: all(isinstance(child(node, tree, id), Pid) for id in ("one", "two")))
    wait_for(lambda: child(node, tree, "one") != before[0] and child(node, tree, "two") != before[1])
    app.wait_until(
        "length([P || P <- processes(), {dictionary, D} <- [process_info(P, dictionary)],"
        " proplists:get_value('$initial_call', D) =:= {'Elixir.Stock', init, 1}]) =:= 2"
    )
    node.stop_process(tree, A.shutdown)
