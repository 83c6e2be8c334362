"""gen_statem's decisions, as a machine over plain values: events and what callbacks return, in; effects, out.

    effects, invoke = core.arrived(kind, content)      # an event from outside
    while invoke is not None:                          # a callback to call: kind, content, state
        effects, invoke = core.returned(result)        # what it gave

The law is that of OTP's `gen_statem`:

- Events wait in one queue. One is taken, its callback called, its actions carried out; only then comes the next.
- A postponed event is kept aside and comes back, before what waits in the queue, when the state changes.
- `NextEvent` puts events before everything that waits, also before postponed ones that come back.
- A change of state (not `RepeatState`) cancels the state time-out; any event cancels the event time-out; a generic
  time-out runs until it fires or is set anew. A time-out of 0 needs no timer: it is due when the queue is empty, before
  any event from outside, and until then it is cancelled, updated and set anew like any other.
- With state enter calls, the callback is called with ``enter`` and the old state before the next event, in the state
  that was entered; it may set time-outs and answer, not change the state, postpone or insert events.

The name of a time-out is the kind of its event: ``timeout``, ``state_timeout`` or ``{timeout, Name}``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.brief import told
from pyerlnode.errors import Error
from pyerlnode.otp.results import UNSET, Stop
from pyerlnode.runtime.reason_core import module_atom
from pyerlnode.term.atom import A
from pyerlnode.term.exact import ExactDict, Key, key, same

EVENT: Final = A.timeout
STATE: Final = A.state_timeout
ENTER: Final = A.enter
RETURN: Final = A.bad_return_from_state_function
ENTER_RETURN: Final = A.bad_state_enter_return_from_state_function
ACTION: Final = A.bad_action_from_state_function
ENTER_ACTION: Final = A.bad_state_enter_action_from_state_function


# --- what callbacks give: results, each with actions ---------------------------------------------
class Result:
    __slots__ = ("actions",)

    def __init__(self, *actions: Any) -> None:
        self.actions = actions


class KeepState(Result):
    """``keep_state``: the same as None when there are no actions."""

    __slots__ = ()


class RepeatState(Result):
    """``repeat_state``: as `KeepState`, and the state enter call is made again."""

    __slots__ = ()


class NextState(Result):
    """``next_state``."""

    __slots__ = ("state",)
    __match_args__ = ("state",)

    def __init__(self, state: Any, *actions: Any) -> None:
        super().__init__(*actions)
        self.state = state


class StopAndReply(Result):
    """``stop_and_reply``: the actions are `ReplyTo` only."""

    __slots__ = ("reason",)

    def __init__(self, reason: Any, *actions: Any) -> None:
        super().__init__(*actions)
        self.reason = reason


# --- actions ---------------------------------------------------------------------------------------
class Postpone:
    """Keep the event until the state changes."""

    __slots__ = ()


class Hibernate:
    """Accepted, as OTP has it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NextEvent:
    """``{next_event, Kind, Content}``: the next event to handle; its kind is ``A.internal`` or any other."""

    kind: Any
    content: Any


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """``{reply, From, Value}``."""

    from_: Any
    value: Any


@dataclass(frozen=True, slots=True)
class SetTimeout:
    """Start the time-out `name`; `seconds` None cancels it. Made by the functions below."""

    name: Any
    seconds: float | None
    content: Any
    absolute: bool = False
    """OTP's ``{abs, true}``: `seconds` is a moment of the monotonic clock (`gen_statem.GenStatem.now`)."""


@dataclass(frozen=True, slots=True)
class UpdateTimeout:
    """``{…, update, Content}``: another content for a running time-out; one that does not run fires at once."""

    name: Any
    content: Any


@dataclass(frozen=True, slots=True)
class ChangeCallbackModule:
    """``{change_callback_module, Module}``: the callbacks are those of the class `module` from now on."""

    module: Any


@dataclass(frozen=True, slots=True)
class PushCallbackModule:
    """``{push_callback_module, Module}``: as `ChangeCallbackModule`; `PopCallbackModule` goes back."""

    module: Any


class PopCallbackModule:
    """``pop_callback_module``: the callbacks are those of the class before the last `PushCallbackModule`."""

    __slots__ = ()


def event_timeout(seconds: float | None, content: Any = A.timeout, *, absolute: bool = False) -> SetTimeout:
    """An event ``timeout`` when no other event comes within `seconds`; `absolute`: before that moment."""
    return SetTimeout(EVENT, seconds, content, absolute)


def state_timeout(seconds: float | None, content: Any = A.state_timeout, *, absolute: bool = False) -> SetTimeout:
    """An event ``state_timeout`` when the state has not changed within `seconds`; `absolute`: before that moment."""
    return SetTimeout(STATE, seconds, content, absolute)


