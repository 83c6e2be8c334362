"""Elixir's Supervisor and DynamicSupervisor with Python servers as children, through nothing but OTP's `erpc`."""

from typing import Any

import pytest

from pyerlnode import A, GenServer, Ignore, Reply, Stop
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import Heartbeat
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.beam(elixir=True)

START = """
Process.flag(:trap_exit, true)
spec = fn id, args, more ->
  Map.merge(%{id: id, start: {:erpc, :call, [n, Calc, :start_link, args]}}, Map.new(more))
end
child = fn sup, id -> {_, pid, _, _} = List.keyfind(Supervisor.which_children(sup), id, 0); pid end
ended = fn pid, why ->
  ref = Process.monitor(pid); GenServer.cast(pid, {:stop, why})
  receive do {:DOWN, ^ref, _, _, reason} -> reason after 60000 -> :still_there end
end
"""


class Calc(GenServer):
    log: list[Any] = []  # noqa: RUF012 - what the tests look at

    def init(self, value: Any = 0, slow: Any = False) -> Any:
        if value is A.ignore:
            return Ignore()
        if value is A.stop:
            return Stop(A.not_today)
        if value is A.crash:
            raise ValueError("not today")
        self.process.trap_exit = True
        self.value, self.slow = value, slow
        return None

    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(self.value)

    def handle_cast(self, request: Any) -> Any:
        return Stop(request[1])

    def terminate(self, reason: Any) -> None:
        self.log.append((self.value, reason))
        if self.slow:
            from gevent import sleep

            sleep(30)


@pytest.fixture
def py(node: Any) -> Any:
    Calc.log.clear()
    node.export_server("Elixir.Calc", Calc)
    return node


def servers(node: Any) -> int:
    return sum(isinstance(process.handler, Calc) for process in node.system.processes.values())


def test_a_python_server_is_a_linked_child_and_ends_with_its_supervisor(beam: Beam, py: Any) -> None:
    seen = beam.elixir(
        START
        + """
        {:ok, sup} = Supervisor.start_link([spec.(:a, [1], []), spec.(:b, [2], [])], strategy: :one_for_one)
        a = child.(sup, :a)
        {:links, links} = Process.info(sup, :links)
        seen = {a in links, node(a) == n, GenServer.call(a, :value), length(Supervisor.which_children(sup))}
        :ok = Supervisor.stop(sup, :shutdown)
        seen
        """,
        n=A[py.name],
    )
    assert seen == (True, True, 1, 2)
    wait_for(lambda: servers(py) == 0)
    assert Calc.log == [(2, A.shutdown), (1, A.shutdown)], "in reverse order, by terminate"


@pytest.mark.parametrize(
    ("restart", "reason", "again"),
    [
        ("permanent", "normal", True),
        ("permanent", "boom", True),
        ("transient", "normal", False),
        ("transient", "shutdown", False),
        ("transient", "boom", True),
        ("temporary", "boom", False),
    ],
)
def test_each_restart_type_is_kept(beam: Beam, py: Any, restart: str, reason: str, again: bool) -> None:
    count = beam.elixir(
        START
        + """
        {:ok, sup} = Supervisor.start_link([spec.(:a, [1], restart: restart)], strategy: :one_for_one)
        old = child.(sup, :a)
        ^reason = ended.(old, reason)
        new = case Supervisor.which_children(sup) do [{_, p, _, _}] when is_pid(p) -> p; _ -> nil end
        Supervisor.stop(sup)
        new != nil and new != old
        """,
        n=A[py.name], restart=A[restart], reason=A[reason],
    )  # fmt: skip
    assert count is again
    wait_for(lambda: servers(py) == 0)


@pytest.mark.parametrize(
    ("strategy", "renewed"), [("one_for_one", "b"), ("rest_for_one", "bc"), ("one_for_all", "abc")]
)
def test_each_strategy_restarts_what_otp_restarts(beam: Beam, py: Any, strategy: str, renewed: str) -> None:
    seen = beam.elixir(
        START
        + """
        {:ok, sup} = Supervisor.start_link(for(id <- [:a, :b, :c], do: spec.(id, [id], [])), strategy: strategy)
        old = for id <- [:a, :b, :c], do: child.(sup, id)
        ended.(Enum.at(old, 1), :boom)
        new = for id <- [:a, :b, :c], do: child.(sup, id)
        Supervisor.stop(sup)
        for {id, o, m} <- Enum.zip([[:a, :b, :c], old, new]), o != m, do: id
        """,
        n=A[py.name], strategy=A[strategy],
    )  # fmt: skip
    assert seen == [A[id] for id in renewed]


