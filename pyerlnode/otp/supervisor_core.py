"""What a supervisor decides, as values: ``step(state, event) → (state, effects)`` (OTP's `supervisor`).

A state holds the children in the order of their start, the times of the restarts that count, and a plan: the starts
and stops that are still to be done, one at a time. A step gives at most one `Start` or `Stop`, as the last of its
effects; whoever carries it out answers with `Started`, `Ignored`, `Failed` or `Stopped`, and gets the next.

    event                          what follows
    Boot                           start all in order; one that fails: stop those that run, `Halt`
    Exited                         by restart type: restart, forget, or end by `auto_shutdown`
    TryAgain                       a child that did not start in a restart is restarted again; that counts, too
    AddChild, RestartChild         one start, `Reply`
    TerminateChild                 one stop, `Reply`
    DeleteChild                    `Reply`
    End                            stop all in reverse order

    strategy                       a restart stops and starts
    one_for_one                    that child
    rest_for_one                   that child and those started after it
    one_for_all                    all children

Temporary children are never restarted: those that a restart stops are forgotten. More than `intensity` restarts
within `period` seconds end the supervisor. simple_one_for_one has a core of its own, `dynamic_core`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from pyerlnode.otp.child_spec import ChildSpec, milliseconds
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid


# --- rules that every supervisor shares --------------------------------------------------------
def is_orderly(reason: Any) -> bool:
    """`normal`, `shutdown` and ``{shutdown, _}``: an end that was meant."""
    return reason is A.normal or reason is A.shutdown or _is_shutdown_term(reason)


def _is_shutdown_term(reason: Any) -> bool:
    return type(reason) is tuple and len(reason) == 2 and reason[0] is A.shutdown


def is_restarted(restart: Atom, reason: Any) -> bool:
    """Whether a child of this restart type that has ended with `reason` is started again."""
    return restart is A.permanent or (restart is A.transient and not is_orderly(reason))


def is_reported(restart: Atom, reason: Any) -> bool:
    """Whether its end is worth a report (`child_terminated`)."""
    return restart is A.permanent or not is_orderly(reason)


def stopped_well(spec: ChildSpec, reason: Any) -> bool:
    """Whether a child that its supervisor has stopped ended as it should; else `shutdown_error` is reported."""
    if spec.restart is not A.permanent and is_orderly(reason):
        return True
    return reason is (A.killed if spec.shutdown is A.brutal_kill else A.shutdown)


def add_restart(restarts: tuple[float, ...], now: float, period: float) -> tuple[float, ...]:
    """The restarts that count at `now`, this one among them, the latest first."""
    return (now, *(then for then in restarts if now - then <= period))


# --- the state ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Flags:
    """OTP's supervisor flags; `period` in seconds."""

    strategy: Atom = A.one_for_one
    intensity: int = 1
    period: float = 5.0
    auto_shutdown: Atom = A.never


@dataclass(frozen=True, slots=True)
class Restarting:
    """Stands for the pid of a child whose restart has failed and is tried again; `pid` is what it had last."""

    pid: Pid | None


@dataclass(frozen=True, slots=True)
class Child:
    """A child of the supervisor: its specification and, while it runs, its pid."""

    spec: ChildSpec
    pid: Pid | Restarting | None = None


class Aim(Enum):
    """What the plan under way is for."""

    IDLE = "nothing is under way"
    BOOT = "start of the supervisor"
    UNDO = "stop what a failed boot has started"
    RESTART = "restart after an exit"
    ADD = "start_child"
    REVIVE = "restart_child"
    REMOVE = "terminate_child"
    END = "end of the supervisor"


Task = tuple[bool, Any]
"""(True to start or False to stop, id)."""


@dataclass(frozen=True, slots=True)
class State:
    flags: Flags = field(default_factory=Flags)
    children: Mapping[Any, Child] = field(default_factory=dict)
    """By id, in the order of their start."""
    restarts: tuple[float, ...] = ()
    plan: tuple[Task, ...] = ()
    aim: Aim = Aim.IDLE
    cause: Child | None = None
    """RESTART: the child whose end has caused it."""
    failure: Any = None
    """UNDO: why the boot failed."""


def new(flags: Flags, specs: tuple[ChildSpec, ...]) -> State:
    return State(flags, {spec.id: Child(spec) for spec in specs})


