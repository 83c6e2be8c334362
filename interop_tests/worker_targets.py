"""What the tests run in workers."""

import ctypes
import os
import time
from pathlib import Path
from typing import Any

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
