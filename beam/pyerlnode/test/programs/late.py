"""A program that takes the name `ready` late, or never: until then its node is slow with whatever it is asked."""

import os
import sys
import time

import gevent

from pyerlnode import A, GenServer, Node, Reply, run_until_stdin_closes


class Ready(GenServer):
    def handle_call(self, request, from_):  # noqa: ARG002 - the callback's shape
        return Reply(A.ready)


def be_ready_after(node, rounds):
    for _ in range(rounds):
        end = time.monotonic() + 0.06
        while time.monotonic() < end:
            pass
        gevent.sleep(0.001)
    node.start(Ready, name="ready")


with Node(os.environ["PYERLNODE_NODE"]) as node:
    gevent.spawn(be_ready_after, node, int(sys.argv[1]))
    run_until_stdin_closes()
