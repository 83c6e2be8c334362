"""GenStatem: a state machine as a process (OTP's `gen_statem`; the decisions are in `gen_statem_core`).

    class Door(GenStatem):
        callback_mode = A.state_functions
        def init(self, code):
            self.code = code
            return A.locked
        def locked(self, kind, content):
            match kind, content:
                case (A.call, from_), code if code == self.code:
                    return NextState(A.open, ReplyTo(from_, A.ok), state_timeout(10.0))
                case (A.call, from_), _:
                    return KeepState(ReplyTo(from_, A.wrong))
        def open(self, kind, content):
            match kind:
                case A.state_timeout:
                    return NextState(A.locked)
                case (A.call, _):
                    return KeepState(Postpone())

The instance is the data. `init` gives the first state, or ``Started(state, *actions)``, `Ignore` or `Stop`. With
`callback_mode` ``state_functions`` the state is an atom that names a method ``(kind, content)``; with
``handle_event_function`` it is any term and `handle_event(kind, content, state)` handles everything.
`state_enter = True` adds calls with the kind ``enter`` and the state that was left.

    kind                          event
    (A.call, from_)               a call; answer by `ReplyTo` or `reply`
    A.cast, A.info                a cast, any other message
    A.internal                    by `NextEvent`
    A.timeout, A.state_timeout, (A.timeout, name)     time-outs
    A.enter                       a state enter call
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from pyerlnode.brief import short
from pyerlnode.errors import Error, Exit, Throw, UsageError
from pyerlnode.otp import gen, sys, unmatched
from pyerlnode.otp.behaviour import Behaviour
from pyerlnode.otp.coroutines import refuse_coroutines
from pyerlnode.otp.gen_server import end_report, is_quiet, shape
from pyerlnode.otp.gen_statem_core import (
    Answer,
    CancelTimer,
    ChangeCallbackModule,
    Core,
    End,
    Fail,
    Hibernate,
    Invoke,
    KeepState,
    NextEvent,
    NextState,
    PopCallbackModule,
    Postpone,
    PushCallbackModule,
    RepeatState,
    ReplyTo,
    SetModule,
    StartTimer,
    StopAndReply,
    UpdateTimeout,
    event_timeout,
    state_timeout,
    timeout,
)
from pyerlnode.otp.results import Continue, Ignore, Stop
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.process_core import ALIVE
from pyerlnode.runtime.reason_core import module_atom
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key, key
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.gen_statem")

_FIRED = object()
"""Tag of a timer's own message; nobody else can send it."""
_BEGIN = object()


class Started:
    """From `init`: the first state, with actions."""

    __slots__ = ("actions", "state")

    def __init__(self, state: Any, *actions: Any) -> None:
        self.state = state
        self.actions = actions


