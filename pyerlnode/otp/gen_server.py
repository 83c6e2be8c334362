"""GenServer: a process that answers calls (OTP's `gen_server`).

    class Counter(GenServer):
        def init(self, start=0):
            self.value = start
        def handle_call(self, request, from_):
            match request:
                case A.get:
                    return Reply(self.value)
                case (A.add, int(n)):
                    self.value += n
                    return Reply(A.ok)

The instance is the state, and it is the handler body of its process: idle, it is an object and nothing more.

    callback                       called for                       gives
    init(*args, **kwargs)          start; the caller waits for it   None, Continue, Timeout, Ignore, Stop, Fail
    handle_call(request, from_)    call                             Reply, NoReply, Stop
    handle_cast(request)           cast                             None, NoReply, Stop
    handle_info(message)           any other message                None, NoReply, Stop
    handle_continue(value)         Continue, `continue_=`           None, NoReply, Stop
    terminate(reason)              the end, unless it is killed     is ignored
    format_status(status)          sys:get_status, crash reports    the status, changed
    code_change(old_vsn, extra)    sys:change_code                  is ignored

None from `handle_cast`, `handle_info` or `handle_continue` says that it is done, but for a message that no `case` of
its `match` takes: that is logged, or ends the process as on the BEAM where the class has ``unmatched = "crash"``.

A handler whose first argument is annotated with a type gets the request decoded as that type (`typed`).

It ends by `Stop`, by an exception of a callback (the exit reason then holds Python's stack), by an exit signal, or,
when it traps exits, by that of its parent. `terminate` runs in all of these but the plain exit signal, as in OTP.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import Exit, Throw, UsageError
from pyerlnode.otp import gen, sys, unmatched
from pyerlnode.otp.behaviour import IN, Behaviour
from pyerlnode.otp.results import UNSET, Continue, NoReply, Reply, Stop, Timeout
from pyerlnode.otp.typed import check_handlers
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.info import crash_fields
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.runtime.threads import get_ident
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.hooks import register_encoder
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.gen_server")

_CALL = gen.CALL
_CAST = gen.CAST
_SYSTEM = A.system
_EXIT = A.EXIT


class GenServer(Behaviour):
    """Base class of servers. Override the callbacks; attributes are the state."""

    __slots__ = ("__dict__",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_handlers(cls, ("handle_call", "handle_cast", "handle_info"))
        unmatched.check_choice(cls)

    # --- callbacks -----------------------------------------------------------------------------
    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Set up the state. Arguments are those given to `start`."""
        if args or kwargs:
            raise UsageError(f"{type(self).__name__} was started with arguments, but has no init that takes them")

    def handle_call(self, request: Any, from_: tuple[Any, Any]) -> Any:  # noqa: ARG002  # the callback's shape
        raise Exit((A.bad_call, request), f"{type(self).__name__} has no handle_call")

    def handle_cast(self, request: Any) -> Any:
        raise Exit((A.bad_cast, request), f"{type(self).__name__} has no handle_cast")

    def handle_info(self, message: Any) -> Any:  # noqa: ARG002  # the callback's shape
        """By default a message that nobody expects is counted in the log, and dropped, as in OTP."""
        text = "%s %s received an unexpected message"
        report(log, text, type(self).__name__, self.process.pid, level=logging.WARNING)

    def handle_continue(self, value: Any) -> Any:
        raise Exit((A.bad_continue, value), f"{type(self).__name__} has no handle_continue")

    def terminate(self, reason: Any) -> Any:
        """Clean up."""

    # --- for use in callbacks ------------------------------------------------------------------
    def reply(self, from_: tuple[Any, Any], value: Any) -> None:
        """Answer a call for which `handle_call` gave `NoReply`; from any greenlet of any thread.

        A value without a form on the wire costs the call, not the server: it exits at its caller, and is logged.
        """
        system = self.__process__.system
        if get_ident() == system.scheduler.thread:
            gen.reply(system, from_, value)
        else:
            gen.answer(system, from_, value)

    # --- the handler body ----------------------------------------------------------------------
    def answering(self) -> Callable[..., Any]:
        return type(self).handle_call

    def handle(self, message: Any) -> None:  # noqa: C901  # one look at the tag; a table of methods costs a call more
        process = self.__process__
        timer = process.timer
        if timer is not None:
            timer.cancel()
            process.timer = None
        try:
            if type(message) is tuple and message:
                tag = message[0]
                if (  # `gen.is_from`, without a call for each call: one whose `From` is no caller is just a message
                    tag is _CALL
                    and len(message) == 3
                    and type(from_ := message[1]) is tuple
                    and len(from_) == 2
                    and type(from_[0]) is Pid
                ):
                    result = self.handle_call(message[2], from_)
                    if type(result) is Reply:
                        gen.reply(process.system, from_, result.value)
                        if result.then is not None:
                            self._then(result.then)
                    else:
                        if result is None:
                            self._gave_no_answer(message)
                        if type(result) is not NoReply or result.then is not None:
                            self._call_result(result, from_)
                    return
                if tag is _CAST and len(message) == 2:
                    result = self.handle_cast(message[1])
                elif tag is _SYSTEM and len(message) == 3:
                    process.timer = timer
                    sys.handle_system_message(self, message[1], message[2])
                    if timer is not None:
                        _resume_timer(self, timer)
                    return
                elif tag is _EXIT and len(message) == 3 and type(message[1]) is Pid and message[1] == process.parent:
                    _end(self, message[2])
                    return
                else:
                    result = self.handle_info(message)
            elif type(message) is _Due:
                _due(self, message, timer)
                return
            else:
                result = self.handle_info(message)
            if result is not None:
                if type(result) is not NoReply or result.then is not None:
                    self._result(result)
            elif process.asks:
                self._gave_none(message)
        except BaseException as error:
            self._raised(error, message)

    def handle_debugged(self, message: Any, note: Callable[[Any], None]) -> None:
        if type(message) is _Due:
            type(self).handle(self, message)
            return
        note((IN, message))
        if not (type(message) is tuple and len(message) == 3 and message[0] is _CALL and gen.is_from(message[1])):
            type(self).handle(self, message)
            if self.process.alive:
                note((A.noreply, self.system_get_state()))
            return
        timer = self.process.timer
        if timer is not None:
            timer.cancel()
            self.process.timer = None
        from_ = message[1]
        try:
            result = gen.returned(self.handle_call, message[2], from_)
            value = result.value if isinstance(result, Reply) else result.reply if isinstance(result, Stop) else UNSET
            if value is not UNSET:
                note((A.out, value, from_, self.system_get_state()))
            if result is None:
                self._gave_no_answer(message)
            self._call_result(result, from_)
        except BaseException as error:
            self._crashed(error, message)

    def _gave_none(self, message: Any) -> None:
        """`handle_cast` or `handle_info` gave None: is it done? Where it always is then, nobody asks again."""
        cls = type(self)
        if unmatched.is_always_done(cls, cls.handle_cast, cls.handle_info):
            self.__process__.asks = False
        elif type(message) is tuple and len(message) == 2 and message[0] is _CAST:
            self._missed(self.handle_cast, message[1])
        else:
            self._missed(self.handle_info, message)

    def _missed(self, callback: Callable[..., Any], *args: Any) -> None:
        """The callback gave None for `args`: the message, and what else it is told."""
        process = self.__process__
        unmatched.gave_none(log, type(self), process.name or process.pid, callback, args, unmatched.shape(args[0]))

    def _gave_no_answer(self, message: Any) -> None:
        """`handle_call` gave None: raises what a BEAM raises that has no clause for it; else it is a bad return."""
        callback: Any = self.handle_call
        if unmatched.is_missed(callback, (message[2], message[1])):
            raise unmatched.function_clause(type(self), callback.__func__)

    def _call_result(self, result: Any, from_: tuple[Any, Any]) -> None:
        if isinstance(result, Reply):
            gen.reply(self.process.system, from_, result.value)
            if result.then is not None:
                self._then(result.then)
        elif isinstance(result, Stop):
            # OTP answers after terminate; whoever reads the answer may rely on what terminate did.
            _end(self, result.reason, None if result.reply is UNSET else (from_, result.reply))
        elif isinstance(result, NoReply):
            self._result(result)
        else:
            raise _bad_return("handle_call", "Reply, NoReply or Stop", result)

    def _result(self, result: Any) -> None:
        if isinstance(result, NoReply):
            if result.then is not None:
                self._then(result.then)
        elif isinstance(result, Stop):
            _end(self, result.reason)
        elif result is not None:
            raise _bad_return("a callback", "NoReply, Stop or None", result)

    def _then(self, then: Timeout | Continue) -> None:
        if isinstance(then, Continue):
            self.continue_(then)
        elif then.message is not UNSET:
            _wait(self, then, then.seconds)
        elif then.seconds > 0:
            self.process.timer = self.process.system.timers.start(then.seconds, self._timed_out, then)
        elif not self.process.queue:  # OTP: at once, unless a message waits already
            self.process.deliver(A.timeout)

    def _timed_out(self, then: Timeout) -> None:
        """In the hub. A message that has arrived by now is the one that ended the wait."""
        del then
        process = self.process
        process.timer = None
        if not process.queue:
            process.deliver(A.timeout)

    def initialised(self, result: Any) -> None:
        if isinstance(result, Timeout):
            self._then(result)
        elif isinstance(result, Continue):
            # As a message: the one who starts the server does not wait for what comes behind init.
            self.process.deliver_first((_SYSTEM, None, result))
        elif result is not None:
            raise _bad_return("init", "None, Continue, Timeout, Ignore, Stop or Fail", result)

    def continue_(self, then: Continue) -> None:
        result = gen.returned(self.handle_continue, then.value)
        if result is None:
            self._missed(self.handle_continue, then.value)
        self._result(result)

    # --- asked by sys --------------------------------------------------------------------------
    def system_terminate(self, reason: Any) -> None:
        _end(self, reason)

    def system_resumed(self) -> None:
        _resume_timer(self, self.process.timer)

    # --- the end -------------------------------------------------------------------------------
    # Whatever fails on the way, the process ends, and ends first: the log is told of it afterwards.
    def _stop(self, reason: Any, answer: tuple[Any, Any] | None = None) -> None:
        _end(self, reason, answer)

    def _raised(self, error: BaseException, message: Any) -> None:
        """A callback for `message` raised: a throw is its result, as in OTP; anything else ends the server."""
        if not isinstance(error, Throw):
            self._crashed(error, message)
            return
        try:
            if type(message) is tuple and len(message) == 3 and message[0] is _CALL and gen.is_from(message[1]):
                self._call_result(error.value, message[1])
            else:
                self._result(error.value)
        except BaseException as second:
            self._crashed(second, message)

    def _crashed(self, error: BaseException, message: Any = None) -> None:
        """A callback raised: clean up, end, tell the log."""
        reason = caught(error)
        if not self.process.alive:
            return
        reports = [] if is_quiet(reason) else [self._reporter(reason, error, message)]
        try:
            gen.returned(self.terminate, reason)
        except BaseException as second:
            reason = caught(second)
            reports.append(self._reporter(reason, second))
        self.process.finish(reason)
        for tell in reports:
            tell()

    def _reporter(self, reason: Any, error: BaseException | None, message: Any = None) -> Callable[[], None]:
        """What logs OTP's report of a server that terminates; its state and messages stay out (law of `errors`)."""
        fields: dict[str, Any] = {
            "name": self.process.name or self.process.pid,
            "last_message": shape(message),
            "log": [],
        }
        return end_report(log, self, reason, error, fields)


