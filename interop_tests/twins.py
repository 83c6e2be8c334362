"""The Python twins of `twin_server.erl`, `twin_machine.erl` and `twin_events.erl`: they do what each message says."""

from typing import Any

import gevent

from pyerlnode import A, Continue, GenServer, Ignore, NoReply, Reply, Stop, Timeout, process_flag, send
from pyerlnode.errors import Error, Exit, Throw
from pyerlnode.otp.gen_event import EventHandler, RemoveHandler, SwapHandler
from pyerlnode.otp.gen_statem import (
    ChangeCallbackModule,
    GenStatem,
    KeepState,
    NextEvent,
    NextState,
    PopCallbackModule,
    Postpone,
    PushCallbackModule,
    RepeatState,
    ReplyTo,
    Started,
    StopAndReply,
    UpdateTimeout,
)
from pyerlnode.otp.gen_statem_core import SetTimeout
from pyerlnode.term.exact import ExactDict


def changed(old_vsn: Any, extra: Any) -> Any:
    """What a `code_change` notes, or how it fails."""
    match extra:
        case (A.error, reason):
            raise Error(reason)
        case (A.exit, reason):
            raise Exit(reason)
        case (A.throw_term, term):
            raise Throw(term)
    return A.changed, old_vsn, extra


def noted(state: Any, word: Any) -> Any:
    """The attributes of a twin with a word more in its log."""
    return {**state, A.log: [*state[A.log], word]}


def fails(error: BaseException) -> Any:
    def replaces(_state: Any) -> Any:
        raise error

    return replaces


FAILURES: dict[str, Any] = {
    "replace_error": fails(Error(A.no)),
    "replace_exit": fails(Exit(A.no)),
    "replace_throw": fails(Throw(A.no)),
}
SERVER_STATES = {"replace_note": lambda state: noted(state, A.replaced), **FAILURES}
MACHINE_STATES = {
    "replace_note": lambda state: (state[0], noted(state[1], A.replaced)),
    "replace_next": lambda state: (A.t, state[1]),
    **FAILURES,
}


