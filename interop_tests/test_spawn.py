"""Spawn requests both ways: each option, each answer, each way in which they fail."""

from typing import Any

import gevent
import pytest

from interop_tests.servers import NOTHING
from pyerlnode import A, receive, self_
from pyerlnode.errors import Exit, RpcFailed
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for


@pytest.fixture
def py(node: Any) -> Any:
    def tell(to: Any, what: Any) -> None:
        node.send(to, what)

    def wait(to: Any) -> None:
        node.send(to, (A.up, self_()))
        node.send(to, (A.got, receive()))

    def leave(reason: Any) -> None:
        raise Exit(reason)

    node.export("py", {"tell": tell, "wait": wait, "leave": leave, "nap": gevent.sleep})
    return node


# --- the BEAM asks Python ----------------------------------------------------------------------------
def test_a_request_of_the_beam_is_answered_with_each_kind_of_reply(beam: Beam, py: Any) -> None:
    # An answer that is sent is here before that of a later question.
    ask = """R = erlang:spawn_request(N, py, nap, [0], Options), pong = net_adm:ping(N),
             receive {Tag, R, What, P} when Tag =:= spawn_reply; Tag =:= mine -> {Tag, What, is_pid(P)}
             after 0 -> none end"""
    assert beam.eval(ask, N=A[py.name], Options=[]) == (A.spawn_reply, A.ok, True)
    assert beam.eval(ask, N=A[py.name], Options=[(A.reply_tag, A.mine)]) == (A.mine, A.ok, True)
    assert beam.eval(ask, N=A[py.name], Options=[(A.reply, A.no)]) is A.none
    assert beam.eval(ask, N=A[py.name], Options=[(A.reply, A.error_only)]) is A.none
    tuned = [(A.priority, A.high), (A.fullsweep_after, 1), (A.min_heap_size, 500), (A.message_queue_data, A.off_heap)]
    assert beam.eval(ask, N=A[py.name], Options=[A.link, A.monitor, *tuned]) == (A.spawn_reply, A.ok, True)


def test_an_option_that_there_is_not_is_badopt(beam: Beam, py: Any) -> None:
    ask = """R = erlang:spawn_request(N, py, nap, [0], [{no_such_option, 1}]),
             receive {spawn_reply, R, error, Why} -> Why after 60000 -> none end"""
    assert beam.eval(ask, N=A[py.name]) is A.badopt


def test_link_and_monitor_of_one_request_both_tell_of_the_end(beam: Beam, py: Any) -> None:
    both = """process_flag(trap_exit, true),
              R = erlang:spawn_request(N, py, leave, [gone], [link, {monitor, [{tag, 'MY'}]}]),
              P = receive {spawn_reply, R, ok, Pid} -> Pid end,
              [receive {'EXIT', P, Why} -> Why after 60000 -> none end,
               receive {'MY', R, process, P, Down} -> Down after 60000 -> none end]"""
    assert beam.eval(both, N=A[py.name]) == [A.gone, A.gone]


def test_an_abandoned_request_leaves_no_process_behind(beam: Beam, py: Any) -> None:
    before = len(py.system.processes)
    beam.eval("pong = net_adm:ping(N)", N=A[py.name])
    beam.eval(
        """R = erlang:spawn_request(N, py, nap, [30], [link, monitor]), true = erlang:spawn_request_abandon(R)""",
        N=A[py.name],
    )
    wait_for(lambda: len(py.system.processes) == before)


def test_a_spawned_function_receives_what_is_sent_to_its_pid(beam: Beam, py: Any) -> None:
    talk = """spawn(N, py, wait, [self()]), P = receive {up, Pid} -> Pid after 60000 -> none end,
              P ! {hello, 1}, receive {got, What} -> What after 60000 -> none end"""
    assert beam.eval(talk, N=A[py.name]) == (A.hello, 1)


def test_killing_a_spawned_function_that_waits_ends_it(beam: Beam, py: Any) -> None:
    talk = """{P, R} = spawn_monitor(N, py, nap, [30]), exit(P, kill),
              receive {'DOWN', R, process, P, Why} -> Why after 60000 -> none end"""
    assert beam.eval(talk, N=A[py.name]) is A.killed


@pytest.mark.beam(elixir=True)
def test_elixirs_node_spawns_reach_exported_functions(beam: Beam, py: Any) -> None:
    py.export("Elixir.Py", {"tell": lambda to, what: py.send(to, what)})
    spawns = """
      me = self()
      Node.spawn(n, Py, :tell, [me, 1]); Node.spawn_link(n, Py, :tell, [me, 2])
      {pid, ref} = Node.spawn_monitor(n, Py, :tell, [me, 3])
      Node.spawn(n, :erlang, :apply, [&Py.tell/2, [me, 4]])
      got = for i <- 1..4, do: (receive do ^i -> i after 60000 -> nil end)
      {got, (receive do {:DOWN, ^ref, :process, ^pid, why} -> why after 60000 -> nil end)}
    """
    assert beam.elixir(spawns, n=A[py.name]) == ([1, 2, 3, 4], A.normal)


