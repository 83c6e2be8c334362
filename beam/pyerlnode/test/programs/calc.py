"""The Python side of the companion's tests: a server to start from elsewhere, and functions that fail."""

import os
import sys
import time

from pyerlnode import A, GenServer, Node, Reply, run_until_stdin_closes


class Counter(GenServer):
    def init(self, value=0):
        self.value = value

    def handle_call(self, request, from_):  # noqa: ARG002 - the callback's shape
        match request:
            case A.get:
                return Reply(self.value)
            case A.crash:
                raise ValueError("as asked")


def divide(a, b):
    return a / b


def hang():
    time.sleep(60)


if "exit" in sys.argv:
    sys.exit(3)
with Node(os.environ["PYERLNODE_NODE"]) as node:
    node.export_server("Elixir.Calc", Counter)
    node.export("calc", {"divide": divide, "hang": hang, "argv": lambda: sys.argv[1:]})
    node.start(Counter, name="ready")
    print("calc is up", flush=True)  # noqa: T201 - what `output:` is given
    run_until_stdin_closes(grace=2.0)