def timeout(name: Any, seconds: float | None, content: Any = None, *, absolute: bool = False) -> SetTimeout:
    """An event ``{timeout, Name}`` after `seconds`, whatever happens; `absolute`: at that moment."""
    return SetTimeout((A.timeout, name), seconds, content, absolute)


# --- effects ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Invoke:
    """Call the callback."""

    kind: Any
    content: Any
    state: Any


@dataclass(frozen=True, slots=True)
class SetModule:
    """The callbacks are those of the class `module`."""

    module: Any


@dataclass(frozen=True, slots=True)
class Answer:
    from_: Any
    value: Any


@dataclass(frozen=True, slots=True)
class StartTimer:
    """After `seconds` call `fired(name, turn)`; a running timer of this name is cancelled."""

    name: Any
    seconds: float
    turn: int
    absolute: bool = False
    """Not after `seconds` but at that moment, at once when it has passed."""


@dataclass(frozen=True, slots=True)
class CancelTimer:
    name: Any


@dataclass(frozen=True, slots=True)
class End:
    """The machine stops with `reason`, behind the answers before it."""

    reason: Any


@dataclass(frozen=True, slots=True)
class Fail:
    """The machine ends by `error`, behind the effects before it."""

    error: Error


Step = tuple[list[Any], Invoke | None]


class Core:
    """One state machine. `enter_calls` as ``state_enter`` of callback_mode; `module` the class of its callbacks."""

    __slots__ = ("_entering", "_event", "_inserted", "_old", "_postpone", "_timeouts", "_turn", "due", "enter_calls",
                 "modules", "postponed", "queue", "state", "timers")  # fmt: skip

    def __init__(self, state: Any, *, enter_calls: bool = False, module: Any = None) -> None:
        self.state = state
        self.enter_calls = enter_calls
        self.modules = [module]
        self.queue: deque[tuple[Any, Any]] = deque()
        self.postponed: list[tuple[Any, Any]] = []
        self.timers: dict[Key, tuple[int, Any]] = {}
        """Running time-outs by the key of their name: the turn by which a late one is known, and the content."""
        self.due: ExactDict[None] = ExactDict()
        """The names of those of 0, whose turn is 0, in the order in which they were set."""
        self._turn = 0
        self._begin(None)

    def _begin(self, event: tuple[Any, Any] | None) -> None:
        self._event = event
        self._old = self.state
        self._entering = False
        self._postpone = False
        self._inserted: list[tuple[Any, Any]] = []
        self._timeouts: list[Any] = []

    # --- inputs ------------------------------------------------------------------------------------
    def started(self, actions: tuple[Any, ...] = ()) -> Step:
        """The machine begins: the actions of `init`, then the first state enter call."""
        effects: list[Any] = []
        try:
            self._act(actions, effects)
        except Error as error:
            return [*effects, Fail(error)], None
        return self._transition(effects, enter=True)

    def arrived(self, kind: Any, content: Any) -> Step:
        """An event from outside."""
        self.queue.append((kind, content))
        return self._next([])

    def fired(self, name: Any, turn: int) -> Step:
        """A timer has come to its end; one that was cancelled or set anew meanwhile counts for nothing."""
        mark = key(name)
        known = self.timers.get(mark)
        if known is None or known[0] != turn:
            return [], None
        del self.timers[mark]
        return self.arrived(name, known[1])

    def returned(self, result: Any) -> Step:
        """What the callback that was last invoked gave."""
        effects: list[Any] = []
        if result is None:
            return self._transition(effects, enter=False)
        try:
            return self._returned(result, effects)
        except Error as error:  # what it said before that is done all the same
            return [*effects, Fail(error)], None

    def _returned(self, result: Any, effects: list[Any]) -> Step:
        if isinstance(result, Stop):
            if result.reply is not UNSET and self._event is not None and _is_call(self._event[0]):
                effects.append(Answer(self._event[0][1], result.reply))
            return [*effects, End(result.reason)], None
        if isinstance(result, NextState):
            if self._entering and not same(result.state, self.state):
                raise _bad(ENTER_RETURN, result, "a state enter call can not change the state")
            enter = not same(result.state, self.state)
            self.state = result.state
        elif isinstance(result, (KeepState, RepeatState)):
            enter = isinstance(result, RepeatState)
        elif isinstance(result, StopAndReply):
            self._act(result.actions, effects)
            return [*effects, End(result.reason)], None
        else:
            raise _bad(RETURN, result, "a state callback gives None, KeepState, NextState, RepeatState or Stop")
        self._act(result.actions, effects)
        return self._transition(effects, enter=enter)

    # --- decisions -----------------------------------------------------------------------------------
    def _act(self, actions: tuple[Any, ...], effects: list[Any]) -> None:
        for action in actions:
            kind = type(action)
            if kind is ReplyTo:
                effects.append(Answer(action.from_, action.value))
            elif kind is SetTimeout or kind is UpdateTimeout:
                self._timeouts.append(action)
            elif kind is Hibernate:
                continue
            elif self._entering and kind in _NOT_ENTERING:
                raise _bad(ENTER_ACTION, action, "a state enter call can only answer and set time-outs")
            elif kind is Postpone and self._event is not None:
                self._postpone = True
            elif kind is NextEvent:
                self._inserted.append((action.kind, action.content))
            elif kind in (ChangeCallbackModule, PushCallbackModule, PopCallbackModule):
                self._change_module(action, effects)
            else:
                raise _bad(ACTION, action, "that is no action")

    def _change_module(self, action: Any, effects: list[Any]) -> None:
        if type(action) is PopCallbackModule:
            if len(self.modules) == 1:
                raise _bad(ACTION, action, "no class was pushed")
            del self.modules[-1]
        elif type(action) is PushCallbackModule:
            self.modules.append(action.module)
        else:
            self.modules[-1] = action.module
        module = self.modules[-1]
        self.enter_calls = getattr(module, "state_enter", False)
        effects.append(SetModule(module))

    def _transition(self, effects: list[Any], *, enter: bool) -> Step:
        if enter and self.enter_calls:
            old = self.state if self._entering else self._old
            self._entering = True
            return effects, Invoke(ENTER, old, self.state)
        if self._postpone and self._event is not None:
            self.postponed.append(self._event)
        if not same(self._old, self.state):
            self.queue.extendleft(reversed(self.postponed))
            self.postponed.clear()
            if self.timers:
                self._cancel(STATE, effects)
        self.queue.extendleft(reversed(self._inserted))
        if self._timeouts:
            self._set_timeouts(effects)
        return self._next(effects)

    def _set_timeouts(self, effects: list[Any]) -> None:
        for action in _last_of_each(self._timeouts):
            name, mark = action.name, key(action.name)
            if type(action) is UpdateTimeout and mark in self.timers:
                self.timers[mark] = (self.timers[mark][0], action.content)
                continue
            seconds = 0 if type(action) is UpdateTimeout else action.seconds
            if seconds is None or (seconds <= 0 and not getattr(action, "absolute", False)):
                self._cancel(name, effects)
                if seconds is not None:
                    self.timers[mark] = (0, action.content)
                    self.due[name] = None
            else:
                self._turn += 1
                self.timers[mark] = (self._turn, action.content)
                self.due.pop(name, None)
                effects.append(StartTimer(name, seconds, self._turn, action.absolute))

    def _cancel(self, name: Any, effects: list[Any]) -> None:
        known = self.timers.pop(key(name), None)
        if known is None:
            return
        if known[0]:
            effects.append(CancelTimer(name))
        else:
            del self.due[name]

    def _next(self, effects: list[Any]) -> Step:
        if self.queue:
            event = self.queue.popleft()
        elif self.timers and self.due:  # which is asked in more steps
            name = next(iter(self.due))
            event = name, self.timers[key(name)][1]
            self._cancel(name, effects)
        else:
            return effects, None
        self._begin(event)
        if self.timers:
            self._cancel(EVENT, effects)
        return effects, Invoke(event[0], event[1], self.state)