def _resume_timer(server: GenServer, timer: Timer | None) -> None:
    """A system message is none that the server waits for: the wait begins anew, in full, as in OTP."""
    process = server.__process__
    if timer is not None and process.timer is timer and process.alive:
        if timer.args[0].message is not UNSET:
            if not timer.active and not timer.args[1].came:  # ended by the look at a system message
                _wait(server, timer.args[0], timer.deadline - process.system.timers.now())
            return
        process.timer = None
        if process.sys is not None and process.sys.suspended:
            process.timer = timer
        else:
            server._then(timer.args[0])


class _Due:
    """The wait `timer` for a `Timeout` with a message is over: a note in the mailbox, in the order of arrival."""

    __slots__ = ("came", "timer")

    def __init__(self) -> None:
        self.timer: Timer | None = None
        self.came = False


register_encoder(_Due, lambda _: A.timeout)  # for who asks for the messages of a process


def _wait(server: GenServer, then: Timeout, seconds: float) -> None:
    """Begin the wait of a `Timeout` with a message, or what is left of it."""
    process = server.__process__
    if then.seconds <= 0:
        process.deliver_first(then.message)
        return
    due = _Due()
    due.timer = process.timer = process.system.timers.start(seconds, lambda _, due: _come(process, due), then, due)


def _come(process: Process, due: _Due) -> None:
    due.came = True
    process.deliver(due)


