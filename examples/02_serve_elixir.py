"""Serve a GenServer to Elixir; one of its answers comes later, from another process.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    Elixir counted: [42, 43, 44]
    and asked for a slow sum: 499500
"""

import sys

from pyerlnode import A, GenServer, Node, NoReply, Reply

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"


class Counter(GenServer):
    def init(self, start=0):
        self.value = start

    def handle_call(self, request, from_):
        match request:
            case (A.add, int(n)):
                self.value += n
                return Reply(self.value)
            case (A.sum, int(n)):
                node.spawn(self.slow_sum, n, from_)  # the server goes on to its next message meanwhile
                return NoReply()

    def slow_sum(self, n, from_):
        node.reply(from_, sum(range(n)))


with Node(cookie="secret") as node:
    node.start(Counter, 41, name="counter")
    counter = (A.counter, A[node.name])
    # Both calls of Counter are Elixir's: Python only asks Elixir to make them.
    print("Elixir counted:", node.rpc(APP, "Elixir.Customer", "count", [counter, 3]))
    print("and asked for a slow sum:", node.rpc(APP, "Elixir.GenServer", "call", [counter, (A.sum, 1000)]))