def _last_of_each(actions: list[Any]) -> list[Any]:
    """Of actions for one time-out the last one counts, at its own place."""
    if len(actions) == 1:
        return actions
    last: ExactDict[Any] = ExactDict()
    for action in actions:
        last.pop(action.name, None)
        last[action.name] = action
    return list(last.values())


def _is_call(kind: Any) -> bool:
    """Whether an event is a call; ``{timeout, Name}`` is a pair, too."""
    return type(kind) is tuple and kind[0] is A.call


_NOT_ENTERING: Final = (Postpone, NextEvent, ChangeCallbackModule, PushCallbackModule, PopCallbackModule)


def _bad(word: Any, value: Any, why: str) -> Error:
    return Error((word, as_term(value)), message=f"{why}: {told(value)}")


def as_term(value: Any) -> Any:
    """A result or an action as the term that OTP has for it, without the data; whatever else it is, as it is."""
    match value:
        case Postpone():
            return A.postpone
        case PopCallbackModule():
            return A.pop_callback_module
        case NextEvent(kind, content):
            return A.next_event, kind, content
        case ChangeCallbackModule(module):
            return A.change_callback_module, module_atom(module) if isinstance(module, type) else module
        case PushCallbackModule(module):
            return A.push_callback_module, module_atom(module) if isinstance(module, type) else module
        case NextState(state):
            return A.next_state, state, [as_term(action) for action in value.actions]
    return value
