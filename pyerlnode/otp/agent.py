"""Agent: a value in a process, and functions that look at it or change it (Elixir's `Agent`).

    agent = Agent.start_link(dict, name="cache")
    Agent.update(agent, lambda cache: {**cache, "a": 1})
    Agent.get(agent, lambda cache: cache.get("a"))

The functions run in the agent, one after the other, so nobody sees a change half done; one that raises ends the agent.
It answers Elixir's own requests: `Agent.get(agent, M, :f, args)` of a BEAM works where the program exported ``M.f``,
and with ``(A.M, A.f, [args])`` in the place of a function Python asks an agent on a BEAM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.errors import Exit, UsageError
from pyerlnode.otp import funs, gen, gen_server, where
from pyerlnode.otp.child_spec import ChildSpec, child_spec
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

Function = Callable[..., Any] | tuple[Any, ...]


class AgentServer(GenServer):
    """The process of an agent."""

    __slots__ = ("value",)

    def init(self, function: Function, *args: Any) -> None:
        self.value = run(self.process.system, function, (), args)

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        system = self.process.system
        match request:
            case (A.get, function):
                return Reply(run(system, function, (self.value,)))
            case (A.update, function):
                self.value = run(system, function, (self.value,))
                return Reply(A.ok)
            case (A.get_and_update, function):
                result = run(system, function, (self.value,))
                if type(result) is not tuple or len(result) != 2:
                    raise Exit((A.bad_return_value, result), "get_and_update wants (answer, new value)")
                answer, self.value = result
                return Reply(answer)
        raise Exit((A.bad_call, request), "an agent knows get, update and get_and_update")

    def handle_cast(self, request: Any) -> None:
        match request:
            case (A.cast, function):
                self.value = run(self.process.system, function, (self.value,))
            case _:
                raise Exit((A.bad_cast, request), "an agent knows the cast of a function")

    def handle_info(self, message: Any) -> None:
        """As Elixir's: ignored."""

    def system_get_state(self) -> Any:
        return self.value

    def system_replace_state(self, fun: Callable[[Any], Any]) -> Any:
        self.value = fun(self.value)
        return self.value


def run(system: System, function: Function, before: tuple[Any, ...], args: tuple[Any, ...] = ()) -> Any:
    """Call a function, or an exported one: ``fun M:F/A``, or ``{M, F, Args}``."""
    match function:
        case (Atom() as module, Atom() as name, list(more)):
            return funs.applied(system, module, name, (*before, *more))
    return funs.called(system, function, (*before, *args))


class Agent:
    """The functions of agents. `on`: the node, where the caller is no process of it; `timeout` in seconds."""

    @staticmethod
    def start_link(function: Function, *args: Any, name: Any = None, on: Any = None) -> Pid:
        """An agent with the value ``function(*args)``, linked to the caller."""
        return where.started(where.start_link(AgentServer, function, *args, name=name, on=on))

    @staticmethod
    def start(function: Function, *args: Any, name: Any = None, on: Any = None) -> Pid:
        """An agent linked to nobody."""
        pid = gen_server.start(where.system_of(on), AgentServer, (function, *args), name=name)
        return where.started(pid)

    @staticmethod
    def child_spec(function: Function, *args: Any, name: Any = None, **overrides: Any) -> ChildSpec:
        """``(Agent, function, *args)`` as a child of a supervisor."""
        return child_spec(AgentServer, function, *args, name=name, **{"id": A.Elixir.Agent, **overrides})

    @staticmethod
    def get(agent: Any, function: Function, *args: Any, timeout: float | None = 5.0, on: Any = None) -> Any:
        """``function(value, *args)``."""
        return where.call(agent, (A.get, _with(function, args)), timeout, on)

    @staticmethod
    def update(agent: Any, function: Function, *args: Any, timeout: float | None = 5.0, on: Any = None) -> None:
        """The value becomes ``function(value, *args)``."""
        where.call(agent, (A.update, _with(function, args)), timeout, on)

    @staticmethod
    def get_and_update(agent: Any, function: Function, *args: Any, timeout: float | None = 5.0, on: Any = None) -> Any:
        """``function(value, *args)`` gives (answer, new value)."""
        return where.call(agent, (A.get_and_update, _with(function, args)), timeout, on)

    @staticmethod
    def cast(agent: Any, function: Function, *args: Any, on: Any = None) -> None:
        """`update`, without waiting."""
        gen.cast(where.system_of(on), agent, (A.cast, _with(function, args)))


def _with(function: Function, args: tuple[Any, ...]) -> Function:
    if isinstance(function, tuple):
        if args:
            raise UsageError("the arguments of {M, F, Args} stand in it")
        return function
    return (lambda value: function(value, *args)) if args else function
