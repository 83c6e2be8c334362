"""A Python node in an OS process of its own that takes part in the sessions `carts`, until standard input ends.

    carts.py NAME COOKIE EPMD_PORT SEED

Prints `ready` when it serves its share. Afterwards each line of standard input is answered by True: a sign of life.
"""

import sys

from gevent.fileobject import FileObject

from interop_tests.session_server import Cart
from pyerlnode import Node
from pyerlnode.cluster.sessions import Sessions
from pyerlnode.testing.waiting import wait_for


def main(name: str, cookie: str, epmd_port: str, seed: str) -> None:
    with (
        Node(name, cookie=cookie, epmd_port=int(epmd_port)) as node,
        Sessions(node, "carts", Cart, seeds=(seed,)) as carts,
    ):
        wait_for(lambda: carts.stats()["held"] > 0 and not carts.stats()["awaited"])
        print("ready", flush=True)
        for _ in FileObject(sys.stdin.buffer, "rb"):  # a wait that lets the node run
            print(True, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
