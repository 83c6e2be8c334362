"""Elixir's own modules on trees in Python: Supervisor, DynamicSupervisor, Task.Supervisor, Agent; and the reverse."""

from typing import Any

import pytest

from pyerlnode import A, GenServer, Reply, receive
from pyerlnode.errors import StartFailed
from pyerlnode.otp.agent import Agent
from pyerlnode.otp.application import Application, Applications
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.supervisor import Supervise, Supervisor, SupervisorError
from pyerlnode.otp.task_supervisor import TaskSupervisor
from pyerlnode.otp.where import start_link
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam

pytestmark = pytest.mark.beam(elixir=True)


class Worker(GenServer):
    def init(self, value: Any = None) -> None:
        self.value = value

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(self.value)


class Tree(Supervisor):
    def init(self) -> Supervise:
        return Supervise(
            [
                child_spec(Worker, 1, id="one"),
                child_spec(Worker, 2, id="two", restart="transient", shutdown="brutal_kill"),
                child_spec(DynamicSupervisor, id="rooms"),
                child_spec(Worker, object(), id="opaque"),
            ]
        )


@pytest.fixture
def tree(node: Any) -> Pid:
    node.export("Elixir.Worker", begin, "start_link")
    return node.start(Tree, name="tree")


def begin(value: Any) -> Any:
    return A.ok, start_link(Worker, value)


def fail(_: Any) -> Any:
    raise ValueError("not today")


def test_which_children_and_count_children(beam: Beam, node: Any, tree: Pid) -> None:
    children = beam.elixir("Supervisor.which_children({:tree, n})", n=A[node.name])
    assert [(id, type) for id, _, type, _ in children] == [
        (A.opaque, A.worker), (A.rooms, A.supervisor), (A.two, A.worker), (A.one, A.worker)
    ]  # fmt: skip
    assert all(isinstance(pid, Pid) for _, pid, _, _ in children)
    counts = beam.elixir("Supervisor.count_children(pid)", pid=tree)
    assert counts == {A.specs: 4, A.active: 4, A.supervisors: 1, A.workers: 3}


def test_a_walk_down_the_tree_meets_every_process(beam: Beam, node: Any, tree: Pid) -> None:
    walk = """
    walk = fn walk, pid ->
      for {id, child, type, _} <- Supervisor.which_children(pid), into: %{} do
        {id, if(type == :supervisor, do: walk.(walk, child), else: GenServer.call(child, :value))}
      end
    end
    walk.(walk, pid)
    """
    node.system.process(
        next(p for i, p, _, _ in Supervisor.which_children(tree, on=node) if i is A.opaque)
    ).handler.value = 4
    assert beam.elixir(walk, pid=tree) == {A.one: 1, A.two: 2, A.rooms: {}, A.opaque: 4}


def test_terminate_restart_delete_and_start_child(beam: Beam, node: Any, tree: Pid) -> None:
    seen = beam.elixir(
        """
        [
          Supervisor.terminate_child(pid, :one),
          Supervisor.delete_child(pid, :two),
          match?({:ok, _}, Supervisor.restart_child(pid, :one)),
          Supervisor.terminate_child(pid, :two),
          Supervisor.delete_child(pid, :two),
          Supervisor.restart_child(pid, :two),
          match?({:ok, _}, Supervisor.start_child(pid, %{id: :three, start: {Worker, :start_link, [3]}})),
          match?({:error, {:already_started, _}},
            Supervisor.start_child(pid, %{id: :three, start: {Worker, :start_link, [3]}})),
          match?({:error, {{:EXIT, {:undef, _}}, _}},
            Supervisor.start_child(pid, %{id: :four, start: {Worker, :secret, [3]}}))
        ]
        """,
        pid=tree,
    )  # fmt: skip
    error = (A.error, A.running)
    assert seen == [A.ok, error, True, A.ok, A.ok, (A.error, A.not_found), True, True, True]
    three = next(pid for id, pid, _, _ in Supervisor.which_children(tree, on=node) if id is A.three)
    assert node.call(three, A.value) == 3


def test_get_childspec_tells_milliseconds_and_hides_what_has_no_form(beam: Beam, tree: Pid) -> None:
    spec = beam.elixir("{:ok, spec} = :supervisor.get_childspec(pid, :two); spec", pid=tree)
    module = A[f"{__name__}.Worker"]
    assert spec == {
        A.id: A.two, A.start: (module, A.start_link, [2]), A.restart: A.transient, A.significant: False,
        A.shutdown: A.brutal_kill, A.type: A.worker, A.modules: [module],
    }  # fmt: skip
    opaque = beam.elixir("{:ok, spec} = :supervisor.get_childspec(pid, :opaque); spec", pid=tree)
    assert opaque[A.start][2][0].startswith(b"<object object")
    assert beam.elixir("Supervisor.count_children(pid).active", pid=tree) == 4


