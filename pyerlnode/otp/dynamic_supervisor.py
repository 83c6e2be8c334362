"""DynamicSupervisor: children that come and go, without an order (Elixir's `DynamicSupervisor`).

    pool = DynamicSupervisor.start_link(max_children=1000, name="rooms")
    DynamicSupervisor.start_child(pool, (Room, 7))

It answers Elixir's own requests: ``{start_child, {MFA, Restart, Shutdown, Type, Modules}}``, which_children,
count_children and ``{terminate_child, Pid}``; so `DynamicSupervisor.start_child/2` of a BEAM works where the start
function is one that the program exported. Decisions stand in `dynamic_core`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from pyerlnode.brief import BRIEF, told
from pyerlnode.otp import dynamic_core, gen, where
from pyerlnode.otp import supervisor_core as core
from pyerlnode.otp.child_spec import BadChildSpec, ChildSpec, child_of, from_wire, milliseconds
from pyerlnode.otp.overseer import Overseer
from pyerlnode.otp.results import Ignore, NoReply, Stop
from pyerlnode.otp.stopping import stop_processes
from pyerlnode.otp.supervisor import BadFlags, check_flags, child_pid, unwrap
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid

AGAIN = A["$gen_restart"]


class Dynamic:
    """What the `init` of a `DynamicSupervisor` gives.

    Args:
        max_restarts, max_seconds: more restarts than these within so many seconds end the supervisor.
        max_children: how many there may be; further ones are refused with `max_children`. None: no limit.
        extra_arguments: stand before the arguments of each child's start.
    """

    __slots__ = ("extra", "flags", "most")

    def __init__(
        self,
        *,
        max_restarts: int = 3,
        max_seconds: float = 5,
        max_children: int | None = None,
        extra_arguments: Iterable[Any] = (),
    ) -> None:
        self.flags = check_flags(core.Flags(A.one_for_one, max_restarts, max_seconds))
        if max_children is not None and (type(max_children) is not int or max_children < 0):
            raise BadFlags((A.invalid_max_children, max_children))
        self.most = inf if max_children is None else max_children
        self.extra = list(extra_arguments)


def ended_well(spec: ChildSpec, reason: Any) -> bool:
    """Elixir's rule for a child that was stopped; it differs from OTP's for `permanent` and for `brutal_kill`."""
    if spec.shutdown is A.brutal_kill:
        return reason is A.killed
    return core.is_orderly(reason) and (reason is not A.normal or spec.restart is not A.permanent)


class DynamicSupervisor(Overseer):
    """Base class; as it stands its `init` takes what `Dynamic` takes."""

    __slots__ = ("_halt", "_limits", "_pool")
    _pool: dynamic_core.Pool
    _limits: Dynamic
    _halt: Any

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """The callback: gives `Dynamic`, or `Ignore`."""
        return Dynamic(*args, **kwargs)

    def _init(self, callback: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.process.trap_exit = True
        self._halt = None
        try:
            wanted = callback(*args, **kwargs)
        except BadFlags as error:
            return Stop((A.supervisor_data, error.reason))
        if isinstance(wanted, (Ignore, Stop)):
            return wanted
        if not isinstance(wanted, Dynamic):
            return Stop((A.bad_return, (self.module, A.init, told(wanted, BRIEF).encode("utf-8", "replace"))))
        self._limits = wanted
        self._pool = dynamic_core.Pool(wanted.flags)
        return None

    # --- carry out -----------------------------------------------------------------------------
    def _carry_out(self, effects: dynamic_core.Effects) -> Any:
        """Do what the core says; gives the answer of a start."""
        pool = self._pool
        answer: Any = None
        for effect in effects:
            if isinstance(effect, core.Start):
                outcome = self._launch(dynamic_core.with_arguments(effect.child.spec, self._limits.extra, before=True))
                if isinstance(outcome, core.Started):
                    pool.started(outcome.pid)
                    answer = outcome.answer
                elif isinstance(outcome, core.Ignored):
                    pool.ignored()
                    answer = A.ignore
                else:
                    answer = (A.error, outcome.reason)
                    self._carry_out(pool.failed(outcome.reason))
            elif isinstance(effect, core.Report):
                self._log_report(effect)
            elif isinstance(effect, core.Again):
                self.process.deliver((AGAIN, effect.id))
            elif isinstance(effect, core.Halt):
                self._halt = effect.reason
        return answer

    # --- callbacks of the server ---------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        self._answer(from_, self._request(request))
        return NoReply()

    def _request(self, request: Any) -> Any:
        pool = self._pool
        match request:
            case A.which_children:
                return pool.which_children()
            case A.count_children:
                return pool.count_children()
            case (A.start_child, what):
                return self._add(what)
            case (A.terminate_child, Pid() as pid):
                if pid not in pool.children:
                    return A.error, A.not_found
                self._end([(pid, pool.children[pid])] if pool.is_running(pid) else [])
                pool.forget(pid)
                return A.ok
        return A.error, (A.unknown_call, request)

    def _add(self, what: Any) -> Any:
        if len(self._pool) >= self._limits.most:
            return A.error, A.max_children
        try:
            spec = what if isinstance(what, ChildSpec) else from_wire((A.undefined, *what))
        except BadChildSpec as error:
            return A.error, error.reason
        return self._carry_out(self._pool.add(spec))

    def handle_cast(self, request: Any) -> Any:
        """As Elixir's: ignored."""

    def handle_info(self, message: Any) -> Any:
        now = self.process.system.timers.now()
        match message:
            case (A.EXIT, Pid() as pid, reason):
                self._carry_out(self._pool.exited(pid, reason, now))
            case (tag, Pid() as pid) if tag is AGAIN:
                self._carry_out(self._pool.try_again(pid, now))
            case _:
                self._unexpected(message)
        return None if self._halt is None else Stop(self._halt)

    def terminate(self, reason: Any) -> None:  # noqa: ARG002  # the callback's shape
        """All children are stopped at once, each within its own time."""
        self._end(list(self._pool.running()))
        self._pool.children.clear()

    def _end(self, running: list[tuple[Pid, ChildSpec]]) -> None:
        reasons = stop_processes(self.process, [(pid, spec.shutdown) for pid, spec in running])
        for report in dynamic_core.shutdown_errors(dict(running), reasons, ended_well):
            self._log_report(report)

    def system_get_state(self) -> Any:
        """What Elixir's keeps, without its module's struct."""
        pool = self._pool
        children = {pid: (spec.start.mfa, *_options(spec)) for pid, spec in pool.children.items()}
        most = self._limits.most
        return {
            A.name: self.sup_name,
            A.mod: self.module,
            A.strategy: A.one_for_one,
            A.children: children,
            A.max_children: A.infinity if most == inf else most,
            A.max_restarts: pool.flags.intensity,
            A.max_seconds: pool.flags.period,
            A.restarts: [int(then) for then in pool.restarts],
            A.extra_arguments: self._limits.extra,
        }

    # --- from Python ---------------------------------------------------------------------------
    @classmethod
    def start_link(cls, *args: Any, name: Any = None, on: Any = None, **kwargs: Any) -> Pid | None:
        """Start it linked to the calling process, with the arguments of its `init`."""
        return where.start_link(cls, *args, name=name, on=on, **kwargs)

    @staticmethod
    def start_child(supervisor: Any, child: Any, *, on: Any = None) -> Pid | None:
        """Start a child, here or on a BEAM's `DynamicSupervisor`; its pid, None when it was ignored.

        Raises `StartFailed` with what Elixir has as ``{:error, reason}``, `max_children` among them.
        """
        system = where.system_of(on)
        spec = child_of(child)
        here = system.resolve(supervisor)[0] is system.node
        request = spec if here else (spec.start.mfa, *_options(spec))
        return child_pid(gen.call(system, supervisor, (A.start_child, request), None))

    @staticmethod
    def terminate_child(supervisor: Any, pid: Pid, *, on: Any = None) -> None:
        """Stop a child. Raises `SupervisorError` when it is none."""
        unwrap(where.call(supervisor, (A.terminate_child, pid), None, on))

    @staticmethod
    def which_children(supervisor: Any, *, on: Any = None) -> list[tuple[Any, ...]]:
        children: list[tuple[Any, ...]] = where.call(supervisor, A.which_children, None, on)
        return children

    @staticmethod
    def count_children(supervisor: Any, *, on: Any = None) -> dict[str, int]:
        return {str(key): value for key, value in where.call(supervisor, A.count_children, None, on)}


def _options(spec: ChildSpec) -> tuple[Any, ...]:
    return spec.restart, milliseconds(spec.shutdown), spec.type, spec.modules
