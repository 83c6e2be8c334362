"""What OTP answers differently from release to release: each BEAM is answered as its own release would answer."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.test_classes import does
from interop_tests.twins import TwinServer
from pyerlnode import A, Agent, Supervise, Supervisor
from pyerlnode.otp import sys
from pyerlnode.otp.task_supervisor import TaskSupervisor
from pyerlnode.testing.beam import Beam


class Tree(Supervisor):
    def init(self) -> Any:
        return Supervise([])


class State(TwinServer):
    """A server whose state is the term that it is given."""

    def init(self, state: Any) -> Any:
        self.state = state

    def system_get_state(self) -> Any:
        return self.state

    def system_replace_state(self, fun: Any) -> Any:
        self.state = fun(self.state)
        return self.state


STATES = ["s", "{ok, s}", "[]", "{a, b, c}"]


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_got_and_replaced(helper: Callable[[str], Beam], node: Any, state: str) -> None:
    beam = helper("raises.erl")
    pid = node.start(State, beam.eval(state))
    source = """
    Try = fun(F) -> try F() catch C:{R, _} -> {C, R}; C:R -> {C, R} end end,
    [sys:get_state(P), Try(fun() -> sys:replace_state(P, fun raises:replaced/1) end),
     Try(fun() -> sys:replace_state(P, fun raises:nothing/1) end),
     Try(fun() -> sys:replace_state(P, fun raises:replaced/2) end), sys:get_state(P)]
    """
    node.export("raises", lambda _: (A.new, A.state), name="replaced")
    erlang = beam.text(f"{{ok, P}} = gen_server:start(raises, {{state, {state}}}, []), {source}")
    assert beam.text(source, P=pid) == erlang


@pytest.mark.parametrize("state", [A.s, (A.ok, A.s), [], (A.a, A.b, A.c)])
def test_a_state_of_a_beam_is_got_as_it_is(helper: Callable[[str], Beam], node: Any, state: Any) -> None:
    beam = helper("raises.erl")
    pid = beam.eval("{ok, P} = gen_server:start(raises, {state, S}, []), P", S=state)
    node.connect(beam.name)
    assert sys.get_state(node.system, pid) == state


REASONS = [
    "{error, {already_started, whereis(kernel_sup)}}",
    "{error, {already_started, x}}",
    "{error, oops}",
    "{already_started, 1}",
]


@pytest.mark.parametrize("reason", REASONS)
def test_a_child_whose_name_is_taken(helper: Callable[[str], Beam], node: Any, reason: str) -> None:
    beam = helper("raises.erl")
    node.export("raises", does, name="does")
    source = f"""
    [supervisor:start_child(S, #{{id => I, restart => R, start => {{raises, does, [{{return, {reason}}}]}}}})
     || {{I, R}} <- [{{a, permanent}}, {{b, temporary}}]] ++ [supervisor:which_children(S)]
    """
    erlang = beam.text(f"{{ok, S}} = supervisor:start_link(raises, []), {source}")
    assert beam.text(source, S=node.start(Tree)) == erlang


EXPORTED = {"double": lambda value: 2 * value, "answer": lambda: 42}


@pytest.mark.beam(elixir=True)
def test_external_functions_are_those_that_were_exported(beam: Beam, node: Any) -> None:
    node.export("exported", EXPORTED)
    Agent.start(lambda: 21, name="agent", on=node.system)
    TaskSupervisor.start_link(name="tasks", on=node.system)
    source = """
    [Agent.get({:agent, n}, &:exported.double/1), Agent.update({:agent, n}, &:exported.double/1),
     Agent.get({:agent, n}, &:exported.double/1), Agent.cast({:agent, n}, &:exported.double/1),
     Agent.get({:agent, n}, :exported, :double, []),
     Task.await(Task.Supervisor.async({:tasks, n}, &:exported.answer/0)),
     Task.await(Task.Supervisor.async_nolink({:tasks, n}, &:exported.answer/0)),
     Task.await(Task.Supervisor.async({:tasks, n}, :exported, :double, [4])),
     Enum.to_list(Task.Supervisor.async_stream({:tasks, n}, [1, 2, 3], &:exported.double/1)),
     Enum.to_list(Task.Supervisor.async_stream_nolink({:tasks, n}, [1, 2, 3], :exported, :double, []))]
    """
    oks = [(A.ok, 2), (A.ok, 4), (A.ok, 6)]
    assert beam.elixir(source, n=A[node.name]) == [42, A.ok, 84, A.ok, 168, 42, 42, 8, oks, oks]


@pytest.mark.beam(elixir=True)
@pytest.mark.parametrize("fun", ["&:exported.nothing/1", "&:exported.double/2", ":junk"])
def test_what_is_no_such_function_ends_an_agent_as_elixirs(beam: Beam, node: Any, fun: str) -> None:
    node.export("exported", EXPORTED)
    pid = Agent.start(lambda: 21, on=node.system)
    source = f"""
    ref = Process.monitor(pid)
    GenServer.cast(pid, {{:cast, {fun}}})
    receive do {{:DOWN, ^ref, _, _, {{reason, [_ | _]}}}} -> reason end
    """
    elixir = beam.elixir(f"{{:ok, pid}} = Agent.start(fn -> 21 end); {source}")
    assert beam.elixir(source, pid=pid) == elixir
