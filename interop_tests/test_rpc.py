"""Remote functions: `rpc` and `erpc` from the BEAM to exported Python functions, and from Python to the BEAM."""

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from pyerlnode import A
from pyerlnode.errors import Exit, RemoteError, RemoteExit, RemoteThrow, RpcFailed, Throw
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import deadline
from pyerlnode.testing.waiting import wait_for


def add(one: int, other: int) -> int:
    return one + other


def fail(message: bytes) -> None:
    raise ValueError(message.decode())


def leave(reason: Any) -> None:
    raise Exit(reason)


def toss(value: Any) -> None:
    raise Throw(value)


@pytest.fixture
def calc(node: Any) -> Any:
    """A node that exports this module's functions as `calc`."""
    node.export("calc", {"add": add, "fail": fail, "leave": leave, "toss": toss, "sleep": gevent.sleep})
    return node


def caught(beam: Beam, node: Any, call: str) -> Any:
    """How `call` ends on the BEAM: {ok, Value} or {Class, Reason}."""
    return beam.eval(f"try {{ok, {call}}} catch C:R -> {{C, R}} end", N=A[node.name])


# --- the BEAM calls Python ---------------------------------------------------------------------------
def test_rpc_and_erpc_call_from_the_beam_give_the_value(beam: Beam, calc: Any) -> None:
    assert caught(beam, calc, "rpc:call(N, calc, add, [40, 2])") == (A.ok, 42)
    assert caught(beam, calc, "erpc:call(N, calc, add, [40, 2])") == (A.ok, 42)
    assert caught(beam, calc, "erpc:call(N, calc, add, [40, 2], 5000)") == (A.ok, 42)
    assert caught(beam, calc, "rpc:block_call(N, calc, add, [40, 2])") == (A.ok, 42)


@pytest.mark.beam(elixir=True)
def test_elixir_calls_an_exported_module(beam: Beam, node: Any) -> None:
    node.export("Elixir.Model", {"predict": lambda x: {A.label: x}})
    assert beam.elixir(":erpc.call(n, Model, :predict, [[1.5]])", n=A[node.name]) == {A.label: [1.5]}


def test_a_python_exception_is_an_error_with_type_and_message(beam: Beam, calc: Any) -> None:
    kind, (why, stack) = beam.eval(
        'try erpc:call(N, calc, fail, [<<"no">>]) catch error:{exception, R, S} -> {error, {R, S}} end',
        N=A[calc.name],
    )
    assert kind is A.error
    assert why == (A.python_error, b"ValueError", b"no")
    assert stack[0][1] is A.fail
    assert beam.eval('rpc:call(N, calc, fail, [<<"no">>])', N=A[calc.name])[0] is A.badrpc


def test_exit_and_throw_of_python_are_told_apart(beam: Beam, calc: Any) -> None:
    assert caught(beam, calc, "erpc:call(N, calc, leave, [gone])") == (A.exit, (A.exception, A.gone))
    assert caught(beam, calc, "erpc:call(N, calc, toss, [ball])") == (A.throw, A.ball)
    assert caught(beam, calc, "rpc:call(N, calc, leave, [gone])") == (A.ok, (A.badrpc, (A.EXIT, A.gone)))
    assert caught(beam, calc, "rpc:call(N, calc, toss, [ball])") == (A.ok, A.ball)


@pytest.mark.parametrize(
    "call", ["calc, add, [1]", "calc, nothing, []", "os, system, [[]]", 'os, cmd, ["true"]', "builtins, eval, [<<>>]"]
)
def test_what_is_not_exported_is_undef_at_once(beam: Beam, calc: Any, call: str) -> None:
    module, function = (A[word.strip()] for word in call.split(",")[:2])
    beam.eval("pong = net_adm:ping(N)", N=A[calc.name])
    with deadline(0.5, "the refusal"):
        kind, (wrapper, why, stack) = caught(beam, calc, f"erpc:call(N, {call})")
    assert (kind, wrapper, why) == (A.error, A.exception, A.undef)
    assert stack[0][:2] == (module, function)
    answer = beam.eval(f"rpc:call(N, {call})", N=A[calc.name])
    assert answer[0] is A.badrpc
    assert answer[1][1][0] is A.undef


