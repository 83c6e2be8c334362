"""System messages: what `sys`, supervisors and observer ask of any OTP process (protocol.md E.2).

A behaviour hands every ``{system, From, Request}`` to `handle_system_message`. What a request switches on costs a
process nothing before: a suspended or traced process has another handler in front of its own.

    request                                    answer
    suspend, resume                            ok
    get_state                                  {ok, State}
    {replace_state, Fun}                       {ok, NewState}, {error, {callback_failed, …}}
    get_status                                 {status, Pid, {module, Mod}, [PDict, State, Parent, Debug, Misc]}
    {terminate, Reason}                        ok, then the process ends
    {change_code, Mod, OldVsn, Extra}          ok, {error, Reason}; only while suspended
    {debug, no_debug | {trace, _} | {log, _} | {log_to_file, _} | {statistics, _} | {install, _} | {remove, _}}
    {debug, other}                             unknown_debug
    other                                      {error, {unknown_system_msg, Request}}

Whatever a peer puts into such a message, it ends no process, unlike a BEAM's: a request that can not be carried out is
answered as one that is not known, and one whose `From` is no caller is dropped. It writes files only where the program
has allowed it (`allow_log_files`).

While a process is suspended it answers system messages and obeys its parent's exit; all else waits, in order.

The functions of this module's second half are OTP's `sys` for Python callers: ``get_state(system, dest)``.

A state may hold what has no form on the wire; a remote caller then gets a text in its place. A function that a BEAM
gives to `replace_state` or `install` is a closure of code that is not here: it is refused with `badfun`.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pyerlnode.brief import short, told
from pyerlnode.errors import Error, Exit
from pyerlnode.etf.encodable import encodable
from pyerlnode.otp import funs, gen, releases
from pyerlnode.otp.behaviour import Behaviour
from pyerlnode.otp.results import Continue
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.handler import StandIn
from pyerlnode.runtime.info import dictionary
from pyerlnode.runtime.reason_core import caught_class, erlang_class
from pyerlnode.runtime.system import System
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import charlist_to_str
from pyerlnode.term.exact import Key
from pyerlnode.term.pid import Pid

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("pyerlnode.sys")

SYSTEM: Final = A.system
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
LOG_SIZE: Final = 10
LONGEST_LOG: Final = 1_000_000
"""Events that are kept at most, whatever was asked for."""
_TERMINATE: Final = A.terminate


class SysState:
    """What `sys` has switched on for one process."""

    __slots__ = ("counts", "events", "file", "installed", "started", "suspended", "trace", "waiting")

    def __init__(self) -> None:
        self.suspended = False
        self.waiting: deque[Any] = deque()
        """Messages that arrived while suspended."""
        self.trace = False
        self.events: deque[Any] | None = None
        self.file: Path | None = None
        self.counts: list[int] | None = None
        """Messages in, messages out."""
        self.started: datetime | None = None
        self.installed: dict[Key, tuple[Callable[..., Any], Any]] = {}

    @property
    def debugged(self) -> bool:
        return bool(self.trace or self.events is not None or self.file or self.counts is not None or self.installed)


class Suspended(StandIn):
    """The handler of a suspended process."""

    __slots__ = ()

    def handle(self, message: Any) -> None:
        server = self.server
        if type(message) is tuple and len(message) == 3:
            if message[0] is SYSTEM:
                handle_system_message(server, message[1], message[2])
                return
            if message[0] is A.EXIT and type(message[1]) is Pid and message[1] == server.process.parent:
                type(server).system_terminate(server, message[2])
                return
        server.process.sys.waiting.append(message)


class Debugged(StandIn):
    """The handler of a process that is traced, logged or counted."""

    __slots__ = ()

    def handle(self, message: Any) -> None:
        if type(message) is tuple and len(message) == 3 and message[0] is SYSTEM:
            type(self.server).handle(self.server, message)
        else:
            self.server.handle_debugged(message, self.note)

    def note(self, event: Any) -> None:
        """One event: ``{in, Message}``, ``{out, Reply, From, State}``, …; the process goes on, should that fail."""
        try:
            self._note(event)
        except BaseException as error:
            caught(error)
            report(log, "an event of %s could not be shown", self.server.process.pid, exc_info=error)

    def _note(self, event: Any) -> None:
        server = self.server
        state = server.process.sys
        if state.counts is not None:
            kind = event[0] if type(event) is tuple else None
            state.counts[0] += kind is A["in"]
            state.counts[1] += kind is A.out
        if state.events is not None:
            state.events.append(event)
        if state.trace:
            report(log, "*DBG* %s %s", server.process.name or server.process.pid, told(event), level=logging.INFO)
        if state.file is not None:
            self._write(state.file, event)
        for key, (function, value) in list(state.installed.items()):
            self._installed(key, function, value, event)

    def _write(self, path: Path, event: Any) -> None:
        who = self.server.process.name or self.server.process.pid
        try:
            _append(path, f"*DBG* {who} {told(event)}\n")
        except OSError as error:
            report(log, "%s logs its events no longer: %s", who, error)
            self.server.process.sys.file = None
            _rewire(self.server)

    def _installed(self, key: Key, function: Callable[..., Any], value: Any, event: Any) -> None:
        try:
            value = function(value, event, self.server.process.name or self.server.process.pid)
        except BaseException as error:  # OTP removes a debug function that fails, and says so
            caught(error)
            report(log, "a debug function of %s failed and was removed", self.server.process.pid, exc_info=error)
            value = A.done
        if value is A.done:
            self.server.process.sys.installed.pop(key, None)
            _rewire(self.server)
        else:
            self.server.process.sys.installed[key] = (function, value)


def _rewire(server: Behaviour) -> None:
    state: SysState = server.process.sys
    handler: Any = Suspended(server) if state.suspended else Debugged(server) if state.debugged else server
    if server.process.handler is not None:
        server.process.handler = handler


def handle_system_message(server: Behaviour, from_: Any, request: Any) -> None:
    """Carry out one ``{system, From, Request}`` for a behaviour."""
    if from_ is None and isinstance(request, Continue):  # our own: what init asked to run before any message
        server.continue_(request)
        return
    if type(from_) is not tuple or len(from_) != 2:
        report(log, "%s got a system message without a caller", server.process.pid, level=logging.WARNING)
        return
    if type(request) is tuple and len(request) == 2 and request[0] is _TERMINATE:
        gen.reply(server.__process__.system, from_, A.ok)
        type(server).system_terminate(server, request[1])
        return
    if server.process.sys is None:
        server.process.sys = SysState()
    if request is A.resume:
        _resume(server, from_)
        return
    try:
        value = _carry_out(server, request)
    except BaseException as error:  # a request that nobody thought of costs its sender an answer, and no process
        caught(error)
        report(log, "%s could not carry out a system message", server.process.pid, exc_info=error)
        value = A.error, (A.unknown_system_msg, request)
    if _is_of_state(request) and value[0] is A.ok:
        answer_by_release(server, from_, releases.WRAPPED_STATES, value, value[1])
    else:
        answer(server, from_, value)


def _is_of_state(request: Any) -> bool:
    return request is A.get_state or (type(request) is tuple and len(request) == 2 and request[0] is A.replace_state)


def answer_by_release(server: Behaviour, from_: Any, since: releases.Version, value: Any, older: Any) -> None:
    """Answer `from_`: with `older`, if its node has a stdlib of before `since`."""
    if type(from_[0]) is Pid and value is not older:
        told = lambda version: answer(server, from_, older if version < since else value)  # noqa: E731
        releases.with_stdlib(server.process.system, from_[0].node, told)
    else:
        answer(server, from_, value)


def _resume(server: Behaviour, from_: Any) -> None:
    state: SysState = server.process.sys
    was, state.suspended = state.suspended, False
    _rewire(server)
    queue = server.process.queue
    if queue is not None and state.waiting:
        queue.extendleft(reversed(state.waiting))
        state.waiting.clear()
    answer(server, from_, A.ok)
    if was:
        server.system_resumed()


def _carry_out(server: Behaviour, request: Any) -> Any:
    state: SysState = server.process.sys
    match request:
        case A.suspend:
            state.suspended = True
            _rewire(server)
            return A.ok
        case A.get_state:
            return _guarded(A.system_get_state, server, server.system_get_state)
        case (A.replace_state, fun):
            return _guarded(
                A.system_replace_state, server, lambda: server.system_replace_state(_replacing(server, fun))
            )
        case A.get_status:
            return status(server)
        case (A.change_code, module, old_vsn, extra) if state.suspended:
            return _change_code(server, module, old_vsn, extra)
        case (A.debug, what):
            return _debug(server, what)
    return A.error, (A.unknown_system_msg, request)


def _change_code(server: Behaviour, module: Any, old_vsn: Any, extra: Any) -> Any:
    try:
        server.system_code_change(module, old_vsn, extra)
    except BaseException as error:  # the process goes on, and the caller is told what ``catch`` gives
        caught(error)
        kind, reason, stack = caught_class(error)
        return A.error, reason if kind is A.throw else (A.EXIT, reason if kind is A.exit else (reason, stack))
    return A.ok


def _replacing(server: Behaviour, fun: Any) -> Callable[[Any], Any]:
    if not funs.is_function(fun):
        raise Error((A.badfun, fun), message="a function of another node can not be called here")
    return funs.function_of(server.process.system, fun)


def _guarded(what: Atom, server: Behaviour, callback: Callable[[], Any]) -> Any:
    try:
        return A.ok, callback()
    except BaseException as error:  # the caller's error: OTP's sys exits it, the process goes on
        reason = caught(error)
        failed = (erlang_class(error) or (A.error, reason))[:2]
        return A.error, (A.callback_failed, (server.otp_module, what), failed)


def status(server: Behaviour) -> Any:
    """The answer to `get_status`."""
    state: SysState = server.process.sys
    process = server.process
    events = list(state.events or ())
    running = A.suspended if state.suspended else A.running
    debug = [(A.log, events)] if state.events is not None else []
    # get_status is called while observer looks at everything: one broken callback must not end the process.
    misc = _guarded(A.format_status, server, lambda: server.system_misc(events))[1]
    parent = server.process.parent or process.pid
    return A.status, process.pid, (A.module, server.otp_module), [dictionary(process), running, parent, debug, misc]


def _debug(server: Behaviour, what: Any) -> Any:  # noqa: C901  # a table of requests, one line each
    state: SysState = server.process.sys
    match what:
        case (A.statistics, A.get):
            return A.ok, _statistics(state)
        case (A.log, A.get):
            return A.ok, list(state.events or ())
        case (A.log, A.print):
            for event in state.events or ():
                report(log, "*DBG* %s %s", server.process.name or server.process.pid, told(event), level=logging.INFO)
            return A.ok
        case A.no_debug:
            suspended, waiting = state.suspended, state.waiting
            server.process.sys = SysState()
            server.process.sys.suspended, server.process.sys.waiting = suspended, waiting
        case (A.trace, bool(flag)):
            state.trace = flag
        case (A.log, (True, int(size))) if size >= 1 and size is not True:
            state.events = deque(state.events or (), maxlen=min(size, LONGEST_LOG))
        case (A.log, True):
            state.events = deque(state.events or (), maxlen=LOG_SIZE)
        case (A.log, False):
            state.events = None
        case (A.statistics, bool(flag)):
            state.counts, state.started = ([0, 0], datetime.now()) if flag else (None, None)
        case (A.log_to_file, False):
            state.file = None
        case (A.log_to_file, name):
            state.file = _opened(server.process.system.log_directory, name)
            if state.file is None:
                _rewire(server)
                return A.error, A.open_file
        case (A.install, (function, value)):
            return _install(server, function, function, value)
        case (A.install, (key, function, value)):
            return _install(server, key, function, value)
        case (A.remove, key):
            state.installed.pop(exact.key(key), None)
        case _:
            return A.unknown_debug
    _rewire(server)
    return A.ok


def _opened(directory: Path | None, name: Any) -> Path | None:
    """The file of that name in `directory`, which can be written to; None for what names no such file."""
    if directory is None:
        return None
    try:
        text = name.name if type(name) is Atom else name if isinstance(name, str) else _text_of(name)
        path = directory / text
        if path.parent.resolve() != directory:
            return None
        _append(path, "")
    except (OSError, ValueError, RuntimeError):  # `UsageError` is a `ValueError`; links in a circle are the last
        return None
    return path


def _append(path: Path, text: str) -> None:
    """Write `text` to the end of a regular file. Follows no link, and does not wait for the reader of a pipe."""
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _NO_WAIT, 0o600)
    with open(number, "a", encoding="utf-8", errors="backslashreplace") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        file.write(text)


def _text_of(name: Any) -> str:
    """The text of a file name as peers send it. Raises `UsageError` or `ValueError` for anything else."""
    if isinstance(name, list):
        return charlist_to_str(name)
    if isinstance(name, bytes):
        return name.decode()
    raise ValueError("a file name is a binary or a charlist")


def _install(server: Behaviour, key: Any, function: Any, value: Any) -> Any:
    if not funs.is_function(function):
        return A.error, (A.badfun, function)
    function = funs.function_of(server.process.system, function)
    server.process.sys.installed.setdefault(exact.key(key), (function, value))
    _rewire(server)
    return A.ok


def _statistics(state: SysState) -> Any:
    if state.counts is None or state.started is None:
        return A.no_statistics
    times = [(A.start_time, _date_time(state.started)), (A.current_time, _date_time(datetime.now()))]
    messages_in, messages_out = state.counts
    return [*times, (A.reductions, messages_in), (A.messages_in, messages_in), (A.messages_out, messages_out)]


def _date_time(moment: datetime) -> tuple[Any, Any]:
    return (moment.year, moment.month, moment.day), (moment.hour, moment.minute, moment.second)


def answer(server: Behaviour, from_: Any, value: Any) -> None:
    """Answer `from_`; what has no form on the wire goes as text."""
    gen.reply(server.process.system, from_, value, lambda system, *_: gen.reply(system, from_, encodable(value)))


# --- OTP's `sys`, for Python callers -------------------------------------------------------------
def allow_log_files(system: System, directory: str | os.PathLike[str] | None) -> None:
    """Let ``{debug, {log_to_file, Name}}`` write files of `directory`; None, as in the beginning: none at all.

    The request comes from any peer, so a name that leads out of `directory` is answered by ``{error, open_file}``, as
    a file that can not be opened. What is there already is appended to.
    """
    from pathlib import Path  # for the few who log to a file

    system.log_directory = None if directory is None else Path(directory).resolve(strict=True)


def _ask(system: System, dest: Any, request: Any, timeout: float | None) -> Any:
    answer = gen.call(system, dest, request, timeout, SYSTEM)
    match answer:
        case (A.ok, value):
            return answer if _is_of_state(request) and _gives_bare_states(system, dest) else value
        case (A.error, reason):
            raise Exit(reason, f"{short(dest)} refused: {gen.brief(reason)}")
    return answer


def _gives_bare_states(system: System, dest: Any) -> bool:
    node = dest.node if type(dest) is Pid else dest[1] if type(dest) is tuple and len(dest) == 2 else system.node
    return releases.stdlib_of(system, Atom(str(node))) < releases.WRAPPED_STATES


def get_state(system: System, dest: Any, timeout: float | None = 5.0) -> Any:
    """The state of a process: of a Python server its attributes, of a BEAM's whatever it is."""
    return _ask(system, dest, A.get_state, timeout)


