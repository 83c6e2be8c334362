"""Where an exception ends: at the edge between the loop and our code, and in the process whose code raised it.

The loop stops a watcher whose callback raises, and takes `SystemExit` and `KeyboardInterrupt` for the end of the
program. So every function of ours that it calls, and every body of a greenlet or thread of ours, is an `edge`: what is
raised there is logged, and ends there. What user code lets escape is `caught` where it was called: it has become an
exit reason.

One exception belongs to the program all the same: what a signal raised, Ctrl-C above all, which Python raises in
whatever code the main thread runs just then. It is told from ``raise KeyboardInterrupt`` and ``sys.exit()`` by its
traceback (`stops_program`) and is raised in the main greenlet, as gevent does when the loop is idle.
"""

from __future__ import annotations

import dis
import logging
import signal
from collections.abc import Callable
from functools import wraps
from types import CodeType
from typing import Any, Final, TypeVar

from gevent import GreenletExit, get_hub, getcurrent
from gevent.monkey import get_original

from pyerlnode.brief import short
from pyerlnode.errors import MadeBeforeFork
from pyerlnode.runtime.process_core import ALIVE
from pyerlnode.runtime.reason_core import exit_reason

__all__ = [
    "GreenletExit", "ProcessKilled", "caught", "close_now", "edge", "escaped", "is_dead", "report", "stop_program",
    "stops_program",
]  # fmt: skip

log = logging.getLogger("pyerlnode.runtime")
# A program that has not asked for logs gets none: without this, Python prints warnings and errors on standard error.
logging.getLogger("pyerlnode").addHandler(logging.NullHandler())

F = TypeVar("F", bound=Callable[..., Any])
_RAISE: Final = dis.opmap["RAISE_VARARGS"]
_get_ident = get_original("_thread", "get_ident")
close_now: Final[Callable[[int], None]] = get_original("os", "close")
"""Close a descriptor that no watcher is for; gevent's own `os.close` waits for a turn of the hub."""
_MAIN: Final = get_original("threading", "main_thread")().ident
_FUNCTIONS: Final = ("__wrapped__", "func", "__func__")


class ProcessKilled(GreenletExit):  # type: ignore[misc]  # gevent has no types
    """Thrown into the greenlet of a process that is already dead, to unwind what it was doing."""


def edge(function: F) -> F:
    """`function`, called by the loop or as the body of a greenlet or thread: nothing that it raises leaves it.

    None of those calls by keywords, and to take them would make a table for each call.
    """

    @wraps(function)
    def called(*args: Any) -> Any:
        try:
            return function(*args)
        except BaseException as error:
            escaped(function.__qualname__, error)

    return called  # type: ignore[return-value]  # the same, but for what it raises


def escaped(where: str, error: BaseException) -> None:
    """`error` has reached an edge: it is logged there, or given to the program whose end it is."""
    if isinstance(error, GreenletExit):
        return
    if stops_program(error):
        _end_turn()
        hub = get_hub()
        hub.handle_system_error(type(error), error, error.__traceback__)  # at an edge nothing is left half done
    else:
        report(log, "%s raised, and goes on", where, exc_info=error)


def caught(error: BaseException) -> Any:
    """The exit reason of what a callback let escape; a signal's exception goes to the program as well.

    Raises `error` where it is the end of the process that runs just now, to be unwound.
    """
    if isinstance(error, MadeBeforeFork):  # the process is the parent's: here nothing of it ends, as by `terminate`
        raise error
    if not isinstance(error, Exception):
        if isinstance(error, ProcessKilled) and is_dead():
            raise error
        if stops_program(error):
            stop_program(error)
    return exit_reason(error)


def is_dead() -> bool:
    """Whether the current greenlet runs what is left of a process that has ended."""
    process = getattr(getcurrent(), "erl_process", None)
    return process is not None and process.exit_reason is not ALIVE


def report(logger: logging.Logger, text: str, *args: Any, level: int = logging.ERROR, **kwargs: Any) -> None:
    """``logger.log(level, …)``; when that fails, as a handler of the log may, one line says so, and that is all."""
    try:
        logger.log(level, text, *args, **kwargs)
    except BaseException as error:
        if stops_program(error):
            stop_program(error)
        try:
            log.error("a report could not be logged (%s): it raised %s", short(text), type(error).__name__)
        except BaseException:
            return  # the log itself is broken: there is nowhere left to say so


# --- the end of the program ----------------------------------------------------------------------
def stops_program(error: BaseException) -> bool:
    """Whether `error` came of a signal: raised by its handler, or by Python for Ctrl-C in the midst of other code."""
    if not isinstance(error, (KeyboardInterrupt, SystemExit)) or _get_ident() != _MAIN:
        return False
    handlers = _signal_handlers()
    traceback, innermost = error.__traceback__, None
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        innermost, traceback = traceback, traceback.tb_next
    if innermost is None or not isinstance(error, KeyboardInterrupt):
        return False
    # Ctrl-C strikes between two instructions, or inside a call: never at a `raise`.
    code, position = innermost.tb_frame.f_code.co_code, innermost.tb_lasti
    return not (0 <= position < len(code) and code[position] == _RAISE)


def _signal_handlers() -> set[CodeType]:
    found = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        for name in _FUNCTIONS:
            handler = getattr(handler, name, handler)
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            found.add(code)
    return found


def stop_program(error: BaseException) -> None:
    """Raise `error` in the main greenlet, as soon as the loop runs: before the next process has its turn."""
    _end_turn()
    hub = get_hub()
    hub.loop.run_callback(hub.handle_system_error, type(error), error, error.__traceback__)


def _end_turn() -> None:
    """Of the scheduler whose worker runs just now: who is ready may compute for ever."""
    scheduler = getattr(getcurrent(), "scheduler", None)
    if scheduler is not None:
        scheduler.turn_ends = 0.0