def test_sys_and_stop_work_on_a_tree(beam: Beam, node: Any, tree: Pid) -> None:
    assert beam.elixir(":supervisor.get_callback_module(pid)", pid=tree) is A[f"{__name__}.Tree"]
    assert beam.elixir(":sys.suspend(pid); :sys.resume(pid)", pid=tree) is A.ok
    assert beam.elixir("elem(:sys.get_state(pid), 2)", pid=tree) is A.one_for_one
    assert beam.elixir("Supervisor.stop(pid, :shutdown)", pid=tree) is A.ok
    assert node.whereis("tree") is None


def test_a_child_killed_from_elixir_is_restarted(beam: Beam, node: Any, tree: Pid) -> None:
    beam.elixir(
        """
        {_, old, _, _} = List.keyfind(Supervisor.which_children(pid), :one, 0)
        ref = Process.monitor(old)
        Process.exit(old, :kill)
        receive do {:DOWN, ^ref, _, _, :killed} -> :ok end
        {_, new, _, _} = List.keyfind(Supervisor.which_children(pid), :one, 0)
        1 = GenServer.call(new, :value)
        true = new != old
        """,
        pid=tree,
    )


def test_dynamic_supervisor_from_elixir(beam: Beam, node: Any) -> None:
    node.export("Elixir.Worker", begin, "start_link")
    pool = node.start(DynamicSupervisor, max_children=2, name="pool")
    seen = beam.elixir(
        """
        spec = %{id: :x, start: {Worker, :start_link, [5]}, restart: :temporary}
        {:ok, one} = DynamicSupervisor.start_child(pool, spec)
        {:ok, two} = DynamicSupervisor.start_child({:pool, n}, spec)
        5 = GenServer.call(one, :value)
        full = DynamicSupervisor.start_child(pool, spec)
        ok = DynamicSupervisor.terminate_child(pool, one)
        not_found = DynamicSupervisor.terminate_child(pool, one)
        [{:undefined, ^two, :worker, [Worker]}] = DynamicSupervisor.which_children(pool)
        {full, ok, not_found, DynamicSupervisor.count_children(pool)}
        """,
        pool=pool, n=A[node.name],
    )  # fmt: skip
    counts = {A.specs: 1, A.active: 1, A.supervisors: 0, A.workers: 1}
    assert seen == ((A.error, A.max_children), A.ok, (A.error, A.not_found), counts)


def test_task_supervisor_from_elixir_runs_exported_functions(beam: Beam, node: Any) -> None:
    node.export("Elixir.Model", {"predict": lambda x: x * 2, "fail": fail, "wait": lambda: receive()})
    node.start(TaskSupervisor, name="tasks")
    where = "sup = {:tasks, n}; "
    await_ = "Task.Supervisor.async(sup, Model, :predict, [21]) |> Task.await()"
    assert beam.elixir(where + await_, n=A[node.name]) == 42
    many = "for x <- 1..5, do: Task.Supervisor.async_nolink(sup, Model, :predict, [x])"
    assert beam.elixir(f"{where} Task.await_many({many})", n=A[node.name]) == [2, 4, 6, 8, 10]
    failed = "Task.Supervisor.async_nolink(sup, Model, :fail, [1]) |> Task.yield(5000)"
    what, reason = beam.elixir(where + failed, n=A[node.name])
    assert what is A.exit
    assert reason[:3] == (A.python_error, b"ValueError", b"not today")
    late = "Task.Supervisor.async_nolink(sup, Model, :wait, []) |> Task.shutdown(:brutal_kill)"
    assert beam.elixir(where + late, n=A[node.name]) is None
    child = "{:ok, pid} = Task.Supervisor.start_child(sup, Model, :wait, []); Task.Supervisor.children(sup) == [pid]"
    assert beam.elixir(where + child, n=A[node.name]) is True


def test_agent_from_elixir_with_exported_functions(beam: Beam, node: Any) -> None:
    node.export("Elixir.Bag", {"add": lambda bag, x: [*bag, x], "take": lambda bag: (bag, [])})
    agent = Agent.start(list, name="bag", on=node)
    assert beam.elixir("Agent.update({:bag, n}, Bag, :add, [1])", n=A[node.name]) is A.ok
    assert beam.elixir("Agent.cast({:bag, n}, Bag, :add, [2])", n=A[node.name]) is A.ok
    assert beam.elixir("Agent.get_and_update(pid, Bag, :take, [])", pid=agent) == [1, 2]
    assert Agent.get(agent, lambda bag: bag, on=node) == []