def test_shutdown_times_are_kept_over_the_wire(beam: Beam, py: Any) -> None:
    with Heartbeat() as heart:
        times = beam.elixir(
            START
            + """
        for {shutdown, slow} <- [{:brutal_kill, true}, {80, true}, {5000, false}] do
          {:ok, sup} = Supervisor.start_link([spec.(:a, [1, slow], shutdown: shutdown)], strategy: :one_for_one)
          ref = Process.monitor(child.(sup, :a))
          {time, :ok} = :timer.tc(fn -> Supervisor.stop(sup) end)
          {div(time, 1000), receive do {:DOWN, ^ref, _, _, why} -> why after 60000 -> nil end}
        end
        """,
            n=A[py.name],
        )
    (at_once, killed), (late, too_late), (soon, asked) = times
    assert (killed, too_late, asked) == (A.killed, A.killed, A.shutdown)
    slack = 2000 * heart.late
    assert at_once < 70 + slack
    assert 80 <= late < 2000 + slack
    assert soon < 2000 + slack


def test_a_start_that_fails_is_the_supervisors_error(beam: Beam, py: Any) -> None:
    seen = beam.elixir(
        START
        + """
        {:ok, sup} = Supervisor.start_link([], strategy: :one_for_one)
        for what <- [:ignore, :stop, :crash], do: Supervisor.start_child(sup, spec.(what, [what], []))
        """,
        n=A[py.name],
    )
    assert seen[0] == (A.ok, A.undefined)
    assert seen[1][1][0] is A.not_today
    assert seen[2][1][0][:3] == (A.python_error, b"ValueError", b"not today")
    assert servers(py) == 0


def test_intensity_ends_the_supervisor_with_what_it_has(beam: Beam, py: Any) -> None:
    reason = beam.elixir(
        START
        + """
        children = [spec.(:a, [1], []), spec.(:b, [2], [])]
        {:ok, sup} = Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 2)
        for _ <- 1..3, do: ended.(child.(sup, :a), :boom)
        receive do {:EXIT, ^sup, why} -> why after 60000 -> nil end
        """,
        n=A[py.name],
    )
    assert reason is A.shutdown
    wait_for(lambda: servers(py) == 0)


def test_a_lost_connection_is_noconnection_and_the_child_is_restarted(beam: Beam, py: Any) -> None:
    seen = beam.elixir(
        START
        + """
        {:ok, sup} = Supervisor.start_link([spec.(:a, [1], [])], strategy: :one_for_one)
        old = child.(sup, :a)
        ref = Process.monitor(old)
        true = :erlang.disconnect_node(n)
        why = receive do {:DOWN, ^ref, _, _, why} -> why after 60000 -> nil end
        new = child.(sup, :a)
        seen = {why, new != old, GenServer.call(new, :value)}
        Supervisor.stop(sup)
        seen
        """,
        n=A[py.name],
    )
    assert seen == (A.noconnection, True, 1)
    wait_for(lambda: servers(py) == 0)
    assert (1, A.noconnection) in Calc.log, "the one whose supervisor is gone has ended"


def test_child_spec_comes_from_python_and_serves_a_dynamic_supervisor(beam: Beam, py: Any) -> None:
    py.export_server("Elixir.Mild", Calc, restart="transient", shutdown=0.5)
    seen = beam.elixir(
        """
        Process.flag(:trap_exit, true)
        spec = :erpc.call(n, Mild, :child_spec, [7])
        {:ok, sup} = DynamicSupervisor.start_link(strategy: :one_for_one)
        {:ok, pid} = DynamicSupervisor.start_child(sup, spec)
        value = GenServer.call(pid, :value)
        :ok = DynamicSupervisor.terminate_child(sup, pid)
        Supervisor.stop(sup)
        {value, spec}
        """,
        n=A[py.name],
    )
    assert seen[0] == 7
    assert seen[1] == {
        A.id: A.Elixir.Mild, A.start: (A.erpc, A.call, [A[py.name], A.Elixir.Mild, A.start_link, [7]]),
        A.restart: A.transient, A.shutdown: 500, A.type: A.worker, A.modules: [A.erpc], A.significant: False,
    }  # fmt: skip


def test_a_caller_that_dies_meanwhile_leaves_no_server(beam: Beam, py: Any) -> None:
    class Slow(Calc):
        def init(self, *_: Any) -> None:
            from gevent import sleep

            sleep(0.1)

    py.export_server("Elixir.Slow", Slow)
    why = beam.elixir(
        "try do :erpc.call(n, Slow, :start_link, [], 20) catch k, why -> {k, why} end", n=A[py.name]
    )  # fmt: skip
    assert why == (A.error, (A.erpc, A.timeout))
    wait_for(lambda: servers(py) == 0)
    beam.elixir("spawn(fn -> :erpc.call(n, Slow, :start_link, []) end) |> Process.exit(:kill)", n=A[py.name])
    wait_for(lambda: servers(py) == 0)


def test_start_link_without_one_who_waits_starts_nothing(beam: Beam, py: Any) -> None:
    beam.elixir(":erpc.cast(n, Calc, :start_link, [1])", n=A[py.name])
    assert beam.elixir(":erpc.call(n, Calc, :start, [1]) |> elem(0)", n=A[py.name]) is A.ok
    assert servers(py) == 1
