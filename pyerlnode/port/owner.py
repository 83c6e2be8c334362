"""Programs that another process owns: they end when their standard input does.

    with Node(os.environ["PYERLNODE_NODE"]) as node:
        node.start(Counter, name="counter")
        run_until_stdin_closes()

Who starts an OS process holds the other end of its standard input. The BEAM closes it when the port's owner ends, and
the kernel does when the BEAM is killed, so a program that ends with its input is never left behind (`Pyerlnode.Port`
in `beam/pyerlnode` is such an owner). A line ``stop`` asks for the same while the input stays open.

A program that knows nothing of this, a web server say, is run so that it ends with its input by

    python -m pyerlnode.port.owner serve.py ARGS…
    python -m pyerlnode.port.owner -m uvicorn app:api

which then gets SIGTERM, and leaves by `SystemExit`, so that ``with`` blocks end, unless it handles that signal itself.

A native thread reads, so it notices also while the hub is blocked; if the program has not ended `grace` seconds later,
the thread ends it without ceremony, with status 70.
"""

from __future__ import annotations

import functools
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from pyerlnode.runtime.edges import edge

GRACE: Final = 10.0
OVERDUE: Final = 70
"""Exit status of a program that was asked to end and did not (EX_SOFTWARE)."""

_start_new_thread = get_original("_thread", "start_new_thread")
_read = get_original("os", "read")
_sleep = get_original("time", "sleep")


def _leave() -> None:
    os._exit(OVERDUE)


def run_until_stdin_closes(grace: float = GRACE, *, descriptor: int = 0, overdue: Callable[[], None] = _leave) -> None:
    """Let the greenlets of this thread run until `descriptor` ends, or says ``stop`` in a line.

    Args:
        grace: seconds that the program then has to come to its end.
        descriptor: where the owner is; standard input unless given.
        overdue: called, in a thread of its own, `grace` seconds later; ends the program unless given.
    """
    ended = Event()
    watcher: Any = gevent.get_hub().loop.async_()
    watcher.start(ended.set)
    _start_new_thread(_watch, (descriptor, watcher.send, grace, overdue))
    try:
        ended.wait()
    finally:
        watcher.close()


@edge
def _watch(descriptor: int, tell: Callable[[], None], grace: float, overdue: Callable[[], None]) -> None:
    """In the native thread."""
    rest = b""
    while b"stop" not in rest.split(b"\n")[:-1]:
        rest = rest.rpartition(b"\n")[2][-8:]
        try:
            data = _read(descriptor, 4096)
        except OSError:
            break
        if not data:
            break
        rest += data
    tell()
    end = time.monotonic() + grace
    while (left := end - time.monotonic()) > 0:
        _sleep(left)
    overdue()


def run_program(arguments: Sequence[str], grace: float = GRACE, *, descriptor: int = 0) -> None:
    """Run a script, or with ``-m`` a module, as Python does, and let it end when `descriptor` does."""
    signal.signal(signal.SIGTERM, _end)
    _start_new_thread(_watch, (descriptor, functools.partial(_ask, get_ident()), grace, _leave))
    if arguments[:1] == ["-m"]:
        sys.argv = list(arguments[1:])
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")


def _ask(main: int) -> None:
    """Send the signal until `_end` takes it: a loop that waits in C hears one that comes just before it waits never."""
    for _ in range(20):
        signal.pthread_kill(main, signal.SIGTERM)
        _sleep(0.05)
        if signal.getsignal(signal.SIGTERM) is not _end:  # taken, or the program has a handler of its own
            return


def _end(number: int, frame: Any) -> None:
    del number, frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what ends now is not asked again
    sys.exit(0)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1:] == ["-m"]:
        sys.exit("usage: python -m pyerlnode.port.owner [-m MODULE | PROGRAM] [ARGUMENT...]")
    run_program(sys.argv[1:])
