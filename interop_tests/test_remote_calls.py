"""`erpc` and `rpc` in full, both ways: every function, every way to end, and what is refused."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from interop_tests.servers import NOTHING
from pyerlnode import A, ExternalFun, GenServer, self_
from pyerlnode.dist.flags import DistFlags
from pyerlnode.errors import Exit, RemoteError, RemoteExit, RemoteThrow, RpcFailed, Throw, UsageError
from pyerlnode.kernel.remote import RemoteElixirError, format_stack
from pyerlnode.otp.requests import RequestIds
from pyerlnode.schema.elixir import ElixirError
from pyerlnode.term.containers import Struct
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

NOBODY = "nobody_here@127.0.0.1"
CALLERS_GONE = "[P || P <- processes(), {_, L} <- [process_info(P, group_leader)], node(L) =/= node()] =:= []"
"""Nobody whom another node has started is left on the BEAM."""


def fail(message: bytes) -> None:
    raise ValueError(message.decode())


def leave(reason: Any) -> None:
    raise Exit(reason)


def toss(value: Any) -> None:
    raise Throw(value)


def elixir_error() -> None:
    raise ElixirError(Struct(A["Elixir.ArgumentError"], {A["__exception__"]: True, A.message: b"from python"}))


def functions() -> dict[str, Callable[..., Any]]:
    return {
        "add": lambda a, b: a + b, "fail": fail, "leave": leave, "toss": toss, "nap": gevent.sleep,
        "odd": object, "odd_exit": lambda: leave(object()), "elixir": elixir_error, "me": self_,
    }  # fmt: skip


@pytest.fixture
def calc(node: Any) -> Any:
    node.export("calc", functions())
    return node


# --- the BEAM calls Python ---------------------------------------------------------------------------
def test_a_result_that_has_no_form_as_a_term_is_an_error_of_its_call(beam: Beam, calc: Any) -> None:
    ask = """try erpc:call(N, calc, F, [])
             catch error:{exception, {python_error, T, _}, [{M, G, A, _} | _]} -> {T, M, G, A} end"""
    for function in (A.odd, A.odd_exit):
        kind, *mfa = beam.eval(ask, N=A[calc.name], F=function)
        assert kind == b"pyerlnode.errors.EncodeError"
        assert mfa == [A.calc, function, 0]
    assert beam.eval("element(1, rpc:block_call(N, calc, odd, []))", N=A[calc.name]) is A.badrpc
    rex = "element(1, gen_server:call({rex, N}, {call, calc, odd, [], self()}))"
    assert beam.eval(rex, N=A[calc.name]) is A.badrpc


@pytest.mark.beam(elixir=True)
def test_elixir_formats_an_exception_of_python_with_its_stack(beam: Beam, calc: Any) -> None:
    text = beam.elixir(
        """try do :erpc.call(n, :calc, :fail, ["no stock"])
           rescue e in ErlangError -> {:exception, reason, stack} = e.original
             {Exception.format_stacktrace(stack), inspect(reason)} end""",
        n=A[calc.name],
    )
    assert b"test_remote_calls.py:" in text[0]
    assert b".fail/1" in text[0]
    assert text[1] == b'{:python_error, "ValueError", "no stock"}'


@pytest.mark.beam(elixir=True)
def test_an_elixir_exception_raised_by_python_is_one_in_elixir(beam: Beam, calc: Any) -> None:
    caught = """try do :erpc.call(n, :calc, :elixir, [])
                catch :error, {:exception, e, _} -> {e.__struct__, Exception.message(e)} end"""
    assert beam.elixir(caught, n=A[calc.name]) == (A["Elixir.ArgumentError"], b"from python")


def test_multicall_lists_each_kind_of_end(beam: Beam, calc: Any) -> None:
    call = "erpc:multicall([N], calc, F, A, 1000)"
    assert beam.eval(call, N=A[calc.name], F=A.add, A=[1, 2]) == [(A.ok, 3)]
    assert beam.eval(call, N=A[calc.name], F=A.toss, A=[A.ball]) == [(A.throw, A.ball)]
    assert beam.eval(call, N=A[calc.name], F=A.leave, A=[A.gone]) == [(A.exit, (A.exception, A.gone))]
    [(kind, (wrapper, reason, _))] = beam.eval(call, N=A[calc.name], F=A.fail, A=[b"no"])
    assert (kind, wrapper, reason) == (A.error, A.exception, (A.python_error, b"ValueError", b"no"))


def test_the_rest_of_rpc_reaches_python(beam: Beam, calc: Any) -> None:
    class Answers(GenServer):
        def handle_info(self, message: Any) -> None:
            to, what = message
            calc.send(to, (A.wrapped, A[calc.name], what))
            calc.send(to, (A.answers, A[calc.name], what))

    calc.start(Answers, name="answers")
    node = A[calc.name]
    assert beam.eval("rpc:server_call(N, answers, wrapped, hello)", N=node) is A.hello
    assert beam.eval("rpc:multi_server_call([N], answers, hello)", N=node) == ([A.hello], [])
    assert beam.eval("rpc:sbcast([N], answers, {self(), x})", N=node) == ([node], [])
    assert beam.eval("rpc:sbcast([N], nobody, x)", N=node) == ([], [node])
    assert beam.eval("rpc:abcast([N], answers, {self(), x})", N=node) is A.abcast
    assert beam.eval("rpc:multicall([N], calc, add, [1, 2])", N=node) == ([3], [])
    assert beam.eval("K = rpc:async_call(N, calc, add, [1, 2]), {value, V} = rpc:nb_yield(K, 60000), V", N=node) == 3
    calc.export("erlang", lambda n: abs(n), name="abs")
    assert beam.eval("rpc:parallel_eval([{erlang, abs, [I]} || I <- [-1, -2, -3]])") == [1, 2, 3]
    seen: list[Any] = []
    calc.export("calc", seen.append, name="note")
    beam.eval("rpc:eval_everywhere([N], calc, note, [1])", N=node)
    wait_for(lambda: seen == [1])


def test_a_c_nodes_request_to_rex_is_answered(beam: Beam, calc: Any) -> None:
    ask = "{rex, N} ! {self(), {call, calc, add, [1, 2], self()}}, receive {rex, V} -> V after 60000 -> none end"
    assert beam.eval(ask, N=A[calc.name]) == 3
    ask = """{rex, N} ! {self(), {call, os, cmd, [x], self()}},
             receive {rex, {badrpc, {_, {W, _}}}} -> W after 60000 -> none end"""
    assert beam.eval(ask, N=A[calc.name]) is A.undef


def test_what_is_not_exported_is_logged_once_per_name_and_bounded(
    beam: Beam, calc: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "pyerlnode.rpc")
    beam.eval("[catch erpc:call(N, os, cmd, [x]) || _ <- lists:seq(1, 5)], rpc:call(N, os, cmd, [x])", N=A[calc.name])
    assert [r.getMessage() for r in caplog.records] == [f"{beam.name} asked for os:cmd/1, which is not exported"]
    beam.eval(
        "[catch erpc:call(N, os, list_to_atom(integer_to_list(I)), []) || I <- lists:seq(1, 150)]", N=A[calc.name]
    )
    assert len(caplog.records) == 101
    assert "more are not logged" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(
    "call",
    [
        'os, cmd, ["true"]', "erlang, halt, []", 'code, load_binary, [m, "m", <<>>]', "erlang, apply, [os, cmd, [[]]]",
        "'calc.add', '__call__', [1, 2]", "calc, '__globals__', []", "calc, 'add.__globals__', []",
        "pickle, loads, [<<128, 4, 46>>]", "builtins, eval, [<<\"1\">>]", "'Elixir.System', cmd, [<<>>, []]",
        "erlang, apply, [fun() -> 1 end, []]",
    ],
)  # fmt: skip
def test_nothing_unexported_is_reachable_by_any_road(beam: Beam, calc: Any, call: str) -> None:
    node = A[calc.name]
    assert beam.eval(f"try erpc:call(N, {call}) catch error:{{exception, W, _}} -> W end", N=node) is A.undef
    for road in (f"rpc:block_call(N, {call})", f"gen_server:call({{rex, N}}, {{call, {call}, self()}})"):
        assert beam.eval(f"{{badrpc, {{'EXIT', {{W, _}}}}}} = {road}, W", N=node) is A.undef
    down = (
        f"{{P, R}} = spawn_monitor(N, {call}), receive {{'DOWN', R, process, P, {{W, _}}}} -> W after 60000 -> none end"
    )
    assert beam.eval(down, N=node) is A.undef


# --- Python calls the BEAM ---------------------------------------------------------------------------
@pytest.mark.beam(elixir=True)
def test_an_elixir_exception_is_a_python_exception_with_struct_message_and_stack(beam: Beam, node: Any) -> None:
    beam.elixir("1")
    with pytest.raises(RemoteElixirError) as raised:
        node.rpc(beam.name, "Elixir.Keyword", "fetch!", [[(A.a, 1)], A.b])
    error = raised.value
    assert isinstance(error, RemoteError)
    assert isinstance(error, ElixirError)
    assert error.module is A["Elixir.KeyError"]
    assert error.struct.fields[A.key] is A.b
    words = error.message().split()  # newer releases of Elixir break the line
    assert " ".join(words) == "key :b not found in: [a: 1]"
    assert "Keyword.fetch!/2" in format_stack(error.stack)
    assert error.format().startswith("** (KeyError) key :b not found in:")
    with pytest.raises(ElixirError, match="ArgumentError: unknown keys"):
        node.rpc(beam.name, "Elixir.Keyword", "validate!", [[(A.a, 1)], []])


@pytest.fixture
def slow(beam: Beam) -> Any:
    """A server on the BEAM that answers `never` when it is told to `pay`, and no sooner: (pid, how to call it)."""
    beam.load(Path(__file__).parent / "beam_src" / "desk.erl")
    pid = beam.eval("desk:start()")
    return pid, ("gen_server", "call", [pid, A.never, A.infinity])


def pay(node: Any, pid: Any, calls: int = 1) -> None:
    """Let `calls` calls of it that are under way be answered."""
    wait_for(lambda: len(node.call(pid, A.kept)) == calls)
    node.call(pid, A.pay)


def test_multicall_from_python_gives_an_outcome_for_each_node(beam: Beam, calc: Any, slow: Any) -> None:
    nodes = [beam.name, calc.name, NOBODY]
    assert calc.erpc.multicall(nodes, "os", "type") == [
        (A.ok, beam.rpc("os", "type")),
        (A.error, (A.exception, A.undef, [(A.os, A.type, [], [])])),
        (A.error, (A.erpc, A.noconnection)),
    ]
    assert calc.rpc.multicall([beam.name, NOBODY], "erlang", "node") == ([beam.node], [A[NOBODY]])
    desk, call = slow
    assert calc.erpc.multicall([beam.name], *call, timeout=0.02) == [(A.error, (A.erpc, A.timeout))]
    pay(calc, desk)
    assert calc.erpc.multicall([calc.name], "calc", "toss", [1]) == [(A.throw, 1)]
    assert calc.erpc.multicall([calc.name], "calc", "leave", [1]) == [(A.exit, (A.exception, 1))]


def test_a_request_is_sent_now_and_its_value_fetched_later(beam: Beam, node: Any, slow: Any) -> None:
    node.self_()
    desk, call = slow
    request = node.erpc.send_request(beam.name, "lists", "sum", [[1, 2]])
    assert node.erpc.receive_response(request, patience()) == 3
    pending = node.erpc.send_request(beam.name, *call)
    assert node.erpc.wait_response(pending, 0) is node.erpc.PENDING
    pay(node, desk)
    assert node.erpc.wait_response(pending, patience()) is A.late
    late = node.erpc.send_request(beam.name, *call)
    with pytest.raises(RpcFailed) as out:
        node.erpc.receive_response(late, 0.01)
    assert out.value.reason is A.timeout
    pay(node, desk)
    answered = node.erpc.send_request(beam.name, "erlang", "throw", [A.ball])
    message = node.receive(timeout=patience())
    assert node.erpc.check_response((A.other, 1), answered) is node.erpc.NO_REPLY
    with pytest.raises(RemoteThrow):
        node.erpc.check_response(message, answered)
    lost = node.erpc.send_request(NOBODY, "erlang", "node")
    with pytest.raises(RpcFailed):
        node.erpc.receive_response(lost)
    beam.wait_until(CALLERS_GONE)
    assert node.ping(beam.name)  # behind the late answer, which is here before this one
    assert node.receive(timeout=0, default=NOTHING) is NOTHING


def test_requests_of_a_collection_come_as_they_are_answered(beam: Beam, node: Any, slow: Any) -> None:
    desk, call = slow
    many = RequestIds()
    many.add(node.erpc.send_request(beam.name, *call), "slow")
    many.add(node.erpc.send_request(beam.name, "erlang", "abs", [-1]), "fast")
    assert node.erpc.receive_response(many, patience())[:2] == (1, "fast")
    pay(node, desk)
    assert node.erpc.receive_response(many, patience())[:2] == (A.late, "slow")
    assert node.erpc.receive_response(many) is node.erpc.NO_REQUEST


def test_casts_from_python_run_and_say_nothing(beam: Beam, node: Any) -> None:
    me = node.self_()
    node.erpc.cast(beam.name, "erlang", "send", [me, 1])
    node.erpc.multicast([beam.name, NOBODY], "erlang", "send", [me, 2])
    node.rpc.eval_everywhere([beam.name], "erlang", "send", [me, 3])
    assert sorted(node.receive(timeout=patience()) for _ in range(3)) == [1, 2, 3]


def test_the_rest_of_rpc_from_python(beam: Beam, node: Any, slow: Any) -> None:
    server = """register(answers, spawn(fun F() -> receive {From, X} when is_pid(From) ->
                From ! {wrapped, node(), X}, From ! {answers, node(), X}; _ -> ok end, F() end))"""
    beam.eval(server)
    try:
        assert node.rpc.server_call(beam.name, "answers", A.wrapped, A.hello) is A.hello
        assert node.rpc.multi_server_call([beam.name, NOBODY], "answers", 1) == ([1], [A[NOBODY]])
        with pytest.raises(RpcFailed):
            node.rpc.server_call(beam.name, "no_such_name", A.wrapped, A.hello)
        assert node.rpc.sbcast([beam.name], "answers", A.x) == ([beam.node], [])
        assert node.rpc.sbcast([beam.name], "no_such_name", A.x) == ([], [beam.node])
        node.rpc.abcast([beam.name, NOBODY], "answers", A.x)
        assert node.rpc.block_call(beam.name, "erlang", "abs", [-1]) == 1
        key = node.rpc.async_call(beam.name, "erlang", "abs", [-1])
        assert node.rpc.yield_(key) == 1
        desk, call = slow
        pending = node.rpc.async_call(beam.name, *call)
        assert node.rpc.nb_yield(pending) is A.timeout
        pay(node, desk)
        assert node.rpc.nb_yield(pending, patience()) == (A.value, A.late)
        calls = [(A.erlang, A.abs, [-n]) for n in range(5)]
        assert node.rpc.parallel_eval(calls) == [0, 1, 2, 3, 4]
        assert node.rpc.pmap((A.erlang, A["+"]), [10], [1, 2]) == [11, 12]
        with pytest.raises(UsageError):
            node.rpc.parallel_eval(calls, [])
        pid = beam.eval("whereis(answers)")
        assert node.rpc.pinfo(pid, "registered_name") == (A.registered_name, A.answers)
        assert node.rpc.pinfo(node.self_(), "trap_exit") == (A.trap_exit, False)
        assert node.rpc.pinfo(beam.eval("spawn(fun() -> ok end)")) is None
    finally:
        beam.eval("exit(whereis(answers), kill)")


ENDS = """[{erlang, abs, [-1]}, {erlang, throw, [ball]}, {erlang, exit, [bye]}, {erlang, error, [oops]},
    {erlang, list_to_tuple, [['EXIT', x]]}, {erlang, throw, [{'EXIT', x}]}, {erlang, throw, [{badrpc, x}]},
    {erlang, list_to_tuple, [[badrpc, x]]}, {nomod, f, []}, {erlang, exit, [{oops, []}]}]"""


def test_rpc_gives_as_values_what_the_functions_of_erlang_give(beam: Beam, node: Any) -> None:
    ends = [tuple(end) for end in beam.eval(ENDS)]
    for name in ("call", "block_call"):
        theirs = beam.eval(f"[rpc:{name}(N, M, F, A, 9999) || {{M, F, A}} <- {ENDS}]", N=beam.node)
        assert [getattr(node.rpc, name)(beam.name, *end) for end in ends] == theirs
    keys = [node.rpc.async_call(beam.name, *end) for end in ends]
    theirs = beam.eval(f"[rpc:yield(rpc:async_call(N, M, F, A)) || {{M, F, A}} <- {ENDS}]", N=beam.node)
    assert [node.rpc.yield_(key) for key in keys] == theirs
    assert node.rpc.parallel_eval(ends, [beam.name]) == theirs
    assert [node.rpc.multicall([beam.name], *end) for end in ends] == [([value], []) for value in theirs]


def test_rpc_gives_as_values_that_a_call_failed(beam: Beam, node: Any) -> None:
    for name in ("call", "block_call"):
        ours = getattr(node.rpc, name)
        script = f"{{rpc:{name}(N, timer, sleep, [300], 1), rpc:{name}('{NOBODY}', erlang, abs, [1], 9999)}}"
        late, unreached = beam.eval(script, N=beam.node)
        assert ours(beam.name, "timer", "sleep", [300], 0.001) == late == (A.badrpc, A.timeout)
        assert ours(NOBODY, "erlang", "abs", [1]) == unreached == (A.badrpc, A.nodedown)
    with pytest.raises(Exit) as failed:
        node.rpc.pmap((A.erlang, A.abs), [], [-1, A.x])
    assert failed.value.reason is beam.eval("try rpc:pmap({erlang, abs}, [], [-1, x]) catch exit:R -> R end")
    killed = "rpc:call(N, erlang, apply, [fun() -> exit(self(), kill) end, []], 9999)"
    fun = beam.eval("fun() -> exit(self(), kill) end")
    assert node.rpc.call(beam.name, "erlang", "apply", [fun, []]) == beam.eval(killed, N=beam.node)


def test_a_node_calls_its_own_exported_functions_as_a_peer_would(calc: Any) -> None:
    assert calc.rpc(calc.name, "calc", "add", [1, 2]) == 3
    assert calc.rpc(calc.name, "calc", "me").node is A[calc.name]
    for function, args, kind in (("fail", [b"x"], RemoteError), ("leave", [1], RemoteExit), ("toss", [1], RemoteThrow)):
        with pytest.raises(kind):
            calc.rpc(calc.name, "calc", function, args)
    with pytest.raises(RemoteError, match="undef"):
        calc.rpc(calc.name, "os", "system", [b"true"])
    with pytest.raises(RpcFailed):
        calc.rpc(calc.name, "calc", "nap", [5], timeout=0.01)
    fun = ExternalFun(A.calc, A.add, 2)
    for given in ([fun, [1, 2]], [A.calc, A.add, [1, 2]]):
        assert calc.rpc(calc.name, "erlang", "apply", given) == 3
    with pytest.raises(RemoteError) as refused:
        calc.rpc(calc.name, "erlang", "apply", [fun, [1]])
    assert refused.value.reason == (A.badarity, (fun, [1]))


def test_peers_without_spawn_requests_are_called_by_their_rex(python: Callable[..., Any]) -> None:
    old, new = python(), python()
    old.export("calc", functions())
    new.kernel.own = type(new.kernel.own)(new.name, new.creation, new.kernel.own.flags & ~DistFlags.SPAWN)
    new.connect(old.name)
    assert new.rpc(old.name, "calc", "add", [1, 2]) == 3
    with pytest.raises(RemoteError, match="ValueError: no"):
        new.rpc(old.name, "calc", "fail", [b"no"])
    with pytest.raises(RemoteExit):
        new.rpc(old.name, "calc", "leave", [A.gone])
    with pytest.raises(RpcFailed):
        new.rpc(old.name, "calc", "nap", [5], timeout=0.02)
    seen: list[Any] = []
    old.export("calc", seen.append, name="note")
    new.erpc.cast(old.name, "calc", "note", [1])
    wait_for(lambda: seen == [1])
    with pytest.raises(RpcFailed) as refused:
        new.spawn_on(old.name, "calc", "nap", [0])
    assert refused.value.reason is A.notsup
