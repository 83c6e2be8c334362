"""Supervisor: starts its children in order, restarts them, and stops them in reverse order (OTP's `supervisor`).

    class MyApp(Supervisor):
        def init(self, start):
            return Supervise([(Counter, start), Cache], strategy="rest_for_one")

    node.start(MyApp, 41)

What it decides stands in `supervisor_core`; here is who carries it out. It answers the requests of OTP's and Elixir's
`Supervisor` modules, so a BEAM process asks it as it asks one of its own (protocol.md E.3):

    which_children, count_children, {start_child, Spec}, {terminate_child, Id}, {restart_child, Id},
    {delete_child, Id}, {get_childspec, Id}, {which_child, Id}

From Python: `Supervisor.which_children(sup)` and its kin. Other requests end no supervisor: they are answered with
an error, where OTP's crashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyerlnode.brief import BRIEF, told
from pyerlnode.errors import PyerlnodeError, StartFailed, UsageError
from pyerlnode.otp import dynamic_core, gen, releases, sys, where
from pyerlnode.otp import supervisor_core as core
from pyerlnode.otp.child_spec import (
    BadChildSpec,
    ChildSpec,
    check_significant,
    child_of,
    children_of,
    from_wire,
    module_name,
)
from pyerlnode.otp.overseer import Overseer
from pyerlnode.otp.results import Ignore, NoReply, Stop
from pyerlnode.otp.stopping import Exits, stop_processes
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import TermMap
from pyerlnode.term.exact import same
from pyerlnode.term.pid import Pid

STRATEGIES = (A.one_for_one, A.one_for_all, A.rest_for_one, A.simple_one_for_one)
AUTO_SHUTDOWNS = (A.never, A.any_significant, A.all_significant)
_ANSWERED = NoReply()
"""What `handle_call` gives, which answers by itself: a request, a reason may have no form on the wire."""


class BadFlags(UsageError):
    """Supervisor flags that can not be used; `reason` is OTP's term for what is wrong with them."""

    def __init__(self, reason: Any) -> None:
        super().__init__(f"supervisor flags can not be used: {told(reason, BRIEF)}")
        self.reason = reason


class SupervisorError(PyerlnodeError):
    """A supervisor refused a request; `reason` is the word after `error`: not_found, running, restarting, …"""

    def __init__(self, reason: Any) -> None:
        super().__init__(f"the supervisor refused: {told(reason, BRIEF)}")
        self.reason = reason


class Supervise:
    """What a supervisor's `init` gives: its children in the order of their start, and its flags.

    Args:
        children: see `child_spec`.
        strategy: ``one_for_one``, ``one_for_all``, ``rest_for_one`` or ``simple_one_for_one``.
        max_restarts: OTP's intensity: more restarts than these within `max_seconds` end the supervisor.
        auto_shutdown: ``never``, ``any_significant`` or ``all_significant``.
    """

    __slots__ = ("children", "flags")

    def __init__(
        self,
        children: Iterable[Any],
        *,
        strategy: str | Atom = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5,
        auto_shutdown: str | Atom = "never",
    ) -> None:
        self.children = list(children)
        self.flags = check_flags(
            core.Flags(Atom(str(strategy)), max_restarts, max_seconds, Atom(str(auto_shutdown))),
        )


def check_flags(flags: core.Flags) -> core.Flags:
    """Raises `BadFlags`."""
    if flags.strategy not in STRATEGIES:
        raise BadFlags((A.invalid_strategy, flags.strategy))
    if type(flags.intensity) is not int or flags.intensity < 0:
        raise BadFlags((A.invalid_intensity, flags.intensity))
    if isinstance(flags.period, bool) or not isinstance(flags.period, (int, float)) or not flags.period > 0:
        raise BadFlags((A.invalid_period, flags.period))
    if flags.auto_shutdown not in AUTO_SHUTDOWNS:
        raise BadFlags((A.invalid_auto_shutdown, flags.auto_shutdown))
    if flags.auto_shutdown is not A.never and flags.strategy is A.simple_one_for_one:  # as OTP 27; 25 let it be
        combination = [(A.auto_shutdown, flags.auto_shutdown), (A.strategy, flags.strategy)]
        raise BadFlags((A.bad_combination, combination))
    return flags


