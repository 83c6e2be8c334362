"""Workers: OS processes behind pids, called, killed and supervised from Elixir and from Python."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from interop_tests.worker_targets import Account, ask, double, misbehave, raising
from pyerlnode import A, Supervise, Supervisor, child_spec
from pyerlnode.errors import CallTimeout, ServerExit, UsageError
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.workers.pool import WorkerPool
from pyerlnode.workers.spares import Spares, shelf_of
from pyerlnode.workers.worker import Worker

pytestmark = pytest.mark.beam(elixir=True)
DESK = Path(__file__).parent / "beam_src" / "desk.erl"


class Misbehaving(Worker):
    """What others may start is said here: they give no names of modules."""

    def init(self) -> Any:
        return super().init(misbehave, spares=2)


def runs(os_pid: int) -> bool:
    try:
        os.kill(os_pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_function_in_an_os_process_answers_both_sides(beam: Beam, node: Any) -> None:
    pid = node.start(Worker, double, name="double")
    assert node.call(pid, 21) == 42
    assert beam.elixir("GenServer.call({:double, n}, 21)", n=A[node.name]) == 42
    assert beam.elixir("GenServer.call(p, [1, 2])", p=pid) == [1, 2, 1, 2]


def test_a_server_in_an_os_process_is_a_server(beam: Beam, node: Any) -> None:
    pid = node.start(Worker, Account, [5])
    seen = beam.elixir(
        "GenServer.cast(p, 3); {GenServer.call(p, :balance), :sys.get_state(p), GenServer.call(p, :os_pid)}",
        p=pid,
    )
    assert seen[0] == 8
    assert seen[1][A.balance] == 8
    assert seen[2] not in (os.getpid(), 0)
    stopped = "ref = Process.monitor(p); GenServer.call(p, :stop); receive do {:DOWN, ^ref, _, _, why} -> why end"
    assert beam.elixir(stopped, p=pid) is A.closed
    wait_for(lambda: not runs(seen[2]))


def test_exit_kill_is_sigkill(beam: Beam, node: Any) -> None:
    pid = node.start(Worker, misbehave)
    os_pid = node.call(pid, A.pid)
    node.cast(pid, A.spin)
    killed = "ref = Process.monitor(p); Process.exit(p, :kill); receive do {:DOWN, ^ref, _, _, why} -> why end"
    assert beam.elixir(killed, p=pid) is A.killed
    wait_for(lambda: not runs(os_pid))


@pytest.mark.parametrize(
    ("how", "options", "reason"),
    [
        ("segfault", {}, (A.os_signal, A.sigsegv)),
        ("exit", {}, (A.exit_status, 3)),
        ("memory", {"memory": 2 << 30}, A.out_of_memory),
        ("spin", {"time_limit": 0.1}, A.time_limit),
        ("sleep", {"time_limit": 0.1}, A.time_limit),
    ],
)
def test_each_way_to_end_is_a_reason(node: Any, how: str, options: Any, reason: Any) -> None:
    pid = node.start(Worker, misbehave, **options)
    with pytest.raises(ServerExit) as ended:
        node.call(pid, A[how])
    assert ended.value.reason[0] == reason
    assert not node.system.process(pid)


@pytest.mark.parametrize("kind", [Worker, WorkerPool])
def test_what_a_function_raises_is_the_exit_of_one_call_on_the_beam(beam: Beam, node: Any, kind: Any) -> None:
    node.start(kind, raising, name="raising", **({} if kind is Worker else {"size": 1}))
    raised, text, elsewhere, same = beam.elixir(
        """
        reason = fn request -> try do GenServer.call({:raising, n}, request) catch :exit, {reason, _} -> reason end end
        os_pid = reason.(:pid)
        raised = for how <- [:value_error, :sys_exit, :base_exception] do
          {:python_error, kind, message, [{_, :raising, 1, _}]} = reason.(how)
          {kind, message}
        end
        {:python_error, _, _, stack} = reason.(:value_error)
        task = fn -> {:links, links} = Process.info(self(), :links); {reason.(:exit), length(links)} end
        {raised, Exception.format_stacktrace(stack), Task.await(Task.async(task)), reason.(:pid) == os_pid}
        """,
        n=A[node.name],
    )
    foreign = b"interop_tests.worker_targets.Foreign"
    assert raised == [(b"ValueError", b"as asked"), (b"SystemExit", b"3"), (foreign, b"panic")]
    assert b"worker_targets.py" in text
    assert elsewhere == ((A.not_today, 1), 1)
    assert same


def test_a_signal_from_outside_is_a_reason(node: Any) -> None:
    pid = node.start(Worker, misbehave)
    node.self_()
    ref = node.monitor(pid)
    os.kill(node.call(pid, A.pid), signal.SIGKILL)
    assert node.receive(timeout=patience()) == (A.DOWN, ref, A.process, pid, (A.os_signal, A.sigkill))


def test_shutdown_runs_terminate_inside(node: Any) -> None:
    class Tree(Supervisor):
        def init(self) -> Supervise:
            return Supervise([child_spec(Worker, Account, [1], name="account")])

    tree = node.start(Tree)
    node.call("account", (A.tell, node.self_()))
    node.stop_process(tree, A.shutdown)
    assert node.receive(timeout=patience()) == (A.ended, A.shutdown)


def test_elixir_supervises_a_worker_and_a_spare_takes_its_place(beam: Beam, node: Any) -> None:
    def ready() -> list[int]:
        """The OS processes that stand by, when they do."""
        assert Worker.await_spares(misbehave, on=node) == Spares(2, 0)
        return [spare.pid for spare in shelf_of(node.system).stocks["interop_tests.worker_targets:misbehave"].ready]

    node.export_server("Elixir.Work", Misbehaving)
    node.export("Elixir.Spares", {"ready": ready})
    seen = beam.elixir(
        """
        Process.flag(:trap_exit, true)
        start = {:erpc, :call, [n, Work, :start_link, []]}
        {:ok, sup} = Supervisor.start_link([%{id: :w, start: start}], strategy: :one_for_one, max_restarts: 100)
        child = fn -> [{_, pid, _, _}] = Supervisor.which_children(sup); pid end
        seen = for _ <- 1..3 do
          spares = :erpc.call(n, Spares, :ready, [], 30_000)
          pid = child.()
          ref = Process.monitor(pid)
          :os.cmd('kill -KILL #{GenServer.call(pid, :pid)}')
          reason = receive do {:DOWN, ^ref, _, _, reason} -> reason end
          {reason, hd(spares) == GenServer.call(child.(), :pid)}
        end
        Supervisor.stop(sup)
        seen
        """,
        n=A[node.name],
    )
    assert seen == [((A.os_signal, A.sigkill), True)] * 3


def test_what_can_not_be_imported_is_refused_and_a_late_answer_is_a_time_out(node: Any) -> None:
    with pytest.raises(Exception, match="imports what it runs") as refused:
        node.start(Worker, lambda x: x)
    assert isinstance(refused.value.__cause__, UsageError)
    with pytest.raises(Exception, match="imports what it runs"):
        node.start(Worker, b"os:system")  # a text of a peer is no name of a module
    pid = node.start(Worker, misbehave)
    with pytest.raises(CallTimeout):
        node.call(pid, A.sleep, timeout=0.05)
    node.exit(pid, A.kill)  # it would not hear a `shutdown`


class Jobs(WorkerPool):
    """Two that misbehave."""

    def init(self) -> Any:
        return super().init(misbehave, size=2, spares=1, queue=1)


def test_elixir_supervises_a_pool_and_its_callers_exit_alone(beam: Beam, node: Any) -> None:
    node.export_server("Elixir.Jobs", Jobs)
    crashed, values, size, gone = beam.elixir(
        """
        Process.flag(:trap_exit, true)
        start = {:erpc, :call, [n, Jobs, :start_link, []]}
        {:ok, sup} = Supervisor.start_link([%{id: :p, start: start}], strategy: :one_for_one)
        [{_, pool, _, _}] = Supervisor.which_children(sup)
        stats = fn -> {:ok, stats} = :gen.call(pool, :"$worker_pool", :stats); stats end
        up = fn up -> if stats.().workers == 2, do: :ok, else: up.(up) end
        up.(up)
        reason = fn request -> try do GenServer.call(pool, request) catch :exit, {reason, _} -> reason end end
        crashed = for how <- [:segfault, :exit, :segfault], do: reason.(how)
        up.(up)
        values = Task.await_many(for _ <- 1..2, do: Task.async(fn -> is_integer(GenServer.call(pool, :pid)) end))
        {:monitors, monitors} = Process.info(self(), :monitors)
        state = stats.()
        ref = Process.monitor(pool)
        Supervisor.stop(sup)
        gone = receive do {:DOWN, ^ref, _, _, why} -> why end
        {crashed, values, {state.size, state.crashed, monitors}, gone}
        """,
        n=A[node.name],
    )
    segfault = (A.os_signal, A.sigsegv)
    assert crashed == [segfault, (A.exit_status, 3), segfault]
    assert values == [True, True]
    assert size == (2, 3, [])
    assert gone is A.shutdown


def test_callers_on_the_beam_are_told_when_the_queue_is_full(beam: Beam, node: Any) -> None:
    pool = node.start(Jobs)
    wait_for(lambda: WorkerPool.stats(pool, on=node)[A.workers] == 2)
    outcomes = beam.elixir(
        """
        quiet = for _ <- 1..3, do: spawn(fn -> GenServer.call(p, :sleep, :infinity) end)
        stats = fn -> {:ok, stats} = :gen.call(p, :"$worker_pool", :stats); stats end
        full = fn full -> case stats.() do %{busy: 2, waiting: 1} -> :ok; _ -> full.(full) end end
        full.(full)
        outcome = try do GenServer.call(p, :pid) catch :exit, {reason, _} -> reason end
        Enum.each(quiet, &Process.exit(&1, :kill))
        outcome
        """,
        p=pool,
    )
    assert outcomes == (A.pool_full, 1)
    node.exit(pool, A.kill)


def test_code_in_a_worker_calls_sends_and_watches_on_another_node(
    beam: Beam, beam_factory: Callable[..., Beam], node: Any
) -> None:
    other = beam_factory(cookie=beam.cookie, files=[DESK])
    desk = other.eval("desk:start(desk)")
    named = (A.desk, A[other.name])
    worker = node.start(Worker, ask)
    assert node.call(worker, (A.call, desk, (A.echo, [1]))) == (A.ok, [1])
    assert node.call(worker, (A.call, named, (A.echo, 2))) == (A.ok, 2)
    assert node.call(worker, (A.send, desk, A.sent)) is A.ok
    assert node.call(worker, (A.cast, named, A.thrown)) is A.ok
    assert node.call(desk, A.kept) == [(A.info, A.sent), (A.cast, A.thrown)]

    what, reason = node.call(worker, (A.call, desk, A.never, 0.05))
    assert (what, reason[0]) == (A.exit, A.timeout)
    what, reason = node.call(worker, (A.call, (A.nobody, named[1]), 1))
    assert (what, reason[0]) == (A.exit, A.noproc)
    what, reason = node.call(worker, (A.call, desk, (A.stop, A.gone)))
    assert (what, reason[0]) == (A.exit, A.gone)
    assert node.call(worker, (A.monitor, desk)) is A.noproc


def test_a_worker_that_calls_a_node_that_dies_is_told_so(
    beam: Beam, beam_factory: Callable[..., Beam], node: Any
) -> None:
    other = beam_factory(cookie=beam.cookie, files=[DESK])
    desk = other.eval("desk:start(desk)")
    worker = node.start(Worker, ask)
    assert node.call(worker, (A.call, desk, (A.echo, 1))) == (A.ok, 1)
    pending = gevent.spawn(node.call, worker, (A.call, desk, A.never, 30.0), 30.0)
    wait_for(lambda: other.eval("{_, L} = process_info(P, monitored_by), L", P=desk) != [])
    other.kill9()
    what, reason = pending.get()
    assert (what, reason[0]) == (A.exit, (A.nodedown, A[other.name]))
    what, reason = node.call(worker, (A.call, desk, 1))
    assert (what, reason[0]) == (A.exit, (A.nodedown, A[other.name]))
