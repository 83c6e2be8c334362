"""The process between a test and a node that runs already: standard input and output there, distribution here.

The kit drives it as it does a BEAM of its own (`channel`): after the greeting comes a frame that says what to join
and the agent's code, then numbered requests, each answered by the node itself. What they say is not looked at here:
bytes go to ``pyerlnode_beam_agent:answer_bytes/1`` there and bytes come back. All that they start on that node has a
device of this process as its group leader, one for each scope, by which `clean` knows it.

The process ends with its standard input, and when the node is gone.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from gevent.lock import RLock
from gevent.os import nb_read, nb_write

from pyerlnode import A, Node
from pyerlnode.errors import PyerlnodeError
from pyerlnode.etf import decode, encode
from pyerlnode.term.pid import Pid

AGENT = A.pyerlnode_beam_agent
BEGIN, END = encode(A.begin_test), encode(A.end_test)
HELLO = b"pyerlnode:between"
GONE = 3
"""The status of this process after the end of the node."""


class Between:
    """The node here, the name of the one there, and where answers go."""

    def __init__(self, node: Node, there: str, answers: int) -> None:
        self._node, self._there, self._answers = node, there, answers
        self._run = self._scope = node.open_device(sys.stderr)
        self._turn = RLock()

    def reach(self, code: bytes) -> None:
        """Connect, and load the agent unless it is there: at a second time processes that run it would be killed."""
        self._node.connect(self._there)
        _, (_, md5) = self._ask("beam_lib", "md5", code)
        try:
            known = self._ask(AGENT, "module_info", A.md5) == md5
        except PyerlnodeError:
            known = False
        if not known:
            loaded = self._ask("code", "load_binary", AGENT, list(b"agent.erl"), code)
            if loaded != (A.module, AGENT):
                raise PyerlnodeError(f"it does not load the kit's module: {loaded!r}")

    def request(self, number: bytes, request: bytes) -> None:
        """Carry it out in a process of its own."""
        if request == BEGIN:
            self._scope = self._node.open_device(sys.stderr)
            self._answer(number, encode((A.ok, A.ok)))
        elif request == END:
            ended, self._scope = self._scope, self._run
            if ended != self._run:
                self._node.exit(ended, A.kill)
            self._answer(number, encode((A.ok, A.ok)))
        else:
            self._node.spawn(self._carry_out, number, request, self._scope)

    def _carry_out(self, number: bytes, request: bytes, leader: Pid) -> None:
        self._node.set_group_leader(leader)
        try:
            answer = self._ask(AGENT, "answer_bytes", request)
        except PyerlnodeError as error:  # not one of the request's own: those are answers
            text = f"{type(error).__name__}: {error}".encode()
            answer = encode((A.error, A.not_answered, b"", text))
        self._answer(number, answer)

    def _ask(self, module: Any, function: str, *args: Any) -> Any:
        return self._node.erpc.call(self._there, module, function, args, None)

    def _answer(self, number: bytes, answer: bytes) -> None:
        frame = number + answer
        with self._turn:  # a frame may take several turns of the hub
            nb_write_all(self._answers, len(frame).to_bytes(4, "big") + frame)

    def watch(self) -> None:
        """End this process when the node is gone: the kit tells its test so, and begins anew with the next one."""
        self._node.monitor_node(self._there)
        while self._node.receive() != (A.nodedown, A[self._there]):
            pass
        _say(f"{self._there} is gone, or the connection to it")
        os._exit(GONE)


def main() -> None:
    answers = int(sys.argv[1])
    os.set_blocking(0, False)
    os.set_blocking(answers, False)
    nb_write_all(answers, len(HELLO).to_bytes(4, "big") + HELLO)
    first = _frame()
    if first is None:
        return
    there, own, cookie, epmd_port, address, code = decode(first)
    name = there.decode()
    # Registered nowhere: nobody but the one there has anything to say to it.
    settings: dict[str, Any] = {"cookie": cookie.decode(), "epmd": "none", "epmd_port": epmd_port}
    if address is not None:
        settings["addresses"] = {name: (address[0].decode(), address[1])}
    with Node(own.decode(), **settings) as node:
        between = Between(node, name, answers)
        try:
            between.reach(code)
        except PyerlnodeError as error:
            _say(f"{type(error).__name__}: {error}")
            sys.exit(1)
        node.spawn(between.watch)
        while (frame := _frame()) is not None:
            between.request(frame[:4], frame[4:])


def _say(text: str) -> None:
    """To the kit's log; its last line is what a test is told."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def nb_write_all(fd: int, data: bytes) -> None:
    """Write all of it, and let the node work meanwhile."""
    while data:
        data = data[nb_write(fd, data) :]


def _frame() -> bytes | None:
    head = _read(4)
    return None if head is None else _read(int.from_bytes(head, "big"))


def _read(size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = nb_read(0, min(size - len(data), 1 << 20))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


if __name__ == "__main__":
    main()