def test_applications_are_listed_on_the_beam(beam: Beam, node: Any) -> None:
    class Shop(Application):
        name = "shop"
        description = "sells"
        vsn = "1.0"

        def start(self, type: str, args: Any) -> Any:
            return Supervisor.start_link([])

    apps = Applications.of(node)
    apps.start(Shop)
    listed = beam.eval("gen_server:call({application_controller, N}, which_applications)", N=A[node.name])
    assert listed == [(A.shop, list(b"sells"), list(b"1.0"))]
    apps.stop_all()


# --- Python asks a tree on the BEAM ------------------------------------------------------------
def test_python_manages_a_supervisor_on_the_beam(beam: Beam, node: Any) -> None:
    sup = beam.elixir(
        """
        child = %{id: :a, start: {Agent, :start_link, [Map, :new, []]}}
        {:ok, pid} = Supervisor.start_link([child], strategy: :one_for_one)
        Process.unlink(pid)
        pid
        """
    )  # fmt: skip
    assert Supervisor.count_children(sup, on=node)["active"] == 1
    child = {"id": "b", "start": (A.Elixir.Agent, A.start_link, [A.Elixir.Map, A.new, []])}
    pid = Supervisor.start_child(sup, child, on=node)
    assert pid is not None
    Agent.update(pid, (A.Elixir.Map, A.put, [A.key, 1]), on=node)
    assert Agent.get(pid, (A.Elixir.Map, A.get, [A.key]), on=node) == 1
    with pytest.raises(StartFailed) as caught:
        Supervisor.start_child(sup, child, on=node)
    assert caught.value.reason == (A.already_started, pid)
    Supervisor.terminate_child(sup, "b", on=node)
    Supervisor.delete_child(sup, "b", on=node)
    with pytest.raises(SupervisorError, match="not_found"):
        Supervisor.get_childspec(sup, "b", on=node)


def test_a_child_of_a_python_supervisor_may_live_on_the_beam(beam: Beam, node: Any) -> None:
    started: list[Pid] = []

    def begin() -> Pid:
        """What a start function does for a process elsewhere: start it there, link it here."""
        pid = node.rpc(beam.name, "erlang", "spawn", [A.timer, A.sleep, [A.infinity]])
        node.link(pid)
        started.append(pid)
        return pid

    sup = node.start(Supervisor, [{"id": "remote", "start": begin, "shutdown": 1}])
    beam.eval("exit(P, boom)", P=started[0])
    beam.wait_until("not is_process_alive(P)", P=started[0])
    beam.wait_until("[{remote, P, _, _}] = gen_server:call(S, which_children), P =/= Old", S=sup, Old=started[0])
    assert beam.eval("is_process_alive(P)", P=started[1]) is True
    Supervisor.terminate_child(sup, "remote", on=node)
    assert beam.eval("is_process_alive(P)", P=started[1]) is False


def test_an_observer_walks_the_whole_tree_and_looks_into_each_process(beam: Beam, node: Any, tree: Pid) -> None:
    walk = """
    look = fn pid ->
      {:status, ^pid, {:module, _}, [dictionary, :running, parent, _, _]} = :sys.get_status(pid)
      info = :rpc.call(node(pid), :erlang, :process_info, [pid, [:registered_name, :links, :status, :memory]])
      {_, _, arity} = :rpc.call(node(pid), :proc_lib, :translate_initial_call, [pid])
      {_, ancestors} = List.keyfind(dictionary, :"$ancestors", 0)
      :waiting = info[:status]
      true = is_integer(info[:memory])
      {is_pid(parent), parent in info[:links] or info[:registered_name] == :tree, ancestors != [], arity}
    end
    walk = fn walk, pid ->
      [look.(pid) | (for {_, child, type, _} <- :supervisor.which_children(pid) do
        if(type == :supervisor, do: walk.(walk, child), else: look.(child))
      end)]
    end
    gone = :rpc.call(node(pid), :erlang, :process_info, [:c.pid(0, 0, 0), :status])
    {List.flatten(walk.(walk, pid)), match?({:badrpc, _}, gone)}
    """
    seen, refused = beam.elixir(walk, pid=tree)
    assert len(seen) == 5
    assert all(one[:3] == (True, True, True) for one in seen)
    assert refused is True
    names = beam.elixir("for p <- :rpc.call(n, :erlang, :processes, []), do: is_pid(p)", n=A[node.name])
    assert len(names) > 5
    assert all(names)