def _due(server: GenServer, due: _Due, timer: Timer | None) -> None:
    """The note came: unless another message ended the wait before, the message of the `Timeout` comes now."""
    process = server.__process__
    if timer is not None and due.timer is timer:
        process.handler.handle(timer.args[0].message)  # whoever is in front notes it
    elif timer is not None:  # of another wait, which goes on
        process.timer = timer
        _resume_timer(server, timer)


def _end(server: GenServer, reason: Any, answer: tuple[Any, Any] | None = None) -> None:
    """`GenServer._stop`; a function, as to find a guarded name (`reserved`) costs what three small calls do."""
    process = server.__process__
    if process.timer is not None:
        process.timer.cancel()
        process.timer = None
    reports = []
    try:
        server.terminate(reason)
    except Throw:
        if not is_quiet(reason):
            reports.append(server._reporter(reason, None))
    except BaseException as error:
        reason = caught(error)
        reports.append(server._reporter(reason, error))
    else:
        if not is_quiet(reason):
            reports.append(server._reporter(reason, None))
    try:
        if answer is not None:
            gen.reply(process.system, *answer)
    finally:
        process.finish(reason)
        for tell in reports:
            tell()


def end_report(
    logger: logging.Logger, server: Behaviour, reason: Any, error: BaseException | None, more: dict[str, Any]
) -> Callable[[], None]:
    """The report of a behaviour that terminates, of now: to be called when its process has ended. It never raises."""
    process, who = server.process, type(server).__name__
    name = process.name or process.pid
    try:
        about = {"error_info": (A.exit, reason)} if error is None else crash_fields(process, error)
        fields = {"label": (server.otp_module, A.terminate), **more, "reason": reason, "report": about}
        why = "" if error is not None else f": {gen.brief(reason)}"
    except BaseException as broken:
        text, kind = "%s %s terminates; its report could not be made: %s", type(broken).__name__
        return lambda: report(logger, text, who, name, kind)
    return lambda: report(logger, "%s %s terminates%s", who, name, why, exc_info=error, extra={"erlang": fields})