def changed(state: State, flags: Flags, specs: tuple[ChildSpec, ...]) -> State:
    """After a code change: new flags and specifications; who runs, runs on, also without a specification."""
    known = state.children
    children = {spec.id: Child(spec, known[spec.id].pid if spec.id in known else None) for spec in specs}
    children.update({id: child for id, child in known.items() if id not in children})
    return replace(state, flags=flags, children=children)


# --- events ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Boot:
    """The supervisor starts."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The linked process `pid` has ended, at `now`."""

    pid: Pid
    reason: Any
    now: float


@dataclass(frozen=True, slots=True)
class TryAgain:
    """What `Again` asked for."""

    id: Any
    now: float


@dataclass(frozen=True, slots=True)
class AddChild:
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class RestartChild:
    id: Any


@dataclass(frozen=True, slots=True)
class TerminateChild:
    id: Any


@dataclass(frozen=True, slots=True)
class DeleteChild:
    id: Any


@dataclass(frozen=True, slots=True)
class End:
    """The supervisor ends."""


@dataclass(frozen=True, slots=True)
class Started:
    """Answer to `Start`: the child runs. `answer` is ``{ok, Pid}`` or ``{ok, Pid, Info}``."""

    pid: Pid
    answer: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """Answer to `Start`: the start function gave `ignore`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Answer to `Start`: it did not start."""

    reason: Any


@dataclass(frozen=True, slots=True)
class Stopped:
    """Answer to `Stop`: it has ended with `reason`."""

    reason: Any


# --- effects -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Start:
    child: Child


@dataclass(frozen=True, slots=True)
class Stop:
    child: Child


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the request under way."""

    value: Any


@dataclass(frozen=True, slots=True)
class Report:
    """OTP's supervisor report: `context` is start_error, child_terminated, shutdown_error or shutdown."""

    context: Atom
    reason: Any
    child: Child


@dataclass(frozen=True, slots=True)
class Progress:
    """A child has been started."""

    child: Child


@dataclass(frozen=True, slots=True)
class Again:
    """Come back with `TryAgain`, behind what already waits in the mailbox."""

    id: Any


@dataclass(frozen=True, slots=True)
class Halt:
    """The supervisor ends with `reason`."""

    reason: Any


Step = tuple[State, tuple[Any, ...]]
NOT_FOUND: Final = Reply((A.error, A.not_found))
OK: Final = Reply(A.ok)


def step(state: State, event: Any) -> Step:
    """The next state, and what is to be done."""
    return _STEPS[type(event)](state, event)


# --- the plan ----------------------------------------------------------------------------------
def _advance(state: State, *effects: Any) -> Step:
    """The next task of the plan; its end when there is none."""
    while state.plan:
        start, id = state.plan[0]
        child = state.children.get(id)
        if child is not None and (start or isinstance(child.pid, Pid)):
            return state, (*effects, Start(child) if start else Stop(child))
        state = replace(state, plan=state.plan[1:])  # it was temporary and is forgotten, or does not run
        if child is not None:
            state = _off(state, child)
    aim, failure = state.aim, state.failure
    idle = replace(state, aim=Aim.IDLE, cause=None, failure=None)
    if aim is Aim.UNDO:
        return idle, (*effects, Halt((A.shutdown, failure)))
    return idle, (*effects, OK) if aim is Aim.REMOVE else effects


def _off(state: State, child: Child) -> State:
    """`child` does not run any more: without a pid, or forgotten when it is temporary."""
    return _without(state, child.spec.id) if child.spec.temporary else _with(state, replace(child, pid=None))


def _with(state: State, child: Child) -> State:
    return replace(state, children={**state.children, child.spec.id: child})


def _without(state: State, id: Any) -> State:
    return replace(state, children={key: child for key, child in state.children.items() if key != id})


def _head(state: State) -> tuple[State, Child]:
    """The state without the task that has been done, and the child it was about."""
    return replace(state, plan=state.plan[1:]), state.children[state.plan[0][1]]


