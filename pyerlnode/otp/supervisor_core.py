"""What a supervisor decides, without processes: ``step(state, event) → effects`` (OTP's `supervisor`).

A state holds the children in the order of their start, the times of the restarts that count, and a plan: the starts
and stops that are still to be done, one at a time. There may be many children, so it is changed in place, and a step
takes constant time; the plan of a restart or an end takes time in the number of those that it is about. A step gives at
most one `Start` or `Stop`, as the last of its effects; whoever carries it out answers with `Started`, `Ignored`,
`Failed` or `Stopped`, and gets the next.

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

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from pyerlnode.otp.child_spec import ChildSpec, milliseconds
from pyerlnode.otp.children_core import Child, Children, Restarting, Restarts
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key
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


# --- the state ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Flags:
    """OTP's supervisor flags; `period` in seconds."""

    strategy: Atom = A.one_for_one
    intensity: int = 1
    period: float = 5.0
    auto_shutdown: Atom = A.never


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


@dataclass(slots=True)
class Task:
    """One part of a plan: start a child, or stop it."""

    start: bool
    child: Key


@dataclass(slots=True)
class State:
    """Changed in place, by `step` alone."""

    flags: Flags = field(default_factory=Flags)
    children: Children = field(default_factory=Children)
    restarts: Restarts = field(default_factory=Restarts)
    plan: list[Task] = field(default_factory=list)
    """What is still to be done, the next one last."""
    aim: Aim = Aim.IDLE
    cause: Child | None = None
    """RESTART: the child whose end has caused it."""
    failure: Any = None
    """UNDO: why the boot failed."""


def new(flags: Flags, specs: tuple[ChildSpec, ...]) -> State:
    return State(flags, Children(Child(spec) for spec in specs))


def change(state: State, flags: Flags, specs: tuple[ChildSpec, ...]) -> None:
    """After a code change: new flags and specifications; who runs, runs on, also without a specification."""
    known, state.flags, state.children = state.children, flags, Children()
    for spec in specs:
        was = known.get(spec.id)
        state.children.put(Child(spec, None if was is None else was.pid))
    for child in known:
        if child.spec.id not in state.children:
            state.children.put(child)


def to_be_stopped(state: State) -> set[Pid]:
    """Who the plan under way stops. Takes time in the length of the plan."""
    found = set()
    for task in state.plan:
        child = None if task.start else state.children.at(task.child)
        if child is not None and type(child.pid) is Pid:
            found.add(child.pid)
    return found


# --- events ------------------------------------------------------------------------------------
# They and the effects are made for every child and live for one step: to freeze one costs more than to make it.
@dataclass(slots=True)
class Boot:
    """The supervisor starts."""


@dataclass(slots=True)
class Exited:
    """The linked process `pid` has ended, at `now`."""

    pid: Pid
    reason: Any
    now: float


@dataclass(slots=True)
class TryAgain:
    """What `Again` asked for."""

    id: Any
    now: float


@dataclass(slots=True)
class AddChild:
    spec: ChildSpec


@dataclass(slots=True)
class RestartChild:
    id: Any


@dataclass(slots=True)
class TerminateChild:
    id: Any


@dataclass(slots=True)
class DeleteChild:
    id: Any


@dataclass(slots=True)
class End:
    """The supervisor ends."""


@dataclass(slots=True)
class Started:
    """Answer to `Start`: the child runs. `answer` is ``{ok, Pid}`` or ``{ok, Pid, Info}``."""

    pid: Pid
    answer: tuple[Any, ...]


@dataclass(slots=True)
class Ignored:
    """Answer to `Start`: the start function gave `ignore`."""


@dataclass(slots=True)
class Failed:
    """Answer to `Start`: it did not start."""

    reason: Any


@dataclass(slots=True)
class Stopped:
    """Answer to `Stop`: it has ended with `reason`."""

    reason: Any


# --- effects -----------------------------------------------------------------------------------
@dataclass(slots=True)
class Start:
    child: Child


@dataclass(slots=True)
class Stop:
    child: Child


@dataclass(slots=True)
class Reply:
    """Answer the request under way; `older` is what OTP's supervisor answered before release 27, where that differs."""

    value: Any
    older: Any = None


@dataclass(slots=True)
class Report:
    """OTP's supervisor report: `context` is start_error, child_terminated, shutdown_error or shutdown."""

    context: Atom
    reason: Any
    child: Child


