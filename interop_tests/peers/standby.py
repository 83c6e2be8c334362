"""A member of a standby group in an OS process of its own, until standard input ends.

    standby.py NAME COOKIE EPMD_PORT NODES LEASE FILE

NODES are separated by commas. The child counts; while it may, it appends its epoch to FILE, many times a second.
"""

import logging
import sys
from typing import Any

from gevent.fileobject import FileObject

from pyerlnode import A, GenServer, Node, Reply
from pyerlnode.cluster.standby import Fenced, Standby, activation


class Counter(GenServer):
    def init(self, path: str) -> None:
        mine = activation()
        assert mine is not None
        self.mine = mine
        self.count = mine.state or 0
        self.path = path
        self.tick()

    def tick(self) -> None:
        try:
            epoch = self.mine.check()
        except Fenced:
            return
        with open(self.path, "a") as file:
            file.write(f"{epoch}\n")
        self.process.system.send_after(0.005, self.pid, A.tick)

    def handle_info(self, message: Any) -> None:
        if message is A.tick:
            self.tick()

    def handle_call(self, request: Any, from_: Any) -> Any:
        if request is A.add:
            self.count += 1
        return Reply((self.count, self.process.system.node))


def main(name: str, cookie: str, epmd_port: str, nodes: str, lease: str, path: str) -> None:
    with Node(name, cookie=cookie, epmd_port=int(epmd_port), ticktime=2 * float(lease)) as node:
        node.start(
            Standby,
            (Counter, path),
            name="counter",
            nodes=nodes.split(","),
            lease=float(lease),
            shutdown=float(lease) / 2,
            hold=15.0,
            handoff=lambda pid: node.call(pid, A.count)[0],
        )
        print("ready", flush=True)
        FileObject(sys.stdin.buffer, "rb").read()  # a wait that lets the node run
        node.stop(60.0)  # in order, however slow the machine is


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {sys.argv[1]} %(message)s")  # shown when a test fails
    main(*sys.argv[1:])
