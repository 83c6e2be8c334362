"""Erlang's ``error``, ``exit`` and ``throw`` from Python: each way to run a function sees the same end of both."""

from collections.abc import Callable
from typing import Any

import pytest

from pyerlnode import A, Error, Exit, RemoteError, RemoteExit, RemoteThrow, RpcFailed, Throw
from pyerlnode.otp.task_supervisor import TaskSupervisor
from pyerlnode.schema import ElixirError
from pyerlnode.term import Struct
from pyerlnode.testing.beam import Beam

ENDS = [
    "{return, ok}", "{error, oops}", "{error, {badkey, a}}", "{error, {oops, [{m, f, 1, []}]}}", "{error, undef}",
    "{exit, oops}", "{exit, normal}", "{exit, {oops, [{m, f, 1, []}]}}", "{exit, {shutdown, x}}",
    "{throw, ball}", "{throw, {error, oops}}", "{throw, {'EXIT', oops}}",
]  # fmt: skip


def does(what: Any) -> Any:
    match what:
        case (A.error, reason):
            raise Error(reason)
        case (A.exit, reason):
            raise Exit(reason)
        case (A.throw, term):
            raise Throw(term)
    return what[1]


def does_as_of_a_peer(what: Any) -> Any:
    """As a function that lets the end of a remote one through."""
    match what:
        case (A.error, reason):
            raise RemoteError(reason, [(A.m, A.f, 1, [])])
        case (A.exit, reason):
            raise RemoteExit(reason)
        case (A.throw, term):
            raise RemoteThrow(term)
    return what[1]


@pytest.mark.parametrize("function", [does, does_as_of_a_peer])
@pytest.mark.parametrize("end", ENDS)
def test_every_way_to_run_a_function_sees_erlangs_end(
    helper: Callable[[str], Beam], node: Any, end: str, function: Any
) -> None:
    beam = helper("raises.erl")
    node.export("raises", function, name="does")
    erlang = beam.text(f"raises:seen(node(), {end})")
    assert beam.text(f"raises:seen(N, {end})", N=A[node.name]) == erlang


def test_an_exception_of_elixir_ends_a_process_as_raise_does(beam: Beam, node: Any) -> None:
    struct = Struct(A.Elixir.ArgumentError, {A["__exception__"]: True, A.message: b"no"})

    def fails() -> None:
        raise ElixirError(struct)

    node.export("raises", fails, name="fails")
    caught = "receive {'DOWN', R, _, P, {#{message := M}, [{_, F, 0, _} | _]}} -> {M, F} end"
    source = f"{{P, R}} = spawn_monitor(N, raises, fails, []), {caught}"
    assert beam.eval(source, N=A[node.name]) == (b"no", A.fails)


def test_a_failed_call_that_is_let_through_is_the_error_that_it_is_on_a_beam(beam: Beam, node: Any) -> None:
    def fails() -> None:
        raise RpcFailed(A.noconnection)

    def signalled() -> None:
        raise RpcFailed((A.signal, A.killed))

    node.export("raises", {"fails": fails, "signalled": signalled})
    source = "{P, R} = spawn_monitor(N, raises, F, []), receive {'DOWN', R, _, P, Reason} -> Reason end"
    assert beam.eval(source, N=A[node.name], F=A.fails)[0] == (A.erpc, A.noconnection)
    assert beam.eval(source, N=A[node.name], F=A.signalled) == (A.signal, A.killed)
    lost = "try erpc:call(N, erpc, call, [nosuch@nohost, m, f, []]) catch error:{exception, R, [_ | _]} -> R end"
    assert beam.eval(lost, N=beam.node) == (A.erpc, A.noconnection)
    assert beam.eval(
        "try erpc:call(N, raises, fails, []) catch error:{exception, R, [_ | _]} -> R end", N=A[node.name]
    ) == (
        A.erpc,
        A.noconnection,
    )


@pytest.mark.beam(elixir=True)
@pytest.mark.parametrize("end", ["{error, oops}", "{exit, oops}", "{throw, ball}", "{exit, normal}"])
def test_a_task_ends_as_elixirs(helper: Callable[[str], Beam], node: Any, end: str) -> None:
    beam = helper("raises.erl")
    what = beam.eval(end)
    source = """
    {:ok, s} = Task.Supervisor.start_link()
    case Task.yield(Task.Supervisor.async_nolink(s, :raises, :does, [w]), 60_000) do
      {:exit, {reason, [{_, _, _, _} | _]}} -> {:exit, {reason, :stack}}
      other -> other
    end
    """
    elixir = beam.elixir(source, w=what)
    supervisor = TaskSupervisor.start_link(on=node.system)
    python = TaskSupervisor.async_nolink(supervisor, does, what, on=node.system).yield_()
    if type(python[1]) is tuple and type(python[1][1]) is list:
        python = A.exit, (python[1][0], A.stack)
    assert python == elixir