@dataclass(slots=True)
class Progress:
    """A child has been started."""

    child: Child


@dataclass(slots=True)
class Again:
    """Come back with `TryAgain`, behind what already waits in the mailbox."""

    id: Any


@dataclass(slots=True)
class Halt:
    """The supervisor ends with `reason`."""

    reason: Any


Effects = tuple[Any, ...]
NOT_FOUND: Final = Reply((A.error, A.not_found))
OK: Final = Reply(A.ok)


def step(state: State, event: Any) -> Effects:
    """Change `state`, and say what is to be done."""
    return _STEPS[type(event)](state, event)


# --- the plan ----------------------------------------------------------------------------------
def _advance(state: State, *effects: Any) -> Effects:
    """The next task of the plan; its end when there is none."""
    plan = state.plan
    while plan:
        task = plan[-1]
        child = state.children.at(task.child)
        if child is not None and (task.start or type(child.pid) is Pid):
            return *effects, Start(child) if task.start else Stop(child)
        plan.pop()  # it was temporary and is forgotten, or does not run
        if child is not None:
            _off(state, child)
    aim, failure = state.aim, state.failure
    state.aim, state.cause, state.failure = Aim.IDLE, None, None
    if aim is Aim.UNDO:
        return *effects, Halt((A.shutdown, failure))
    return (*effects, OK) if aim is Aim.REMOVE else effects


def _off(state: State, child: Child) -> None:
    """`child` does not run any more: without a pid, or forgotten when it is temporary."""
    if child.spec.temporary:
        state.children.drop(child)
    else:
        state.children.put(child.having(None))


def _head(state: State) -> Child:
    """The child that the task that has been done was about; the task is taken from the plan."""
    child = state.children.at(state.plan.pop().child)
    assert child is not None
    return child


def _begin(state: State, aim: Aim, plan: list[Task], *effects: Any) -> Effects:
    state.aim, state.plan = aim, plan
    return _advance(state, *effects)


def _started(state: State, event: Started) -> Effects:
    aim = state.aim
    child = _head(state)
    running = child.having(event.pid)
    forgets = aim is Aim.ADD and child.spec.temporary
    state.children.put(child.having(event.pid, child.spec.forgetting()) if forgets else running)
    if aim is Aim.ADD or aim is Aim.REVIVE:
        return _advance(state, Progress(running), Reply(event.answer))
    return _advance(state, Progress(running))


def _ignored(state: State, _: Ignored) -> Effects:
    aim = state.aim
    _off(state, _head(state))
    return _advance(state, Reply((A.ok, A.undefined))) if aim in (Aim.ADD, Aim.REVIVE) else _advance(state)


def _failed(state: State, event: Failed) -> Effects:
    child = _head(state)
    if state.aim is Aim.BOOT:
        state.failure = (A.failed_to_start_child, child.spec.id, event.reason)
        return _begin(state, Aim.UNDO, _stops(state.children.from_last()), Report(A.start_error, event.reason, child))
    if state.aim is Aim.RESTART:
        return _restart_failed(state, child, event.reason)
    if state.aim is Aim.ADD:
        state.children.drop(child)
        with_child = (A.error, (event.reason, child.spec.to_record(A.undefined)))
        match event.reason:
            case (A.already_started, _):
                return _advance(state, Reply((A.error, event.reason), with_child))
        return _advance(state, Reply(with_child))
    return _advance(state, Reply((A.error, event.reason)))


def _restart_failed(state: State, child: Child, reason: Any) -> Effects:
    """It is tried again later, so that requests (an order to stop, say) are looked at in between."""
    cause = state.cause
    assert cause is not None
    old = None
    if child.key == cause.key:
        old = cause.pid.pid if isinstance(cause.pid, Restarting) else cause.pid
    shown = cause if state.flags.strategy is A.one_for_one else child.having(None)
    state.children.put(child.having(Restarting(old)))
    state.plan = []
    return _advance(state, Report(A.start_error, reason, shown), Again(child.spec.id))


def _stopped(state: State, event: Stopped) -> Effects:
    child = _head(state)
    _off(state, child)
    if stopped_well(child.spec, event.reason):
        return _advance(state)
    return _advance(state, Report(A.shutdown_error, event.reason, child))