_SHAPES: Final = (_CALL, _CAST, _SYSTEM, _EXIT, A.DOWN)


def shape(message: Any) -> str:
    """What kind of message it was, without its content."""
    if type(message) is tuple and message and type(message[0]) is Atom and message[0] in _SHAPES:
        return str(message[0].name)
    return type(message).__name__


def is_quiet(reason: Any) -> bool:
    """OTP reports no crash for `normal`, `shutdown` and ``{shutdown, _}``."""
    if type(reason) is tuple:
        return len(reason) == 2 and reason[0] is A.shutdown
    return reason is A.normal or reason is A.shutdown


def _bad_return(who: str, wants: str, value: Any) -> Exit:
    return Exit((A.bad_return_value, value), f"{who} gave {type(value).__name__}; it gives {wants}")


def start(
    system: System,
    cls: type[GenServer],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    name: Any = None,
    link: Process | Pid | None = None,
    timeout: float | None = None,
    mailbox: MailboxLimit | None = None,
) -> Pid | None:
    """Start a server and wait for its `init`. Gives its pid, or None when `init` ignored.

    Args:
        name: local, `Global` or `Via`. `link`: the parent. `timeout`: seconds for `init`. `mailbox`: its bound.

    Raises `StartFailed` when `init` raised, stopped or took too long, `AlreadyStarted` when `name` is taken.
    """
    if not (isinstance(cls, type) and issubclass(cls, GenServer)):
        raise UsageError(f"start wants a subclass of GenServer, not {short(cls)}")
    server = cls()
    options = kwargs or {}

    def init() -> Any:
        return server.init(*args, **options)

    process = gen.start(system, server, init, name=name, link=link, timeout=timeout, mailbox=mailbox)
    return None if process is None else process.pid


def start_monitor(
    system: System,
    cls: type[GenServer],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    by: Process,
    name: Any = None,
    timeout: float | None = None,
    mailbox: MailboxLimit | None = None,
) -> tuple[Pid, Reference] | None:
    """`start`, monitored by the process `by`: (pid, monitor), or None when `init` ignored."""
    pid = start(system, cls, args, kwargs, name=name, timeout=timeout, mailbox=mailbox)
    return None if pid is None else (pid, system.monitor(by, pid))