class Supervisor(Overseer):
    """Base class of supervisors; as it stands, one that is given its children: ``Supervisor.start_link([…])``."""

    __slots__ = ("_args", "_halt", "_older", "_pool", "_reply", "_state", "_template")
    _args: tuple[tuple[Any, ...], dict[str, Any]]
    _state: core.State
    _pool: dynamic_core.Pool | None
    _template: ChildSpec
    _reply: Any
    _older: Any
    _halt: Any

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """The callback: gives `Supervise`, or `Ignore`. As it stands it takes what `Supervise` takes."""
        return Supervise(*args, **kwargs)

    def _init(self, callback: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.process.trap_exit = True
        self._pool = self._reply = self._older = self._halt = None
        self._args = args, kwargs
        try:
            wanted = callback(*args, **kwargs)
            if isinstance(wanted, (Ignore, Stop)):
                return wanted
            if not isinstance(wanted, Supervise):
                return Stop((A.bad_return, (self.module, A.init, told(wanted, BRIEF).encode("utf-8", "replace"))))
            specs = children_of(wanted.children, wanted.flags.auto_shutdown)
        except BadFlags as error:
            return Stop((A.supervisor_data, error.reason))
        except BadChildSpec as error:
            return Stop((A.start_spec, error.reason))
        if wanted.flags.strategy is A.simple_one_for_one:
            if len(specs) != 1:
                return Stop((A.bad_start_spec, [spec.to_wire() for spec in specs]))
            self._template = specs[0]
            self._pool = dynamic_core.Pool(wanted.flags)
            return None
        self._state = core.new(wanted.flags, specs)
        self._run(core.Boot())
        return None if self._halt is None else Stop(self._halt)

    # --- carry out -----------------------------------------------------------------------------
    def _run(self, event: Any) -> None:
        """Take `event` through the core until nothing is to be done; leaves `_reply` and `_halt`."""
        state, exits = self._state, None
        while event is not None:
            effects = core.step(state, event)
            event = None
            for effect in effects:
                kind = type(effect)
                if kind is core.Start:
                    event = self._launch(effect.child.spec)
                elif kind is core.Reply:
                    self._reply, self._older = effect.value, effect.older
                elif kind is core.Progress:
                    self._log_progress(effect.child)
                elif kind is core.Stop:
                    if exits is None:
                        exits = Exits(self.process, lambda: core.to_be_stopped(state))
                    event = self._end_child(effect.child, exits)
                else:
                    self._effect(effect)

    def _run_pool(self, pool: dynamic_core.Pool, effects: dynamic_core.Effects) -> None:
        for effect in effects:
            if not isinstance(effect, core.Start):
                self._effect(effect)
                continue
            outcome = self._launch(effect.child.spec)
            if isinstance(outcome, core.Started):
                pool.started(outcome.pid)
                self._reply = outcome.answer
            elif isinstance(outcome, core.Ignored):
                pool.ignored()
                self._reply = (A.ok, A.undefined)
            else:
                self._reply = (A.error, outcome.reason)
                self._run_pool(pool, pool.failed(outcome.reason))

    def _effect(self, effect: Any) -> None:
        if isinstance(effect, core.Report):
            self._log_report(effect)
        elif isinstance(effect, core.Again):
            self.process.system.send(self.process.pid, (A["$gen_cast"], (A.try_again_restart, effect.id)))
        elif isinstance(effect, core.Halt):
            self._halt = effect.reason

    # --- callbacks of the server ---------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.start_child, what):
                self._answer_start(from_, self._add(what))
            case A.which_children:
                self._answer(from_, self._which())
            case A.count_children:
                self._answer(from_, self._count())
            case (A.get_childspec, id):
                spec = self._find_spec(id)
                self._answer(from_, core.NOT_FOUND.value if spec is None else (A.ok, spec.to_wire()))
            case (Atom() as what, id):
                self._answer(from_, self._about(what, id))
            case _:
                self._answer(from_, (A.error, (A.unknown_call, request)))
        return _ANSWERED

    def _answer_start(self, from_: Any, value: Any) -> None:
        """As the supervisor of the caller's release answers ``start_child``."""
        older, self._older = self._older, None
        if older is None:
            self._answer(from_, value)
        else:
            sys.answer_by_release(self, from_, releases.PLAIN_ALREADY_STARTED, value, older)

    def handle_cast(self, request: Any) -> Any:
        match request:
            case (A.try_again_restart, id):
                now = self.process.system.timers.now()
                if self._pool is None:
                    self._run(core.TryAgain(id, now))
                elif isinstance(id, Pid):
                    self._run_pool(self._pool, self._pool.try_again(id, now))
                return self._ended()
        self._unexpected(request)
        return None

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.EXIT, Pid() as pid, reason):
                now = self.process.system.timers.now()
                if self._pool is None:
                    self._run(core.Exited(pid, reason, now))
                else:
                    self._run_pool(self._pool, self._pool.exited(pid, reason, now))
                return self._ended()
        self._unexpected(message)
        return None

    def terminate(self, reason: Any) -> None:  # noqa: ARG002  # the callback's shape
        """The children end first, in reverse order; those of simple_one_for_one all at once."""
        if self._pool is None:
            self._run(core.End())
        else:
            self._end_pool(self._pool)

    def _ended(self) -> Stop | None:
        return None if self._halt is None else Stop(self._halt)

    def _end_pool(self, pool: dynamic_core.Pool) -> None:
        running = dict(pool.running())
        reasons = stop_processes(self.process, [(pid, spec.shutdown) for pid, spec in running.items()])
        pool.children.clear()
        for report, many in dynamic_core.alike(dynamic_core.shutdown_errors(running, reasons)):
            self._log_report(report, many=many)

    # --- asked by sys --------------------------------------------------------------------------
    def system_get_state(self) -> Any:
        """``#state{}`` of OTP's supervisor, field by field."""
        pool = self._pool
        if pool is None:
            state = self._state
            flags, restarts = state.flags, state.restarts
            records = [(child.spec.id, child.spec.to_record(core.shown_pid(child.pid))) for child in state.children]
            children: Any = [id for id, _ in reversed(records)], TermMap(records)
            dynamics: Any = A.undefined
        else:
            flags, restarts = pool.flags, pool.restarts
            spec = self._template
            children = [spec.id], TermMap([(spec.id, spec.to_record(A.undefined))])
            dynamics = A.maps, {pid: spec.start.mfa[2] for pid, spec in pool.children.items()}
        seconds = [int(then) for then in restarts]
        return (
            A.state, self.sup_name, flags.strategy, children, dynamics, flags.intensity, flags.period, seconds,
            0 if pool is None else pool.restarting, flags.auto_shutdown, self.module, list(self._args[0]),
        )  # fmt: skip

    def system_replace_state(self, fun: Any) -> Any:  # noqa: ARG002  # the shape that sys calls
        raise UsageError("the state of a supervisor is not replaced; change its children by its requests")

    def code_change(self, old_vsn: Any, extra: Any) -> None:  # noqa: ARG002  # the callback's shape
        """Ask `init` again and take its flags and specifications; children that run are not touched, as in OTP."""
        args, kwargs = self._args
        wanted = type(self).init(self, *args, **kwargs)
        if not isinstance(wanted, Supervise):
            return
        specs = children_of(wanted.children, wanted.flags.auto_shutdown)
        if self._pool is not None:
            self._pool.flags, self._template = wanted.flags, specs[0]
        else:
            core.change(self._state, wanted.flags, specs)

    # --- requests ------------------------------------------------------------------------------
    def _which(self) -> list[tuple[Any, ...]]:
        return core.which_children(self._state) if self._pool is None else self._pool.which_children()

    def _count(self) -> list[tuple[Atom, int]]:
        if self._pool is not None:
            return self._pool.count_children(specs=1)
        return core.count_children(self._state, self._is_alive)

    def _is_alive(self, pid: Pid) -> bool:
        """Of a remote process its link would have told."""
        system = self.process.system
        return not system.is_local(pid) or system.process(pid) is not None

    def _add(self, what: Any) -> Any:
        if self._pool is not None:
            if not isinstance(what, (list, tuple)):
                return A.error, (A.EXIT, (A.badarg, []))
            return self._add_to_pool(self._pool, list(what))
        try:
            spec = what if isinstance(what, ChildSpec) else from_wire(what)
            check_significant(spec, self._state.flags.auto_shutdown)
        except BadChildSpec as error:
            return A.error, error.reason
        return self._replied(core.AddChild(spec))

    def _add_to_pool(self, pool: dynamic_core.Pool, args: list[Any]) -> Any:
        self._run_pool(pool, pool.add(dynamic_core.with_arguments(self._template, args)))
        return self._reply

    def _replied(self, event: Any) -> Any:
        self._run(event)
        return self._reply

    def _about(self, what: Atom, id: Any) -> Any:
        """A request about the child `id`."""
        if self._pool is not None:
            return self._about_pooled(self._pool, what, id)
        if what is A.terminate_child:
            return self._replied(core.TerminateChild(id))
        if what is A.restart_child:
            return self._replied(core.RestartChild(id))
        if what is A.delete_child:
            return self._replied(core.DeleteChild(id))
        if what is A.which_child:
            child = self._state.children.get(id)
            if child is None and isinstance(id, Pid):
                child = self._state.children.of_pid(id)
            return core.NOT_FOUND.value if child is None else (A.ok, core.which(child, child.spec.id))
        return A.error, (A.unknown_call, what)

    def _about_pooled(self, pool: dynamic_core.Pool, what: Atom, id: Any) -> Any:
        if what is not A.terminate_child or not isinstance(id, Pid):
            return A.error, A.simple_one_for_one
        if id in pool.children:
            self._end_pooled(pool, id)
        elif self._is_alive(id):
            return core.NOT_FOUND.value
        return A.ok

    def _end_pooled(self, pool: dynamic_core.Pool, pid: Pid) -> None:
        if pool.is_running(pid):
            spec = pool.children[pid]
            reasons = stop_processes(self.process, [(pid, spec.shutdown)])
            for report in dynamic_core.shutdown_errors({pid: spec}, reasons):
                self._log_report(report)
        pool.forget(pid)

    def _find_spec(self, id: Any) -> ChildSpec | None:
        if self._pool is None:
            child = self._state.children.get(id)
            return None if child is None else child.spec
        mine = isinstance(id, Pid) and (id in self._pool.children or not self._is_alive(id))
        known = mine or same(id, self._template.id)
        return self._template if known else None

    # --- from Python ---------------------------------------------------------------------------
    @classmethod
    def start_link(cls, *args: Any, name: Any = None, on: Any = None, **kwargs: Any) -> Pid | None:
        """Start it linked to the calling process, with the arguments of its `init`; None when that gave `Ignore`.

        Raises `StartFailed` (``{shutdown, {failed_to_start_child, Id, Reason}}`` when a child did not start).
        """
        return where.start_link(cls, *args, name=name, on=on, **kwargs)

    @staticmethod
    def which_children(supervisor: Any, *, on: Any = None) -> list[tuple[Any, Any, Atom, Any]]:
        """(id, pid or `undefined` or `restarting`, worker or supervisor, modules) of each, last started first."""
        children: list[tuple[Any, Any, Atom, Any]] = where.call(supervisor, A.which_children, None, on)
        return children

    @staticmethod
    def count_children(supervisor: Any, *, on: Any = None) -> dict[str, int]:
        """``{"specs": …, "active": …, "supervisors": …, "workers": …}``."""
        return {str(key): value for key, value in where.call(supervisor, A.count_children, None, on)}

    @staticmethod
    def start_child(supervisor: Any, child: Any, *, on: Any = None) -> Pid | None:
        """Add a child and start it; of simple_one_for_one, `child` is the list of further arguments.

        The supervisor may run on a BEAM: then `child` names a function there, ``start=(A.Module, A.function, [args])``.
        Gives its pid, None when it was ignored. Raises `StartFailed` with what OTP has as ``{error, Reason}``.
        """
        system = where.system_of(on)
        request = child
        if not isinstance(child, list):
            spec = child_of(child)
            request = spec if system.resolve(supervisor)[0] is system.node else spec.to_wire()
        return child_pid(gen.call(system, supervisor, (A.start_child, request), None))

    @staticmethod
    def restart_child(supervisor: Any, id: Any, *, on: Any = None) -> Pid | None:
        """Start a child that has been terminated. Raises `StartFailed`: its own reason, `running`, `not_found`, …"""
        return child_pid(where.call(supervisor, (A.restart_child, _id(id)), None, on))

    @staticmethod
    def terminate_child(supervisor: Any, id: Any, *, on: Any = None) -> None:
        """Stop a child; its specification stays, unless it is temporary. Raises `SupervisorError`."""
        unwrap(where.call(supervisor, (A.terminate_child, _id(id)), None, on))

    @staticmethod
    def delete_child(supervisor: Any, id: Any, *, on: Any = None) -> None:
        """Forget a child that does not run. Raises `SupervisorError`."""
        unwrap(where.call(supervisor, (A.delete_child, _id(id)), None, on))

    @staticmethod
    def get_childspec(supervisor: Any, id: Any, *, on: Any = None) -> dict[Atom, Any]:
        """OTP's map, with milliseconds. Raises `SupervisorError`."""
        spec: dict[Atom, Any] = unwrap(where.call(supervisor, (A.get_childspec, _id(id)), None, on))
        return spec


def _id(id: Any) -> Any:
    if isinstance(id, type):
        return module_name(id)
    return Atom(id) if isinstance(id, str) else id


def unwrap(answer: Any) -> Any:
    if answer is A.ok:
        return None
    if answer[0] is A.ok:
        return answer[1]
    raise SupervisorError(answer[1])


def child_pid(answer: Any) -> Pid | None:
    if answer is A.ignore:
        return None
    if answer[0] is A.ok:
        return None if answer[1] is A.undefined else answer[1]
    raise StartFailed(answer[1], f"the child was not started: {gen.brief(answer[1])}")