def _started(state: State, event: Started) -> Step:
    aim = state.aim
    state, child = _head(state)
    spec = child.spec.forgetting() if aim is Aim.ADD else child.spec
    running = Child(spec, event.pid)
    effects: tuple[Any, ...] = (Progress(replace(child, pid=event.pid)),)
    if aim in (Aim.ADD, Aim.REVIVE):
        effects += (Reply(event.answer),)
    return _advance(_with(state, running), *effects)


def _ignored(state: State, _: Ignored) -> Step:
    aim = state.aim
    state, child = _head(state)
    state = _off(state, child)
    return _advance(state, Reply((A.ok, A.undefined))) if aim in (Aim.ADD, Aim.REVIVE) else _advance(state)


def _failed(state: State, event: Failed) -> Step:
    rest, child = _head(state)
    if state.aim is Aim.BOOT:
        failure = (A.failed_to_start_child, child.spec.id, event.reason)
        undo = replace(rest, aim=Aim.UNDO, failure=failure, plan=_stops(tuple(state.children)))
        return _advance(undo, Report(A.start_error, event.reason, child))
    if state.aim is Aim.RESTART:
        return _restart_failed(rest, child, event.reason)
    if state.aim is Aim.ADD:
        error = (event.reason, child.spec.to_record(A.undefined))
        return _advance(_without(rest, child.spec.id), Reply((A.error, error)))
    return _advance(rest, Reply((A.error, event.reason)))


def _restart_failed(state: State, child: Child, reason: Any) -> Step:
    """It is tried again later, so that requests (an order to stop, say) are looked at in between."""
    cause = state.cause
    assert cause is not None
    old = None
    if child.spec.id == cause.spec.id:
        old = cause.pid.pid if isinstance(cause.pid, Restarting) else cause.pid
    shown = cause if state.flags.strategy is A.one_for_one else replace(child, pid=None)
    state = replace(_with(state, replace(child, pid=Restarting(old))), plan=())
    return _advance(state, Report(A.start_error, reason, shown), Again(child.spec.id))


def _stopped(state: State, event: Stopped) -> Step:
    state, child = _head(state)
    report = () if stopped_well(child.spec, event.reason) else (Report(A.shutdown_error, event.reason, child),)
    return _advance(_off(state, child), *report)


def _stops(ids: tuple[Any, ...]) -> tuple[Task, ...]:
    return tuple((False, id) for id in reversed(ids))


def _starts(ids: tuple[Any, ...]) -> tuple[Task, ...]:
    return tuple((True, id) for id in ids)


# --- begin and end -----------------------------------------------------------------------------
def _boot(state: State, _: Boot) -> Step:
    return _advance(replace(state, aim=Aim.BOOT, plan=_starts(tuple(state.children))))


def _end(state: State, _: End) -> Step:
    return _advance(replace(state, aim=Aim.END, plan=_stops(tuple(state.children))))


# --- exits -------------------------------------------------------------------------------------
def _exited(state: State, event: Exited) -> Step:
    child = next((c for c in state.children.values() if c.pid == event.pid), None)
    if child is None:
        return state, ()
    spec = child.spec
    report = (Report(A.child_terminated, event.reason, child),) if is_reported(spec.restart, event.reason) else ()
    if is_restarted(spec.restart, event.reason):
        return _restart(state, child, event.now, *report)
    state = _off(state, child)
    return state, (*report, Halt(A.shutdown)) if _ends_all(state, spec) else report


def _ends_all(state: State, spec: ChildSpec) -> bool:
    """Whether the end of a child that is not restarted ends the supervisor (`auto_shutdown`)."""
    auto = state.flags.auto_shutdown
    if auto is A.never or not spec.significant:
        return False
    left = (c for c in state.children.values() if c.spec.significant and c.pid is not None)
    return auto is A.any_significant or next(left, None) is None


def _try_again(state: State, event: TryAgain) -> Step:
    child = state.children.get(event.id)
    if child is None or not isinstance(child.pid, Restarting):
        return state, ()  # it has been terminated or deleted, or its supervisor has restarted it with others
    return _restart(state, child, event.now)


