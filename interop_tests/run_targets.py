"""What `pyerlnode run` serves in the tests: a server that answers at once, after a while, and later."""

import os
from typing import Any

import gevent

from pyerlnode import A, GenServer, Node, NoReply, Pid, Reply


class Shop(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.at_once:
                return Reply((A.ok, os.getpid()))
            case A.slowly:
                gevent.sleep(0.01)
                return Reply((A.ok, os.getpid()))
            case A.later:
                self.process.system.send_after(0.05, self.pid, (A.answer, from_))
                return NoReply()
        return Reply(A.error)

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.answer, from_):
                self.reply(from_, (A.ok, os.getpid()))


def make(node: Node) -> Pid:
    pid: Pid = node.start(Shop, name="shop")
    return pid
