"""Python supervises a server in Elixir and one in an OS process; Elixir kills both, and both come back.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    the agent lives at app@127.0.0.1
    the factorial of 20 is 2432902008176640000
    Elixir kills the agent and the worker
    the agent is another one: True
    the worker is another OS process: True
    after the end of the tree the worker's OS process is gone: True
"""

import logging
import sys
import time
from pathlib import Path

from pyerlnode import A, Node, Supervise, Supervisor, remote_child
from pyerlnode.workers.worker import Worker

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"


class Tree(Supervisor):
    def init(self):
        return Supervise(
            [
                remote_child(APP, "Elixir.Agent", "start_link", [A.Elixir.Map, A.new, []], id="agent"),
                {"id": "factorials", "start": (Worker, ["math:factorial"], {"time_limit": 5.0, "spares": 1})},
            ]
        )


def children(node, tree):
    return {id: pid for id, pid, _, _ in Supervisor.which_children(tree, on=node)}


def os_pid(node, pid):
    return node.system.process(pid).handler.os_pid


logging.getLogger("pyerlnode").addHandler(logging.NullHandler())  # the reports of the crashes are not of interest here

with Node(cookie="secret") as node:
    tree = node.start(Tree)
    before = children(node, tree)
    first = os_pid(node, before[A.factorials])
    print("the agent lives at", before[A.agent].node)
    print("the factorial of 20 is", node.call(before[A.factorials], 20))

    print("Elixir kills the agent and the worker")
    refs = [node.monitor(pid) for pid in before.values()]
    for pid in before.values():
        node.rpc(APP, "Elixir.Process", "exit", [pid, A.kill])
    for ref in refs:
        node.receive(lambda message, ref=ref: message[1] == ref, timeout=5)

    after = children(node, tree)
    print("the agent is another one:", after[A.agent] != before[A.agent])
    second = os_pid(node, after[A.factorials])
    print("the worker is another OS process:", second != first)

    node.stop_process(tree, A.shutdown)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{second}").exists() and time.monotonic() < deadline:
        node.receive(A.never, timeout=0.01, default=None)
    print("after the end of the tree the worker's OS process is gone:", not Path(f"/proc/{second}").exists())