def test_a_closure_of_the_beam_is_not_run(beam: Beam, py: Any) -> None:
    ask = """{P, R} = spawn_monitor(N, fun() -> ok end),
             receive {'DOWN', R, process, P, {Why, _}} -> Why after 60000 -> none end"""
    assert beam.eval(ask, N=A[py.name]) is A.undef


# --- Python asks the BEAM ----------------------------------------------------------------------------
def test_python_starts_a_process_on_the_beam_and_learns_its_pid(beam: Beam, node: Any) -> None:
    me = node.self_()
    pid = node.spawn_on(beam.name, "erlang", "send", [me, A.hello])
    assert pid.node is beam.node
    assert node.receive(timeout=patience()) is A.hello


def test_a_linked_and_a_monitored_spawn_tell_of_the_end(beam: Beam, node: Any) -> None:
    node.self_()
    node.process_flag("trap_exit", True)
    pid = node.spawn_on(beam.name, "erlang", "exit", [A.gone], link=True)
    assert node.receive(timeout=patience()) == (A.EXIT, pid, A.gone)
    pid, ref = node.spawn_on(beam.name, "erlang", "exit", [A.gone], monitor=True)
    assert node.receive(timeout=patience()) == (A.DOWN, ref, A.process, pid, A.gone)
    pid, ref = node.spawn_on(beam.name, "no_such", "function", [], link=True, monitor=True)
    ends = sorted([node.receive(timeout=patience()) for _ in range(2)], key=len)
    assert [end[-1][0] for end in ends] == [A.undef, A.undef]
    node.process_flag("trap_exit", False)


def test_a_monitored_spawn_can_be_demonitored(beam: Beam, node: Any) -> None:
    pid, ref = node.spawn_on(beam.name, "timer", "sleep", [60_000], monitor=True)
    assert node.demonitor(ref, flush=True) is True
    node.exit(pid, A.kill)
    assert node.receive(timeout=0.05, default=None) is None


def test_a_spawn_request_of_python_is_answered_by_message(beam: Beam, node: Any) -> None:
    node.self_()
    ref = node.spawn_request(beam.name, "erlang", "abs", [1])
    tag, same, ok, pid = node.receive(timeout=patience())
    assert (tag, same, ok, pid.node) == (A.spawn_reply, ref, A.ok, beam.node)
    ref = node.spawn_request(beam.name, "erlang", "abs", [1], reply_tag=A.mine, monitor=True)
    assert node.receive(timeout=patience())[:3] == (A.mine, ref, A.ok)
    assert node.receive(timeout=patience())[:2] == (A.DOWN, ref)
    node.spawn_request(beam.name, "erlang", "abs", [1], reply="no")
    node.spawn_request(beam.name, "erlang", "abs", [1], reply="error_only")
    assert node.rpc(beam.name, "erlang", "abs", [-1]) == 1
    assert node.receive(timeout=0.05, default=NOTHING) is NOTHING


def test_a_request_that_fails_says_why(beam: Beam, node: Any) -> None:
    node.self_()
    ref = node.spawn_request(beam.name, "erlang", "abs", [1], options=[(A.no_such_option, 1)], reply="error_only")
    assert node.receive(timeout=patience()) == (A.spawn_reply, ref, A.error, A.badopt)
    ref = node.spawn_request("nobody_here@127.0.0.1", "erlang", "abs", [1])
    assert node.receive(timeout=patience()) == (A.spawn_reply, ref, A.error, A.noconnection)
    with pytest.raises(RpcFailed) as refused:
        node.spawn_on(beam.name, "erlang", "abs", [1], options=[A.bad])
    assert refused.value.reason is A.badopt


def test_an_abandoned_request_of_python_ends_what_it_started(beam: Beam, node: Any) -> None:
    node.self_()
    node.connect(beam.name)
    ref = node.spawn_request(beam.name, "timer", "sleep", [60_000], link=True, monitor=True)
    assert node.spawn_request_abandon(ref) is True
    assert node.spawn_request_abandon(node.system.new_ref()) is False
    sleepers = "[P || P <- processes(), process_info(P, current_function) =:= {current_function, {timer, sleep, 1}}]"
    wait_for(lambda: not node.system.peer(beam.node).spawns)
    beam.wait_until(f"{sleepers} =:= []")
    assert node.receive(timeout=0, default=NOTHING) is NOTHING


def test_a_node_spawns_on_itself_what_it_exports(py: Any) -> None:
    me = py.self_()
    py.spawn_on(py.name, "py", "tell", [me, A.here])
    assert py.receive(timeout=patience()) is A.here
    pid, ref = py.spawn_on(py.name, "os", "system", [b"true"], monitor=True)
    assert py.receive(timeout=patience())[4][0] is A.undef
    assert pid.node is A[py.name]
    assert ref is not None


def test_the_group_leader_of_what_python_starts_is_python(
    beam: Beam, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    node.spawn_on(beam.name, "io", "format", [b"from ~p: ~ts~n", [A.beam, "grüße".encode()]])
    seen = []
    wait_for(lambda: bool(seen.append(capsys.readouterr().out) or "".join(seen)))
    assert "".join(seen) == "from beam: grüße\n"
    node.rpc(beam.name, "io", "put_chars", [b"plain\n"])
    assert capsys.readouterr().out == "plain\n"