def test_falsy_arguments_and_values_come_through(beam: Beam, node: Any) -> None:
    node.export("m", lambda *args: list(args), name="same")
    assert beam.text("erpc:call(N, m, same, [0, [], <<>>, nil, false, {}, #{}])", N=A[node.name]) == (
        "[0,[],<<>>,nil,false,{},#{}]"
    )
    assert beam.text("erpc:call(N, m, same, [])", N=A[node.name]) == "[]"


def test_a_call_that_times_out_on_the_beam_leaves_the_connection(beam: Beam, calc: Any) -> None:
    assert caught(beam, calc, "erpc:call(N, calc, sleep, [30], 30)") == (A.error, (A.erpc, A.timeout))
    assert caught(beam, calc, "rpc:call(N, calc, add, [1, 2], 5000)") == (A.ok, 3)


def test_erpc_cast_and_rpc_cast_run_the_function(beam: Beam, node: Any) -> None:
    seen: list[Any] = []
    node.export("m", seen.append, name="note")
    beam.eval("erpc:cast(N, m, note, [1]), rpc:cast(N, m, note, [2])", N=A[node.name])
    wait_for(lambda: sorted(seen) == [1, 2])


def test_multicall_gathers_the_beam_and_python(beam: Beam, node: Any) -> None:
    node.export("erlang", lambda: A[node.name], name="node")
    assert beam.eval("erpc:multicall([node(), N], erlang, node, [])", N=A[node.name]) == [
        (A.ok, beam.node), (A.ok, A[node.name]),
    ]  # fmt: skip
    assert beam.eval("rpc:multicall([node(), N], erlang, node, [])", N=A[node.name]) == (
        [beam.node, A[node.name]], [],
    )  # fmt: skip


def test_async_requests_are_answered(beam: Beam, calc: Any) -> None:
    assert beam.eval("rpc:yield(rpc:async_call(N, calc, add, [1, 2]))", N=A[calc.name]) == 3
    request = "erpc:receive_response(erpc:send_request(N, calc, add, [1, 2]), 60000)"
    assert beam.eval(request, N=A[calc.name]) == 3


def test_calls_that_block_do_not_hold_up_others(beam: Beam, calc: Any) -> None:
    with deadline(1.0, "a call beside those that block"):
        value = beam.eval(
            """[spawn(fun() -> catch erpc:call(N, calc, sleep, [20], 500) end) || _ <- lists:seq(1, 20)],
            erpc:call(N, calc, add, [1, 2])""",
            N=A[calc.name],
        )
    assert value == 3


def test_spawn_of_an_exported_function_gives_a_pid_that_can_be_linked_and_monitored(beam: Beam, calc: Any) -> None:
    down = """{P, R} = erlang:spawn_opt(N, calc, F, A, [monitor]),
              receive {'DOWN', R, process, P, Why} -> {node(P), Why} after 60000 -> none end"""
    assert beam.eval(down, N=A[calc.name], F=A.leave, A=[A.gone]) == (A[calc.name], A.gone)
    assert beam.eval(down, N=A[calc.name], F=A.add, A=[1, 2]) == (A[calc.name], A.normal)
    assert beam.eval(down, N=A[calc.name], F=A.nothing, A=[])[1][0] is A.undef
    linked = """process_flag(trap_exit, true), P = spawn_link(N, calc, leave, [gone]),
                receive {'EXIT', P, Why} -> Why after 60000 -> none end"""
    assert beam.eval(linked, N=A[calc.name]) is A.gone


