"""What the tests run in workers."""

import ctypes
import os
import time
from typing import Any

from pyerlnode import A, GenServer, Reply, Stop


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
