"""A function as a server in an OS process: whatever it does, its call has an outcome, and then comes the next.

    it returned a term                             the answer
    it returned what no term can be                the call exits with ``{python_error, <<"…EncodeError">>, …}``
    it raised anything, `SystemExit` too           the call exits with ``{python_error, Type, Message, Stack}``
    it raised `Exit`                               the call exits with its reason
    a fork of it returned or raised                nothing: the fork ends

A server in its place (`GenServer`) would crash: it has a state that an exception may have left in pieces. A function
has none that is ours, so the OS process, with all that it has imported and loaded, stays. What ends it is what no
Python code can answer for: a crash, a signal, and the limits. Running out of a given `memory` is one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply
from pyerlnode.runtime.edges import ProcessKilled
from pyerlnode.runtime.reason_core import exit_reason

log = logging.getLogger("pyerlnode.workers")


class FunctionServer(GenServer):
    """Answers each call with ``function(request)``, or by `fail(from_, reason)`."""

    def init(self, function: Callable[[Any], Any], fail: Callable[[Any, Any], None], bounded: bool) -> None:
        self.function, self.fail, self.bounded = function, fail, bounded
        self.os_pid = os.getpid()

    def handle_call(self, request: Any, from_: Any) -> NoReply:
        try:
            self.reply(from_, self._run(request))  # raises, before anything is written, for what no term can be
        except ProcessKilled:
            raise
        except BaseException as error:
            self._outlive(error)
            self.fail(from_, exit_reason(error))
        return NoReply()

    def handle_cast(self, request: Any) -> None:
        try:
            self._run(request)
        except ProcessKilled:
            raise
        except BaseException as error:
            self._outlive(error)
            with contextlib.suppress(Exception):  # the function may have closed what the log is written to
                log.error("a cast to %s raised", self.function, exc_info=error)

    def _run(self, request: Any) -> Any:
        try:
            return self.function(request)
        finally:
            if os.getpid() != self.os_pid:
                end_fork()

    def _outlive(self, error: BaseException) -> None:
        if self.bounded and isinstance(error, MemoryError):
            raise error  # the limit is reached, as the caller's `time_limit` would be


def end_fork() -> None:
    """Of what somebody has forked only that code runs on: it may not answer in the place of its parent."""
    error = sys.exc_info()[1]
    with contextlib.suppress(BaseException):
        if error is not None and not isinstance(error, SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stdout.flush()
        sys.stderr.flush()
    code = error.code if isinstance(error, SystemExit) else error and 1
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


CALLBACKS = ("init", "handle_call", "handle_cast", "handle_info", "handle_continue", "terminate")


def end_forks_of(server: type[GenServer]) -> None:
    """What a callback of `server` has forked ends with the callback. The class is this OS process's own."""
    for name in CALLBACKS:
        setattr(server, name, _ending_forks(getattr(server, name), os.getpid()))


def _ending_forks(callback: Callable[..., Any], os_pid: int) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs)
        finally:
            if os.getpid() != os_pid:
                end_fork()

    return called