class TwinServer(GenServer):
    def init(self, what: Any) -> Any:  # noqa: C901  # the vocabulary of the scripts
        self.log: list[Any] = []
        self.owed: list[Any] = []
        self.teller = None
        self.ending: Any = None
        match what:
            case (A.tell, teller, trap, following):
                process_flag("trap_exit", trap)
                result = self.init(following)
                self.teller = teller
                return result
            case (A.stop, reason):
                return Stop(reason)
            case A.ignore:
                return Ignore()
            case (A.exit, reason):
                raise Exit(reason)
            case (A.error, reason):
                raise Error(reason)
            case (A.throw, then):
                raise Throw(self.init(then))
            case (A.throw_term, term):
                raise Throw(term)
            case A.hang:
                gevent.sleep(5)
            case (A.trap, teller):
                process_flag("trap_exit", True)
                self.teller = teller
            case (A.then, (A.timeout, ms)):
                return Timeout(ms / 1000)
            case (A.then, A.hibernate):
                return None
            case (A.then, (_, following)):
                return Continue(following)
            case A.bad:
                return A.bad
        return None

    def handle_call(self, request: Any, from_: Any) -> Any:
        if request is A.log:
            return Reply(self.log)
        number, what = request
        self.log.append((A.call, number))
        return self.result(what, from_)

    def handle_cast(self, request: Any) -> Any:
        number, what = request
        self.log.append((A.cast, number))
        return self.result(what, None)

    def handle_info(self, message: Any) -> Any:
        match message:
            case (int(number), what):
                self.log.append((A.info, number))
                return self.result(what, None)
            case (A.EXIT, _, reason):
                self.log.append((A.exit, reason))
            case _:
                self.log.append((A.info, message))
                if message is A.timeout and self.teller is not None:
                    send(self.teller, (A.told, message))
        return None

    def handle_continue(self, value: Any) -> Any:
        number, what = value
        self.log.append((A["continue"], number))
        return self.result(what, None)

    def terminate(self, reason: Any) -> None:
        if self.ending is not None:
            self.result(self.ending, None)
        if self.teller is not None:
            send(self.teller, (A.terminated, reason))

    def code_change(self, old_vsn: Any, extra: Any) -> None:
        self.log = [*self.log, changed(old_vsn, extra)]

    @staticmethod
    def then(then: Any) -> dict[str, Any]:
        match then:
            case (A.timeout, ms):
                return {"timeout": ms / 1000}
            case A.hibernate:
                return {"hibernate": True}
        return {"continue_": then[1]}

    def result(self, what: Any, from_: Any) -> Any:  # noqa: C901  # the vocabulary of the scripts
        match what:
            case (A.reply, value):
                return Reply(value)
            case (A.reply, value, then):
                return Reply(value, **self.then(then))
            case A.noreply:
                return NoReply()
            case (A.noreply, then):
                return NoReply(**self.then(then))
            case A.later:
                self.owed.append(from_)
                return NoReply()
            case (A.pay, value) | (A.pay_and_reply, value):
                for owed in self.owed:
                    self.reply(owed, value)
                self.owed = []
                return NoReply() if what[0] is A.pay else Reply(value)
            case (A.early, value):
                self.reply(from_, value)
                return NoReply()
            case (A.twice, value):
                self.reply(from_, value)
                return Reply(A.second)
            case (A.stop, reason):
                return Stop(reason)
            case (A.stop, reason, value):
                return Stop(reason, reply=value)
            case (A.exit, reason):
                raise Exit(reason)
            case (A.error, reason):
                raise Error(reason)
            case (A.throw, thrown):
                raise Throw(self.result(thrown, from_))
            case (A.throw_term, term):
                raise Throw(term)
            case (A.ending, ending):
                self.ending = ending
                return NoReply()
            case (A.sleep, ms):
                gevent.sleep(ms / 1000)
                return NoReply()
            case (A.sleep, ms, value):
                gevent.sleep(ms / 1000)
                return Reply(value)
        return what


class TwinMachine(GenStatem):
    __erlang_module__ = "twin_machine"
    callback_mode = A.handle_event_function

    @staticmethod
    def mark(name: Any) -> Any:
        return name

    def init(self, enter: Any, started: Any) -> Any:
        self.enter = enter
        self.log: list[Any] = []
        state, actions = started
        return Started(state, *self.actions(None, actions))

    def handle_event(self, kind: Any, content: Any, state: Any) -> Any:
        if content is A.log:
            return KeepState(ReplyTo(kind[1], (state, self.log)))
        if kind is A.enter:
            self.log.append((self.mark(A.enter), content, state))
            return self.result(ExactDict(self.enter.items()).get(state, A.keep), kind)
        number, plans = content
        name = A.call if type(kind) is tuple and kind[0] is A.call else kind
        self.log.append((self.mark(name), number, state))
        return self.result(ExactDict(plans.items()).get(state, A.keep), kind)

    def code_change(self, old_vsn: Any, extra: Any) -> None:
        self.log = [*self.log, changed(old_vsn, extra)]

    def result(self, what: Any, kind: Any) -> Any:  # noqa: C901  # the vocabulary of the scripts
        match what:
            case A.keep:
                return None
            case (A.keep, actions):
                return KeepState(*self.actions(kind, actions))
            case (A.error, reason):
                raise Error(reason)
            case (A.exit, reason):
                raise Exit(reason)
            case (A.throw, then):
                raise Throw(self.result(then, kind))
            case (A.throw_term, term):
                raise Throw(term)
            case (A.repeat, actions):
                return RepeatState(*self.actions(kind, actions))
            case (A.next, state, actions):
                return NextState(state, *self.actions(kind, actions))
            case (A.stop, reason):
                return Stop(reason)
            case (A.stop_and_reply, reason, value):
                return StopAndReply(reason, ReplyTo(kind[1], value))
        return what

    def actions(self, kind: Any, actions: Any) -> list[Any]:
        return [made for action in actions if (made := self.action(kind, action)) is not None]

    @staticmethod
    def action(kind: Any, action: Any) -> Any:
        match action:
            case A.postpone:
                return Postpone()
            case (A.change_callback_module, name):
                return ChangeCallbackModule(MODULES[name])
            case (A.push_callback_module, name):
                return PushCallbackModule(MODULES[name])
            case A.pop_callback_module:
                return PopCallbackModule()
            case (A.reply, value):
                return ReplyTo(kind[1], value) if type(kind) is tuple and kind[0] is A.call else None
            case (A.cancel, name):
                return SetTimeout(name, None, None)
            case (A.next_event, event, content):
                return NextEvent(event, content)
            case (name, A.update, content):
                return UpdateTimeout(name, content)
            case (name, ms, content):
                return SetTimeout(name, ms / 1000, content)
        return action