# --- Python calls the BEAM ---------------------------------------------------------------------------
def test_rpc_from_python_gives_the_value(beam: Beam, node: Any) -> None:
    assert node.rpc(beam.name, "lists", "reverse", [[1, 2, 3]]) == [3, 2, 1]
    assert node.rpc(beam.name, "erlang", "node") is beam.node


def test_error_exit_and_throw_of_the_beam_are_told_apart(beam: Beam, node: Any) -> None:
    with pytest.raises(RemoteError) as error:
        node.rpc(beam.name, "erlang", "error", [A.oops])
    assert error.value.reason is A.oops
    with pytest.raises(RemoteExit) as exit:
        node.rpc(beam.name, "erlang", "exit", [(A.bye, 1)])
    assert exit.value.reason == (A.bye, 1)
    with pytest.raises(RemoteThrow) as throw:
        node.rpc(beam.name, "erlang", "throw", [A.ball])
    assert throw.value.value is A.ball


def test_an_error_of_the_beam_has_its_reason_and_its_stack(beam: Beam, node: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        node.rpc(beam.name, "erlang", "binary_to_integer", [b"x"])
    assert caught.value.reason is A.badarg
    assert caught.value.stack[0][:2] == (A.erlang, A.binary_to_integer)
    with pytest.raises(RemoteError) as undef:
        node.rpc(beam.name, "no_such", "function", [1])
    assert undef.value.reason is A.undef


def test_a_call_that_takes_too_long_fails_and_the_next_one_works(beam: Beam, node: Any) -> None:
    node.connect(beam.name)
    with pytest.raises(RpcFailed) as caught:
        node.rpc(beam.name, "timer", "sleep", [30_000], timeout=0.05)
    assert caught.value.reason is A.timeout
    assert node.rpc(beam.name, "erlang", "abs", [-1]) == 1
    sleepers = "[exit(P, kill) || P <- processes(), process_info(P, current_function) =:= {current_function, Sleep}]"
    beam.wait_until(f"{sleepers} =/= []", Sleep=(A.timer, A.sleep, 1))  # it may not have come to sleep yet


def test_a_call_to_a_node_that_is_not_there_says_noconnection(beam: Beam, node: Any) -> None:
    with pytest.raises(RpcFailed) as caught:
        node.rpc("nobody_here@127.0.0.1", "erlang", "node")
    assert caught.value.reason is A.noconnection


def test_a_peer_is_an_object_with_modules_and_functions(beam: Beam, node: Any) -> None:
    app = node.peer(beam.name)
    assert app.lists.reverse([1, 2, 3]) == [3, 2, 1]
    assert app.erlang.node() is beam.node


@pytest.mark.beam(elixir=True)
def test_a_peer_reaches_elixir_modules(beam: Beam, node: Any) -> None:
    beam.elixir("1")  # Elixir is started
    app = node.peer(beam.name)
    assert app.Elixir.String.upcase("é") == "É".encode()
    assert app.Elixir.Enum.sum([1, 2, 39]) == 42


def test_the_callback_of_a_call_may_call_back(beam: Beam, node: Any) -> None:
    node.export("py", lambda n: n * 2, name="twice")
    assert node.rpc(beam.name, "erpc", "call", [A[node.name], A.py, A.twice, [21]]) == 42


def test_a_function_of_python_may_call_the_beam_that_called_it(beam: Beam, node: Any) -> None:
    def back(values: list[int]) -> Any:
        return node.rpc(beam.name, "lists", "sum", [values])

    node.export("py", back)
    assert beam.eval("erpc:call(N, py, back, [[1, 2, 39]])", N=A[node.name]) == 42
    assert callable(back)


def test_one_function_is_no_way_to_another(beam: Beam, node: Any) -> None:
    calls: list[Callable[..., Any]] = []
    node.export("py", lambda: calls.append(add), name="only")
    for call in ("py, 'only.__globals__', []", "py, '__class__', []", "'', only, []"):
        assert caught(beam, node, f"erpc:call(N, {call})")[0] is A.error
    assert calls == []