def _stops(from_last: list[Child]) -> list[Task]:
    """Stop those of `from_last` in its order; as a plan, whose next task is the last one."""
    return [Task(False, child.key) for child in reversed(from_last)]


def _starts(from_last: list[Child]) -> list[Task]:
    """Start them in the order of their start."""
    return [Task(True, child.key) for child in from_last]


# --- begin and end -----------------------------------------------------------------------------
def _boot(state: State, _: Boot) -> Effects:
    return _begin(state, Aim.BOOT, _starts(state.children.from_last()))


def _end(state: State, _: End) -> Effects:
    return _begin(state, Aim.END, _stops(state.children.from_last()))


# --- exits -------------------------------------------------------------------------------------
def _exited(state: State, event: Exited) -> Effects:
    child = state.children.of_pid(event.pid)
    if child is None:
        return ()
    spec = child.spec
    report = (Report(A.child_terminated, event.reason, child),) if is_reported(spec.restart, event.reason) else ()
    if is_restarted(spec.restart, event.reason):
        return _restart(state, child, event.now, *report)
    _off(state, child)
    return (*report, Halt(A.shutdown)) if _ends_all(state, spec) else report


def _ends_all(state: State, spec: ChildSpec) -> bool:
    """Whether the end of a child that is not restarted ends the supervisor (`auto_shutdown`)."""
    auto = state.flags.auto_shutdown
    if auto is A.never or not spec.significant:
        return False
    return auto is A.any_significant or not state.children.significant


def _try_again(state: State, event: TryAgain) -> Effects:
    child = state.children.get(event.id)
    if child is None or not isinstance(child.pid, Restarting):
        return ()  # it has been terminated or deleted, or its supervisor has restarted it with others
    return _restart(state, child, event.now)


def _restart(state: State, child: Child, now: float, *effects: Any) -> Effects:
    flags, children = state.flags, state.children
    if state.restarts.add(now, flags.period) > flags.intensity:
        _off(state, child)
        return *effects, Report(A.shutdown, A.reached_max_restart_intensity, child), Halt(A.shutdown)
    idle = child.having(None)
    children.put(idle)
    state.cause = child
    if flags.strategy is A.one_for_one:
        return _begin(state, Aim.RESTART, [Task(True, idle.key)], *effects)
    from_last = children.from_last(idle if flags.strategy is A.rest_for_one else None)
    return _begin(state, Aim.RESTART, _starts(from_last) + _stops(from_last), *effects)


# --- requests ----------------------------------------------------------------------------------
def _add(state: State, event: AddChild) -> Effects:
    child = Child(event.spec)
    its = child.key
    known = state.children.at(its)
    if known is not None:
        why = (A.already_started, known.pid) if isinstance(known.pid, Pid) else A.already_present
        return (Reply((A.error, why)),)
    state.children.put(child)
    return _begin(state, Aim.ADD, [Task(True, its)])


def _refusal(child: Child | None) -> Reply:
    """Why a child can be neither restarted nor deleted: there is none, or it is not idle."""
    if child is None:
        return NOT_FOUND
    return Reply((A.error, A.restarting if isinstance(child.pid, Restarting) else A.running))


def _revive(state: State, event: RestartChild) -> Effects:
    child = state.children.get(event.id)
    if child is None or child.pid is not None:
        return (_refusal(child),)
    return _begin(state, Aim.REVIVE, [Task(True, child.key)])


def _terminate(state: State, event: TerminateChild) -> Effects:
    child = state.children.get(event.id)
    return (NOT_FOUND,) if child is None else _begin(state, Aim.REMOVE, [Task(False, child.key)])


def _delete(state: State, event: DeleteChild) -> Effects:
    child = state.children.get(event.id)
    if child is None or child.pid is not None:
        return (_refusal(child),)
    state.children.drop(child)
    return (OK,)


_STEPS: Final[dict[type, Callable[[State, Any], Effects]]] = {
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
    return [which(child, child.spec.id) for child in reversed(state.children)]


def count_children(state: State, is_alive: Callable[[Pid], bool]) -> list[tuple[Atom, int]]:
    count, active, supervisors = len(state.children), 0, 0
    for child in state.children:
        if type(child.pid) is Pid and is_alive(child.pid):
            active += 1
        if child.spec.type is A.supervisor:
            supervisors += 1
    return counts(count, active, supervisors, count - supervisors)


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
