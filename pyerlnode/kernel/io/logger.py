"""Logs across nodes: Python's records to a BEAM's logger, and a BEAM's events to Python's `logging` (protocol.md E.10).

    logging.getLogger().addHandler(node.log_handler("app@127.0.0.1"))     # Python → Erlang and Elixir
    node.receive_logs()                                                   # what peers send here on their own
    node.subscribe_logs("app@127.0.0.1", level="warning")                 # all events of a peer

A record becomes ``{log, Level, Text, Meta}`` to the peer's `logger_proxy`. `Meta` has `pid`, `mfa`, `file`, `line`,
`time` (µs), `domain` (``[python, …]``), `python` (logger and thread) and, with an exception, `crash_reason`, which
Elixir's Logger formats with Python's stack.

The law of the handler: it never blocks and never recurses. A record is put into a bounded queue, from any thread; a
process of the node takes them out and sends them. What the queue has no room for, and what can not be sent, is counted,
and the count is told in one record when there is room again. Records of this library's own connections, and those that
sending causes, are not sent: they would cause the next ones.

Events that arrive are logged under ``erlang`` (or the name given) with the same level, and with the event's `pid`,
`mfa` and node in the text. A peer sends on its own what its processes with a Python group leader log;
`subscribe_logs` installs a filter there that sends every event and never waits, and takes it away again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any, Final

from pyerlnode.brief import message, told
from pyerlnode.errors import PyerlnodeError
from pyerlnode.kernel.io import io_lib_core
from pyerlnode.kernel.io.io_lib_core import BadFormat
from pyerlnode.kernel.keeping import Keeping
from pyerlnode.kernel.remote import erpc
from pyerlnode.otp.results import NoReply
from pyerlnode.otp.service import Service
from pyerlnode.runtime.edges import caught, edge
from pyerlnode.runtime.process import Process, current
from pyerlnode.runtime.reason_core import erlang_stack, python_error
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

QUEUE = 10_000
"""Records that wait to be sent; more are dropped and counted."""
OWN: Final = ("pyerlnode.net", "pyerlnode.net_kernel", "pyerlnode.logger", "pyerlnode.epmd")
MAX_TEXT = 64_000
_LEVELS: Final = (
    (logging.CRITICAL, A.critical), (logging.ERROR, A.error), (logging.WARNING, A.warning), (25, A.notice),
    (logging.INFO, A.info),
)  # fmt: skip
_PYTHON: Final = {
    "emergency": logging.CRITICAL, "alert": logging.CRITICAL, "critical": logging.CRITICAL, "error": logging.ERROR,
    "warning": logging.WARNING, "notice": logging.INFO, "info": logging.INFO, "debug": logging.DEBUG,
}  # fmt: skip
PROXY: Final = A.logger_proxy
FILTER: Final = """
fun(#{level := Level} = Event, {Least, Own}) ->
    case logger:compare_levels(Level, Least) of
        lt -> ignore;
        _ -> Meta = maps:get(meta, Event, #{}),
             Kept = maps:with([pid, mfa, file, line, time, domain, gl], Meta),
             Msg = case maps:get(msg, Event) of
                 {string, S} -> {string, S};
                 {report, R} when is_map_key(report_cb, Meta) ->
                     case maps:get(report_cb, Meta) of
                         F when is_function(F, 1) -> try F(R) catch _:_ -> {report, R} end;
                         _ -> {report, R}
                     end;
                 M -> M
             end,
             _ = erlang:send({logger_proxy, Own}, {log_event, Own, Level, Msg, Kept}, [noconnect, nosuspend]), ignore
    end
end.
"""


def erlang_level(number: int) -> Atom:
    for least, level in _LEVELS:
        if number >= least:
            return level
    return A.debug


class ErlangHandler(logging.Handler):
    """Sends records to the logger of the node `node`. Made by ``node.log_handler``; closed with ``close()``."""

    def __init__(self, system: System, node: Atom, level: int | str = logging.NOTSET, queue: int = QUEUE) -> None:
        super().__init__(level)
        self.node = node
        self.dropped = 0
        """Records that were not sent, since the last one that told how many."""
        self._system = system
        self._queue: deque[tuple[Any, ...]] = deque()
        self._size = queue
        self._sender: Process | None = None
        self._closed = False
        self._sending = False
        self._thread = threading.get_ident()
        self._watcher = system.scheduler.loop.async_()
        self._watcher.start(self._wake)
        if system.root.monitored_by is None:
            system.root.monitored_by = {}
        system.root.monitored_by[self] = self

    def down(self, reason: Any) -> None:
        """The node was stopped."""
        del reason
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """From any thread; never waits."""
        if self._closed or self._system.stopped or self._is_own(record):
            return
        if len(self._queue) >= self._size:
            self.dropped += 1
            return
        try:
            self._queue.append(self._event(record))
        except BaseException as error:
            caught(error)
            self.handleError(record)
            return
        self._watcher.send()

    def _is_own(self, record: logging.LogRecord) -> bool:
        if any(record.name == name or record.name.startswith(name + ".") for name in OWN):
            return True
        return self._sending and threading.get_ident() == self._thread and current() is self._sender

    def _event(self, record: logging.LogRecord) -> tuple[Any, ...]:
        text = self._text(record)
        meta: dict[Atom, Any] = {
            A.time: round(record.created * 1_000_000),
            A.file: list(_binary(record.pathname)),
            A.line: record.lineno,
            A.mfa: (_atom(record.module), _atom(record.funcName or "?"), 0),
            A.domain: [A.python, *(_atom(part) for part in record.name.split(".")[:8] if part)],
            A.python: {
                A.logger: _binary(record.name),
                A.thread: _binary(record.threadName or ""),
                A.process: record.process or 0,
            },
        }
        process = current() if threading.get_ident() == self._thread else None
        if process is not None and process.system is self._system:
            meta[A.pid] = process.pid
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            kind, name, message, _ = python_error(error)
            meta[A.crash_reason] = (kind, name, message), erlang_stack(error.__traceback__)
            if self.formatter is None:
                text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"  # type: ignore[arg-type]  # it is one
        return A.log, erlang_level(record.levelno), _binary(text[:MAX_TEXT]), meta

    def _text(self, record: logging.LogRecord) -> str:
        """The text of a record; when its arguments have none (an object whose `__str__` raises), its parts."""
        try:
            return self.format(record) if self.formatter is not None else record.getMessage()
        except BaseException as error:
            caught(error)
            return f"{told(record.msg)} of {told(record.args)}, which has no text: {message(error)}"

    # --- in the hub ----------------------------------------------------------------------------
    @edge
    def _wake(self) -> None:
        if self._sender is None and self._queue and not self._system.stopped:
            self._sender = self._system.spawn_function(self._send_all, (), {})

    def _send_all(self) -> None:
        """The body of the process that sends: it may connect, and waits when the peer does not read."""
        self._sending = True
        try:
            while self._queue and self._tell_dropped():
                if not self._send(self._queue.popleft()):
                    self.dropped += 1
        finally:
            self._sending = False
            self._sender = None

    def _tell_dropped(self) -> bool:
        """Say how many records were dropped, once there is room; False when the peer can not be reached."""
        if not self.dropped or len(self._queue) >= self._size // 2:
            return True
        count, self.dropped = self.dropped, 0
        text = f"{count} log records of {self._system.node} were dropped".encode()
        if self._send((A.log, A.warning, text, {A.domain: [A.python]})):
            return True
        self.dropped += count + len(self._queue)
        self._queue.clear()
        return False

    def _send(self, event: tuple[Any, ...]) -> bool:
        try:
            self._system.connect(self.node)  # what can not arrive is to be counted
            self._system.send((PROXY, self.node), event)
        except PyerlnodeError:
            return False
        return True

    def close(self) -> None:
        """Send nothing any more; in the hub's thread."""
        if not self._closed:
            self._closed = True
            (self._system.root.monitored_by or {}).pop(self, None)
            self._queue.clear()
            self._watcher.stop()
            self._watcher.close()
        super().close()


def _binary(text: Any) -> bytes:
    """UTF-8, whatever the program took for a text: a thread may have any name, a file that of another system."""
    return (text if isinstance(text, str) else told(text)).encode("utf-8", "replace")


def _atom(text: Any) -> Atom:
    return Atom(_binary(text).decode()[:255])


class LoggerProxy(Service):
    """Registered as `logger_proxy`: turns log events of other nodes into Python's log records."""

    def init(self, name: str = "erlang") -> None:
        self.log = logging.getLogger(name)

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return NoReply()

    def handle_cast(self, request: Any) -> None:
        """There is none; OTP's `logger_proxy` ends by it."""

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.log, Atom() as level, template, list() as args, dict() as meta):
                self._log(level, (template, args), meta)
            case (A.log, Atom() as level, what, dict() as meta):
                self._log(level, (A.string, what) if isinstance(what, bytes) else (A.any, what), meta)
            case (A.log_event, _, Atom() as level, what, dict() as meta):
                self._log(level, what, meta)

    def _log(self, level: Atom, what: Any, meta: dict[Any, Any]) -> None:
        number = _PYTHON.get(level.name, logging.INFO)
        if self.log.isEnabledFor(number):
            pid = meta.get(A.pid)
            node = pid.node if isinstance(pid, Pid) else "?"
            fields = {"erlang_meta": meta, "erlang_node": str(node), "erlang_pid": str(pid)}
            self.log.log(number, "%s %s: %s", node, pid, _safe_text(what), extra=fields)


def _safe_text(what: Any) -> str:
    try:
        return text_of(what)
    except Exception as error:  # an event that nobody can show is told all the same
        return f"an event that can not be shown: {type(error).__name__}"


def text_of(what: Any) -> str:
    """The text of a log event: a string, a format and its arguments, or a report."""
    try:
        match what:
            case (A.string, text):
                return io_lib_core.chars(text)[:MAX_TEXT]
            case (A.report, report) | (A.any, report):
                return _report(report)
            case (template, list() as args):
                template = template.name if isinstance(template, Atom) else template
                return io_lib_core.format(io_lib_core.chars(template), args)[:MAX_TEXT]
    except BadFormat:
        pass  # printed as a term
    return _term(what)


def _report(report: Any) -> str:
    try:
        return io_lib_core.chars(report)[:MAX_TEXT]  # a string as a list
    except BadFormat:
        return _term(report)


def _term(what: Any) -> str:
    from pyerlnode.term.text import format_term  # the printers are loaded by the first event that shows a term

    return format_term(what, width=0, limit=50)


class Logs:
    """The logs of one node."""

    def __init__(self, system: System, keeping: Keeping) -> None:
        self._system = system
        self._keeping = keeping
        self._subscribed: dict[Atom, Atom] = {}

    def handler(self, node: Atom, level: int | str = logging.NOTSET) -> ErlangHandler:
        return ErlangHandler(self._system, node, level)

    def receive(self, name: str = "erlang") -> Pid:
        """Start `logger_proxy`; its pid."""
        running = self._system.whereis(PROXY)
        if running is not None:
            return running
        pid = self._keeping.keep(LoggerProxy, name, name=PROXY).pid
        assert pid is not None
        return pid

    def subscribe(self, node: Atom, level: str | Atom = "info", name: str = "erlang") -> None:
        """Have all events of `node` from `level` on sent here. Raises what `erpc.call` raises."""
        self.receive(name)
        self.unsubscribe(node)
        filter_ = self._evaluate(node, FILTER)
        known = Atom(f"pyerlnode_{self._system.node}"[:255])
        argument = (Atom(str(level)), self._system.node)
        answer = self._call(node, "logger", "add_primary_filter", [known, (filter_, argument)])
        if answer is not A.ok:  # left over from an earlier life of this name
            self._call(node, "logger", "remove_primary_filter", [known])
            self._call(node, "logger", "add_primary_filter", [known, (filter_, argument)])
        self._subscribed[node] = known

    def unsubscribe(self, node: Atom) -> bool:
        """False when there was no subscription."""
        known = self._subscribed.pop(node, None)
        if known is None:
            return False
        self._call(node, "logger", "remove_primary_filter", [known])
        return True

    def _evaluate(self, node: Atom, source: str) -> Any:
        """The value of an Erlang expression, made there."""
        _, tokens, _ = self._call(node, "erl_scan", "string", [[ord(c) for c in source]])
        _, forms = self._call(node, "erl_parse", "parse_exprs", [tokens])
        return self._call(node, "erl_eval", "exprs", [forms, []])[1]

    def _call(self, node: Atom, module: str, function: str, args: list[Any]) -> Any:
        return erpc.call(self._system, node, module, function, args)
