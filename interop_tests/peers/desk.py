"""A Python node in an OS process of its own: a `Desk` named `desk`, until standard input ends.

    desk.py NAME COOKIE EPMD_PORT [EPMD_MODE]

Prints `ready` when it can be reached; afterwards each line of standard input is a node to ping, answered by True or
False.
"""

import sys

from gevent.fileobject import FileObject

from interop_tests.servers import Desk
from pyerlnode import Node


def main(name: str, cookie: str, epmd_port: str, mode: str = "auto") -> None:
    with Node(name, cookie=cookie, epmd_port=int(epmd_port), epmd=mode) as node:
        node.start(Desk, name="desk")
        print("ready", flush=True)
        for line in FileObject(sys.stdin.buffer, "rb"):  # a wait that lets the node run
            print(node.ping(line.decode().strip()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