def _restart(state: State, child: Child, now: float, *effects: Any) -> Step:
    flags = state.flags
    state = replace(state, restarts=add_restart(state.restarts, now, flags.period))
    if len(state.restarts) > flags.intensity:
        report = Report(A.shutdown, A.reached_max_restart_intensity, child)
        return _off(state, child), (*effects, report, Halt(A.shutdown))
    ids = tuple(state.children)
    if flags.strategy is A.one_for_one:
        affected: tuple[Any, ...] = (child.spec.id,)
    elif flags.strategy is A.rest_for_one:
        affected = ids[ids.index(child.spec.id) :]
    else:
        affected = ids
    state = _with(state, replace(child, pid=None))
    plan = _stops(affected) + _starts(affected)
    return _advance(replace(state, aim=Aim.RESTART, cause=child, plan=plan), *effects)


# --- requests ----------------------------------------------------------------------------------
def _add(state: State, event: AddChild) -> Step:
    id = event.spec.id
    known = state.children.get(id)
    if known is not None:
        why = (A.already_started, known.pid) if isinstance(known.pid, Pid) else A.already_present
        return state, (Reply((A.error, why)),)
    return _advance(replace(_with(state, Child(event.spec)), aim=Aim.ADD, plan=((True, id),)))


def _not_idle(child: Child | None) -> Reply | None:
    """Why a child can be neither restarted nor deleted; None when it can."""
    if child is None:
        return NOT_FOUND
    if child.pid is None:
        return None
    return Reply((A.error, A.restarting if isinstance(child.pid, Restarting) else A.running))


def _revive(state: State, event: RestartChild) -> Step:
    refusal = _not_idle(state.children.get(event.id))
    if refusal is not None:
        return state, (refusal,)
    return _advance(replace(state, aim=Aim.REVIVE, plan=((True, event.id),)))


def _terminate(state: State, event: TerminateChild) -> Step:
    if event.id not in state.children:
        return state, (NOT_FOUND,)
    return _advance(replace(state, aim=Aim.REMOVE, plan=((False, event.id),)))


def _delete(state: State, event: DeleteChild) -> Step:
    refusal = _not_idle(state.children.get(event.id))
    return (state, (refusal,)) if refusal is not None else (_without(state, event.id), (OK,))


_STEPS: Final[dict[type, Callable[[State, Any], Step]]] = {
    Boot: _boot,
    End: _end,
    Exited: _exited,
    TryAgain: _try_again,
    AddChild: _add,
    RestartChild: _revive,
    TerminateChild: _terminate,
    DeleteChild: _delete,
    Started: _started,
    Ignored: _ignored,
    Failed: _failed,
    Stopped: _stopped,
}


# --- what is told of the children --------------------------------------------------------------
def which(child: Child, id: Any) -> tuple[Any, ...]:
    """``{Id, Pid | restarting | undefined, Type, Modules}``."""
    pid: Any = A.undefined if child.pid is None else A.restarting if isinstance(child.pid, Restarting) else child.pid
    return id, pid, child.spec.type, child.spec.modules


def which_children(state: State) -> list[tuple[Any, ...]]:
    """The children, last started first."""
    return [which(child, id) for id, child in reversed(list(state.children.items()))]


def count_children(state: State, is_alive: Callable[[Pid], bool]) -> list[tuple[Atom, int]]:
    children = state.children.values()
    active = sum(isinstance(child.pid, Pid) and is_alive(child.pid) for child in children)
    supervisors = sum(child.spec.type is A.supervisor for child in children)
    return counts(len(children), active, supervisors, len(children) - supervisors)


def counts(specs: int, active: int, supervisors: int, workers: int) -> list[tuple[Atom, int]]:
    return [(A.specs, specs), (A.active, active), (A.supervisors, supervisors), (A.workers, workers)]


def offender(child: Child, *, many: int | None = None) -> list[tuple[Atom, Any]]:
    """What a report says of a child; `many`: of so many children alike."""
    spec = child.spec
    who = (A.nb_children, many) if many is not None else (A.pid, shown_pid(child.pid))
    return [
        who, (A.id, spec.id), (A.mfargs, spec.start.mfa), (A.restart_type, spec.restart),
        (A.significant, spec.significant), (A.shutdown, milliseconds(spec.shutdown)), (A.child_type, spec.type),
    ]  # fmt: skip


def shown_pid(pid: Pid | Restarting | None) -> Any:
    if isinstance(pid, Restarting):
        return A.restarting, A.undefined if pid.pid is None else pid.pid
    return A.undefined if pid is None else pid
