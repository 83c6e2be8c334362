"""The program of a worker's OS process: ``python -m pyerlnode.workers.main DESCRIPTOR PARENT``.

It is a port program (`program`) whose port is a socket to the node that started it; the words are those of
`port.speech_core`. Only that node talks to it, and it ends with the socket; on Linux the kernel kills it when its
parent ends, so that none computes on for a node that was killed. It is asked for two things, in this order:

    worker:load(Target)                          import `module:name`, so that a start finds it loaded; `ok`
    worker:start(Outer, Target, Args, Limits)    run it as a server linked to `Outer`, the pid that others know

The server's messages come to the name `server`, as they arrived at `Outer`: who called is the true caller, and the
answer goes there. One word is its own: ``{failed, From, Reason}``, the call of `From` has no answer but an exit.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from pyerlnode.errors import StartFailed
from pyerlnode.orphans import end_with
from pyerlnode.otp import gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid
from pyerlnode.workers.function import FunctionServer, end_forks_of
from pyerlnode.workers.program import WorkerProgram


def find(target: bytes) -> Any:
    """What ``module:qualified.name`` names. Only the node that owns this process says what that is."""
    module, _, path = target.decode().partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


class Main:
    def __init__(self, program: WorkerProgram) -> None:
        self.program = program

    def load(self, target: bytes) -> Any:
        find(target)
        return A.ok

    def start(self, outer: Pid, target: bytes, args: list[Any], limits: dict[Any, Any]) -> Any:
        self.program.system.worker_node = outer.node  # type: ignore[attr-defined]  # for `inside.node`
        found = find(target)
        server: type[GenServer] = found if isinstance(found, type) else FunctionServer
        given = tuple(args) if isinstance(found, type) else (found, self.program.fail, A.memory in limits)
        if issubclass(server, GenServer):  # else the start says what is wrong
            end_forks_of(server)
        if A.memory in limits:
            resource.setrlimit(resource.RLIMIT_AS, (limits[A.memory], limits[A.memory]))
        if A.time in limits:
            server = limited(server, limits[A.time])
        try:
            pid = gen_server.start(self.program.system, server, given, {}, name="server", link=outer)
        except StartFailed as error:
            return A.error, error.reason
        return A.ignore if pid is None else (A.ok, pid)


def limited(server: type[GenServer], seconds: float) -> type[GenServer]:
    """The same, ended by SIGALRM when one message takes longer; the kernel keeps the time, whatever the code does."""

    def handle(self: Any, message: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            server.handle(self, message)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    return type(server.__name__, (server,), {"handle": handle, "__module__": server.__module__})


def main(descriptor: int, parent: int) -> None:
    end_with(parent)
    alone(descriptor)
    logging.getLogger("pyerlnode").addHandler(_Unconfigured())
    program = WorkerProgram(descriptor)
    with program:
        made = Main(program)
        program.export("worker", {"load": made.load, "start": made.start})
        program.run()


class _Unconfigured(logging.Handler):
    """As Python's last resort, which the library's loggers do not reach: this program's log is nobody else's to set up.

    What the server's own module sets up is what counts.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers and logging.lastResort is not None:
            logging.lastResort.handle(record)


def alone(descriptor: int) -> None:
    """Have a session of one's own, and none of the descriptors that the parent's program has made inheritable."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    for name in os.listdir("/dev/fd"):
        number = int(name)
        if number > 2 and number != descriptor:
            with suppress(OSError):  # that of the listing itself
                if os.get_inheritable(number):
                    os.close(number)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
