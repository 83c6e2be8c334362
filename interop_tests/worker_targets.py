"""What the tests run in workers."""

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gevent
import numpy as np

from pyerlnode import ANY, A, Atom, Exit, GenServer, Reply, Stop, monitor, receive, send
from pyerlnode.workers.inside import call, cast, node


def double(x: Any) -> Any:
    return 2 * x


def misbehave(how: Any) -> Any:
    if how is A.segfault:
        ctypes.string_at(0)
    if how is A.exit:
        os._exit(3)
    if how is A.memory:
        return len(bytearray(1 << 33))
    if how is A.spin:
        while True:
            pass
    if how is A.sleep:
        time.sleep(30)
    if how is A.crash:
        raise ValueError("as asked")
    return os.getpid()


class Account(GenServer):
    def init(self, balance: int) -> None:
        self.process.trap_exit = True
        self.balance = balance

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.balance:
                return Reply(self.balance)
            case A.os_pid:
                return Reply(os.getpid())
            case A.stop:
                return Stop(A.closed, reply=A.ok)
            case (A.tell, to):
                self.teller = to
                return Reply(A.ok)

    def handle_cast(self, request: Any) -> None:
        self.balance += request

    def terminate(self, reason: Any) -> None:
        if hasattr(self, "teller"):
            self.process.system.send(self.teller, (A.ended, reason))


def ask(request: Any) -> Any:
    """From inside a worker: call another process, or tell it something, or watch it."""
    match request:
        case (A.call, dest, what):
            try:
                return A.ok, call(dest, what, 5.0)
            except Exit as ended:
                return A.exit, ended.reason
        case (A.call, dest, what, seconds):
            try:
                return A.ok, call(dest, what, seconds)
            except Exit as ended:
                return A.exit, ended.reason
        case (A.send, dest, what):
            send(dest, what)
        case (A.cast, dest, what):
            cast(dest, what)
        case A.node:
            return node()
        case (A.monitor, dest):
            ref = monitor(dest)
            return receive((A.DOWN, ref, A.process, ANY, ANY), 5.0)[4]
    return A.ok


def about(array: Any) -> Any:
    """What arrives, and the same back."""
    if isinstance(array, (bytes, memoryview)):
        return Atom(type(array).__name__), len(array), array
    return Atom(type(array).__name__), array.flags.writeable, array * 2


def hold(array: Any) -> Any:
    """Take an array and never answer."""
    time.sleep(60)


def garble(_: Any) -> Any:
    """Write what is no packet to the node."""
    here = Path("/proc/self/fd")
    for path in [path for path in here.iterdir() if path.is_socket()]:
        os.write(int(path.name), b"\0\0\0\1x")
    return A.ok


class Spiteful(Exception):
    """Nothing of it can be asked for."""

    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__

    def __reduce__(self) -> Any:
        raise ValueError("no pickle")


class Foreign(BaseException):
    """As a panic of an extension is."""


RAISED: dict[str, Any] = {
    "value_error": lambda: ValueError("as asked"),
    "base_exception": lambda: Foreign("panic"),
    "sys_exit": lambda: SystemExit(3),
    "keyboard_interrupt": KeyboardInterrupt,
    "generator_exit": GeneratorExit,
    "greenlet_exit": gevent.GreenletExit,
    "gevent_timeout": lambda: gevent.Timeout(7200),
    "cancelled": asyncio.CancelledError,
    "stop_iteration": StopIteration,
    "memory_error": MemoryError,
    "no_text": Spiteful,
    "no_name": lambda: type("Nameless", (Exception,), {"__qualname__": "\ud800"})(),
    "exit": lambda: Exit((A.not_today, 1)),
    "exit_without_a_term": lambda: Exit(object()),
}


def raising(name: Any) -> Any:
    """Raise what is named, or say where this runs."""
    if name is not A.pid:
        raise RAISED[name.name]()
    return os.getpid()


def returning(name: Any) -> Any:
    """Return what no term can be, or say where this runs."""
    cycle: list[Any] = []
    cycle.append(cycle)
    loop: dict[str, Any] = {}
    loop["again"] = (loop,)
    match name:
        case A.cycle:
            return cycle
        case A.loop:
            return loop
        case A.object:
            return [1, {b"x": object()}]
        case A.nan:
            return float("nan")
        case A.generator:
            return (_ for _ in ())
        case A.array_of_objects:
            return np.array([object()] * 100_000)
    return os.getpid()


def rude(what: Any) -> Any:
    """Do what a library may do to its process; then answer as if nothing were."""
    match what:
        case A.prints:
            print("x" * 100_000)
            sys.stdout.flush()
        case A.closes_standard_descriptors:
            for descriptor in (0, 1):
                os.close(descriptor)
        case A.closes_standard_files:
            sys.stdin.close()
            sys.stdout.close()
        case A.recurses:
            return rude(what)
        case A.starts_threads:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            failing = threading.Thread(target=sys.exit, args=(1,))
            failing.start()
            failing.join()
        case A.starts_a_program:
            subprocess.run(["true"], check=True)
        case _:
            return forking(what)
    return os.getpid()


def forking(what: Any) -> Any:
    match what:
        case (A.forks, how):
            child = os.fork()
            if child == 0:
                return forked(how)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        case (A.leaves_a_fork_and_dies, path):
            if os.fork() == 0:
                Path(path.decode()).write_text(str(os.getpid()))
                time.sleep(600)
            while not Path(path.decode()).exists():
                time.sleep(0.002)
            os._exit(7)
    return os.getpid()


def forked(how: Any) -> Any:
    match how:
        case A.returns:
            return A.from_the_fork
        case A.raises:
            raise ValueError("in the fork")
        case A.exit:
            sys.exit(9)


class Rude(GenServer):
    """A server that forks, raises and exits."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        if request in (A.value_error, A.sys_exit):
            raise RAISED[request.name]()
        return Reply(rude(request))


def job(what: Any) -> Any:
    """What the pool's tests have done: each says by files what it is at."""
    match what:
        case (A.wait, started, go):
            Path(started.decode()).write_text(str(os.getpid()))
            while not Path(go.decode()).exists():
                time.sleep(0.002)
            return A.waited
        case (A.note, path, text):
            with open(path, "ab") as file:
                file.write(text)
            return A.noted
    return misbehave(what)


def hold_the_lock(seconds: int) -> None:
    """As an extension in C that neither gives the interpreter's lock back nor returns."""
    ctypes.PyDLL(None).sleep(seconds)