class GenStatem(Behaviour):
    """Base class of state machines."""

    __slots__ = ("__core__", "__dict__", "__timers__")
    otp_module: ClassVar[Atom] = A.gen_statem
    callback_mode: ClassVar[Atom] = A.state_functions
    state_enter: ClassVar[bool] = False
    __core__: Core | None
    __timers__: dict[Key, Timer]

    @classmethod
    def _refuse_coroutines(cls) -> None:
        refuse_coroutines(cls, by_state=cls.callback_mode is A.state_functions)

    # --- callbacks -------------------------------------------------------------------------------
    def init(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002  # the callback's shape
        """Gives the first state, `Started`, `Ignore` or `Stop`."""
        raise UsageError(f"{type(self).__name__} has no init, so it has no first state")

    def handle_event(self, kind: Any, content: Any, state: Any) -> Any:  # noqa: ARG002  # the callback's shape
        raise Exit((A.undef, type(self).__name__), f"{type(self).__name__} has no handle_event")

    def terminate(self, reason: Any) -> Any:
        """Clean up; `state` is the last one."""

    # --- for use in callbacks ----------------------------------------------------------------------
    @property
    def state(self) -> Any:
        """The current state."""
        return None if self.__core__ is None else self.__core__.state

    def now(self) -> float:
        """The monotonic clock in seconds, on which moments of absolute time-outs are."""
        moment: float = self.process.system.timers.now()
        return moment

    def reply(self, from_: tuple[Any, Any], value: Any) -> None:
        """Answer a call; `ReplyTo` does the same as an action."""
        gen.answer(self.process.system, from_, value)

    # --- the handler body --------------------------------------------------------------------------
    def answering(self) -> Callable[..., Any]:
        state = self.state
        by_state = self.callback_mode is A.state_functions and type(state) is Atom
        return getattr(type(self), state.name, self.handle_event) if by_state else type(self).handle_event

    def initialised(self, result: Any) -> None:
        started = result if isinstance(result, Started) else Started(result)
        self.__core__ = Core(started.state, enter_calls=self.state_enter, module=type(self))
        # As a message: the one who starts it does not wait for the first state enter call's successors.
        self.process.deliver_first((A.system, None, Continue((_BEGIN, started.actions))))

    def continue_(self, then: Continue) -> None:
        assert self.__core__ is not None
        _guarded(self, None, self.__core__.started, then.value[1])

    def handle(self, message: Any) -> None:
        if type(message) is tuple and message:
            tag = message[0]
            if tag is A.system and len(message) == 3:
                sys.handle_system_message(self, message[1], message[2])
                return
            if tag is _FIRED:
                assert self.__core__ is not None
                _guarded(self, message, self.__core__.fired, message[1], message[2])
                return
            if tag is A.EXIT and len(message) == 3 and self._is_parent(message[1]):
                type(self).system_terminate(self, message[2])
                return
        kind, content = type(self).event_of(self, message)
        assert self.__core__ is not None
        _guarded(self, message, self.__core__.arrived, kind, content)

    def _is_parent(self, pid: Any) -> bool:
        return type(pid) is Pid and pid == self.process.parent

    def event_of(self, message: Any) -> tuple[Any, Any]:
        """The kind and content of the event that a message is."""
        if type(message) is tuple and message:
            if (  # `gen.is_from`, without a call for each call
                message[0] is gen.CALL
                and len(message) == 3
                and type(from_ := message[1]) is tuple
                and len(from_) == 2
                and type(from_[0]) is Pid
            ):
                return (A.call, from_), message[2]
            if message[0] is gen.CAST and len(message) == 2:
                return A.cast, message[1]
        return A.info, message

    def _gave_none(self, function: Any, args: tuple[Any, ...]) -> None:
        """The callback keeps the state, or has no case for the event; then a caller would wait for nothing."""
        cls, process, kind = type(self), self.__process__, args[0]
        if type(kind) is tuple and kind[0] is A.call and unmatched.is_missed(function, args):
            raise unmatched.function_clause(cls, function.__func__)
        what = f"{kind if type(kind) is Atom else unmatched.shape(kind)}: {unmatched.shape(args[1])}"
        unmatched.gave_none(log, cls, process.name or process.pid, function, args, what)

    # --- asked by sys --------------------------------------------------------------------------------
    def system_get_state(self) -> Any:
        """``{State, Data}``."""
        return self.state, super().system_get_state()

    def system_replace_state(self, fun: Any) -> Any:
        replaced = fun(self.system_get_state())
        if type(replaced) is not tuple or len(replaced) != 2:
            raise Error((A.badmatch, replaced))
        state, data = replaced
        super().system_replace_state(lambda _: data)
        assert self.__core__ is not None
        self.__core__.state = state
        return state, data

    def system_terminate(self, reason: Any) -> None:
        self._end(reason, None, None)

    # --- the end ---------------------------------------------------------------------------------------
    def _crashed(self, error: BaseException, message: Any) -> None:
        reason = caught(error)
        if self.process.alive:
            self._end(reason, error, message)

    def _end(self, reason: Any, error: BaseException | None, message: Any) -> None:
        for timer in self.__timers__.values():
            timer.cancel()
        self.__timers__.clear()
        reports = [] if is_quiet(reason) else [self._reporter(reason, error, message)]
        try:
            gen.returned(self.terminate, reason)
        except BaseException as second:
            reason = caught(second)
            reports.append(self._reporter(reason, second, message))
        self.process.finish(reason)
        for tell in reports:
            tell()

    def _reporter(self, reason: Any, error: BaseException | None, message: Any) -> Callable[[], None]:
        process = self.process
        postponed = 0 if self.__core__ is None else len(self.__core__.postponed)
        fields = {"name": process.name or process.pid, "queue": shape(message), "postponed": postponed}
        return end_report(log, self, reason, error, fields)


# On the path of each event, so not looked up in the object.
def _guarded(machine: GenStatem, message: Any, step: Any, *args: Any) -> None:
    try:
        effects, invoke = step(*args)
        while _perform(machine, effects) and invoke is not None:
            effects, invoke = machine.__core__.returned(_call(machine, invoke))  # type: ignore[union-attr]  # set by now
    except BaseException as error:
        machine._crashed(error, message)


def _call(machine: GenStatem, invoke: Invoke) -> Any:
    args: tuple[Any, ...] = (invoke.kind, invoke.content)
    if machine.callback_mode is not A.state_functions:
        function: Any = machine.handle_event
        args = (*args, invoke.state)
    else:
        function = getattr(machine, invoke.state.name, None) if type(invoke.state) is Atom else None
    if function is None:
        raise Exit(
            (A.undef, invoke.state), f"{type(machine).__name__} has no method for the state {short(invoke.state)}"
        )
    try:
        result = function(*args)
    except Throw as thrown:
        return thrown.value
    if result is None:
        machine._gave_none(function, args)
    return result


def _stop_timer(machine: GenStatem, name: Any) -> Key:
    """Cancel the time-out of that name, if one runs; gives its key."""
    mark = key(name)
    if machine.__timers__:
        timer = machine.__timers__.pop(mark, None)
        if timer is not None:
            timer.cancel()
    return mark


def _perform(machine: GenStatem, effects: list[Any]) -> bool:
    """Carry out; False when the machine has ended."""
    for effect in effects:
        kind = type(effect)
        if kind is Answer:
            gen.reply(machine.__process__.system, effect.from_, effect.value)
        elif kind is StartTimer:
            mark = _stop_timer(machine, effect.name)
            start = machine.__process__.system.timers.start
            message = (_FIRED, effect.name, effect.turn)
            seconds = max(0.0, effect.seconds - machine.now()) if effect.absolute else effect.seconds
            machine.__timers__[mark] = start(seconds, machine.__process__.deliver, message)
        elif kind is CancelTimer:
            _stop_timer(machine, effect.name)
        elif kind is SetModule:
            _set_module(machine, effect.module)
        elif kind is Fail:
            raise effect.error
        elif kind is End:
            type(machine).system_terminate(machine, effect.reason)
    return machine.__process__.exit_reason is ALIVE


def _set_module(machine: GenStatem, module: Any) -> None:
    """The attributes, which are the data, stay; whatever is no class of a state machine has no callbacks."""
    if not (isinstance(module, type) and issubclass(module, GenStatem)):
        name = module_atom(module) if isinstance(module, type) else module
        raise Error(A.undef, [(name, A.callback_mode, [], [])], f"{short(module)} is no class of a state machine")
    machine.__class__ = module


def start(
    system: System,
    cls: type[GenStatem],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    name: Any = None,
    link: Process | Pid | None = None,
    timeout: float | None = None,
    mailbox: MailboxLimit | None = None,
) -> Pid | None:
    """Start a state machine and wait for its `init`; as `gen_server.start`."""
    if not (isinstance(cls, type) and issubclass(cls, GenStatem)):
        raise UsageError(f"start wants a subclass of GenStatem, not {short(cls)}")
    machine = cls()
    machine.__core__ = None
    machine.__timers__ = {}
    options = kwargs or {}

    def init() -> Any:
        result = gen.returned(lambda: machine.init(*args, **options))
        return Started(result) if result is None else result

    process = gen.start(system, machine, init, name=name, link=link, timeout=timeout, mailbox=mailbox)
    return None if process is None else process.pid


__all__ = [
    "ChangeCallbackModule", "GenStatem", "Hibernate", "Ignore", "KeepState", "NextEvent", "NextState",
    "PopCallbackModule", "Postpone", "PushCallbackModule", "RepeatState", "ReplyTo", "Started", "Stop", "StopAndReply",
    "UpdateTimeout", "event_timeout", "start", "state_timeout", "timeout",
]  # fmt: skip
