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
    init(*args, **kwargs)          start; the caller waits for it   None, Continue, Timeout, Ignore, Stop
    handle_call(request, from_)    call                             Reply, NoReply, Stop
    handle_cast(request)           cast                             None, NoReply, Stop
    handle_info(message)           any other message                None, NoReply, Stop
    handle_continue(value)         Continue, `continue_=`           None, NoReply, Stop
    terminate(reason)              the end, unless it is killed     is ignored

It ends by `Stop`, by an exception of a callback (the exit reason then holds Python's stack), by an exit signal, or,
when it traps exits, by that of its parent. `terminate` runs in all of these but the plain exit signal, as in OTP.
"""

from __future__ import annotations

import logging
from typing import Any

from pyerlnode.errors import Exit, UsageError
from pyerlnode.otp import gen, sys
from pyerlnode.otp.results import UNSET, Continue, NoReply, Reply, Stop, Timeout
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.reason_core import exit_reason
from pyerlnode.runtime.system import System
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.gen_server")

_CALL = gen.CALL
_CAST = gen.CAST
_SYSTEM = A.system
_EXIT = A.EXIT


class GenServer:
    """Base class of servers. Override the callbacks; attributes are the state."""

    __slots__ = ("__dict__", "__weakref__", "_parent", "_sys", "_timer", "process")
    process: Process
    _parent: Pid | None
    _timer: Timer | None
    _sys: sys.SysState | None

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
        log.warning("%s %s received an unexpected message", type(self).__name__, self.process.pid)

    def handle_continue(self, value: Any) -> Any:
        raise Exit((A.bad_continue, value), f"{type(self).__name__} has no handle_continue")

    def terminate(self, reason: Any) -> Any:
        """Clean up."""

    # --- for use in callbacks ------------------------------------------------------------------
    @property
    def pid(self) -> Pid:
        return self.process.pid

    def reply(self, from_: tuple[Any, Any], value: Any) -> None:
        """Answer a call for which `handle_call` gave `NoReply`."""
        gen.reply(self.process.system, from_, value)

    # --- the handler body ----------------------------------------------------------------------
    def handle(self, message: Any) -> None:  # noqa: C901  # one look at the tag; a table of methods costs a call more
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            if type(message) is tuple and message:
                tag = message[0]
                if tag is _CALL and len(message) == 3:
                    from_ = message[1]
                    result = self.handle_call(message[2], from_)
                    if type(result) is Reply:
                        gen.reply(self.process.system, from_, result.value)
                        if result.then is not None:
                            self._then(result.then)
                    else:
                        self._call_result(result, from_)
                    return
                if tag is _CAST and len(message) == 2:
                    result = self.handle_cast(message[1])
                elif tag is _SYSTEM and len(message) == 3:
                    sys.handle_system_message(self, message[1], message[2])
                    return
                elif tag is _EXIT and len(message) == 3 and message[1] == self._parent:
                    self._stop(message[2])
                    return
                else:
                    result = self.handle_info(message)
            else:
                result = self.handle_info(message)
            if result is not None:
                self._result(result)
        except Exception as error:
            self._crashed(error)

    def _call_result(self, result: Any, from_: tuple[Any, Any]) -> None:
        if isinstance(result, Stop):
            if result.reply is not UNSET:
                gen.reply(self.process.system, from_, result.reply)
            self._stop(result.reason)
        elif isinstance(result, NoReply):
            self._result(result)
        else:
            raise _bad_return("handle_call", "Reply, NoReply or Stop", result)

    def _result(self, result: Any) -> None:
        if isinstance(result, NoReply):
            if result.then is not None:
                self._then(result.then)
        elif isinstance(result, Stop):
            self._stop(result.reason)
        elif result is not None:
            raise _bad_return("a callback", "NoReply, Stop or None", result)

    def _then(self, then: Timeout | Continue) -> None:
        if isinstance(then, Continue):
            self._result(self.handle_continue(then.value))
        else:
            process = self.process
            self._timer = process.system.timers.start(then.seconds, process.deliver, A.timeout)

    def initialised(self, result: Any) -> None:
        """What `init` gave, when it neither stopped nor ignored."""
        if isinstance(result, (Continue, Timeout)):
            # As a message: the one who starts the server does not wait for what comes behind init.
            process = self.process
            if isinstance(result, Timeout):
                self._then(result)
            else:
                process.deliver_first((_SYSTEM, None, result))
        elif result is not None:
            self._crashed(_bad_return("init", "None, Continue, Timeout, Ignore or Stop", result))

    def continue_(self, value: Any) -> None:
        self._result(self.handle_continue(value))

    # --- the end -------------------------------------------------------------------------------
    def _stop(self, reason: Any) -> None:
        try:
            self.terminate(reason)
        except Exception as error:
            self._report(error)
            reason = exit_reason(error)
        self.process.exit(reason)

    def _crashed(self, error: Exception) -> None:
        reason = exit_reason(error)
        if not self.process.alive:
            return
        if not _is_quiet(reason):
            self._report(error)
        self._stop(reason)

    def _report(self, error: Exception) -> None:
        log.error("%s %s terminates", type(self).__name__, self.process.name or self.process.pid, exc_info=error)


def _is_quiet(reason: Any) -> bool:
    """OTP reports no crash for `normal`, `shutdown` and ``{shutdown, _}``."""
    return reason in (A.normal, A.shutdown) or (type(reason) is tuple and len(reason) == 2 and reason[0] is A.shutdown)


def _bad_return(who: str, wants: str, value: Any) -> Exit:
    return Exit((A.bad_return_value, value), f"{who} gave {type(value).__name__}; it gives {wants}")


def start(
    system: System,
    cls: type[GenServer],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    name: Any = None,
    link: Process | None = None,
) -> Pid | None:
    """Start a server and wait for its `init`. Gives its pid, or None when `init` ignored.

    Raises `StartFailed` when `init` raised or stopped, `AlreadyStarted` when `name` is taken.
    """
    if not (isinstance(cls, type) and issubclass(cls, GenServer)):
        raise UsageError(f"start wants a subclass of GenServer, not {cls!r}")
    server = cls()
    server._parent = None if link is None else link.pid
    server._timer = server._sys = None
    options = kwargs or {}
    process = gen.start(system, server, lambda: server.init(*args, **options), name=name, link=link)
    return None if process is None else process.pid