class TwinOther(TwinMachine):
    __erlang_module__ = "twin_other"

    @staticmethod
    def mark(name: Any) -> Any:
        return A.other, name


class TwinChanged(TwinMachine):
    __erlang_module__ = "twin_changed"
    state_enter = True

    @staticmethod
    def mark(name: Any) -> Any:
        return A.entering, name


MODULES = {A.twin_machine: TwinMachine, A.twin_other: TwinOther, A.twin_changed: TwinChanged}


class TwinEvents(EventHandler):
    __erlang_module__ = "twin_events"

    def init(self, args: Any) -> Any:
        self.log: list[Any] = []
        match args:
            case (A.fail, reason) | ((A.fail, reason), _):
                return (A.error, reason)
            case ((A.raise_, _, _), _):
                return self.init(args[0])
            case (A.raise_, A.error, reason):
                raise Error(reason)
            case (A.raise_, A.exit, reason):
                raise Exit(reason)
            case (A.raise_, A.throw, term):
                raise Throw(term)
            case ((name, teller), word) if type(teller) is not bytes and isinstance(args[0], tuple):
                self.name, self.teller = name, teller
                send(teller, (A.swapped_in, name, word))
            case (name, teller):
                self.name, self.teller = name, teller
        return None

    def handle_event(self, event: Any) -> Any:
        match event:
            case A.remove:
                return RemoveHandler()
            case (A.swap, args, new, new_args):
                return SwapHandler(args, new, new_args)
            case (A.error, reason):
                raise Error(reason)
            case (A.exit, reason):
                raise Exit(reason)
            case A.throw_remove:
                raise Throw(RemoveHandler())
            case (A.throw, term):
                raise Throw(term)
        self.log.append(event)
        return None

    def handle_call(self, request: Any) -> Any:
        return Reply(self.log) if request is A.log else RemoveHandler(reply=A.removed)

    def handle_info(self, message: Any) -> Any:
        self.log.append((A.info, message))

    def terminate(self, why: Any) -> Any:
        send(self.teller, (A.terminated, self.name, why))
        return A.bye, self.name

    def code_change(self, old_vsn: Any, extra: Any) -> None:
        self.log = [*self.log, changed(old_vsn, extra)]


def note_handler(handler: Any) -> Any:
    module, id, state = handler
    return module, id, noted(state, A.replaced)


def other_handler(handler: Any) -> Any:
    module, id, state = handler
    return (module, A.other, noted(state, id)) if state[A.name] % 2 == 0 else note_handler(handler)


def broken_handler(handler: Any) -> Any:
    if handler[2][A.name] % 2 == 0:
        raise Error(A.no)
    return note_handler(handler)


EVENT_STATES = {
    **FAILURES, "replace_note": note_handler, "replace_other": other_handler, "replace_error": broken_handler,
}  # fmt: skip