def replace_state(system: System, dest: Any, fun: Callable[[Any], Any], timeout: float | None = 5.0) -> Any:
    """Put ``fun(state)`` in place of the state of a process of this node; gives the new one."""
    return _ask(system, dest, (A.replace_state, fun), timeout)


def get_status(system: System, dest: Any, timeout: float | None = 5.0) -> Any:
    return _ask(system, dest, A.get_status, timeout)


def suspend(system: System, dest: Any, timeout: float | None = 5.0) -> None:
    _ask(system, dest, A.suspend, timeout)


def resume(system: System, dest: Any, timeout: float | None = 5.0) -> None:
    _ask(system, dest, A.resume, timeout)


def change_code(system: System, dest: Any, module: Atom, old_vsn: Any, extra: Any, timeout: float | None = 5.0) -> None:
    """Let a suspended process convert its state. Raises `Exit` when it could not."""
    _ask(system, dest, (A.change_code, module, old_vsn, extra), timeout)


def statistics(system: System, dest: Any, flag: bool | Atom, timeout: float | None = 5.0) -> Any:
    """Switch statistics on or off; with ``A.get`` what was counted."""
    return _ask(system, dest, (A.debug, (A.statistics, flag)), timeout)


def trace(system: System, dest: Any, flag: bool, timeout: float | None = 5.0) -> Any:
    """Tell the logger ``pyerlnode.sys`` of every event, at level INFO."""
    return _ask(system, dest, (A.debug, (A.trace, flag)), timeout)


def log_events(system: System, dest: Any, flag: Any, timeout: float | None = 5.0) -> Any:
    """``sys:log``: True, ``(True, n)``, False, or ``A.get`` for the last events."""
    return _ask(system, dest, (A.debug, (A.log, flag)), timeout)


def install(
    system: System, dest: Any, function: Callable[[Any, Any, Any], Any], state: Any, timeout: float | None = 5.0
) -> None:
    """Call ``function(state, event, process)`` with every event; it gives the next state, ``A.done`` ends it."""
    _ask(system, dest, (A.debug, (A.install, (function, state))), timeout)


def remove(system: System, dest: Any, function: Callable[..., Any], timeout: float | None = 5.0) -> None:
    _ask(system, dest, (A.debug, (A.remove, function)), timeout)


def no_debug(system: System, dest: Any, timeout: float | None = 5.0) -> None:
    _ask(system, dest, (A.debug, A.no_debug), timeout)


def terminate(system: System, dest: Any, reason: Any, timeout: float | None = 5.0) -> None:
    """Order a process to end; see `gen.stop` to wait for it."""
    _ask(system, dest, (A.terminate, reason), timeout)
