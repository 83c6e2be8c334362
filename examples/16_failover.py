"""Of three Python nodes one runs a counter; when it stops, the next one goes on, and Elixir notices nothing.

Each node would be a machine of its own; here they live in one program.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    Elixir calls two: 1, counted by one
    one is stopped
    Elixir calls two: 2, counted by two
    one is back
    Elixir calls two: 3, counted by one
    an operator moves it to three: ok
    Elixir calls two: 4, counted by three
"""

import sys

import gevent

from pyerlnode import A, GenServer, Node, Reply
from pyerlnode.cluster.standby import Standby, activation

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"
NAMES = ["one@127.0.0.1", "two@127.0.0.1", "three@127.0.0.1"]  # in the order of priority


class Counter(GenServer):
    def init(self):
        self.count = activation().state or 0  # what the one before has handed over

    def handle_call(self, request, from_):
        if request is A.add:
            self.count += 1
        return Reply((self.count, self.process.system.node.name.split("@")[0]))


def member(name):
    node = Node(name, cookie="secret").open()
    node.start(
        Standby,
        Counter,
        name="counter",
        nodes=NAMES,
        handoff=lambda pid: node.call(pid, A.look)[0],
        lease=1.0,  # short, so that this example is; 2 seconds unless given
        shutdown=0.5,
    )
    return node


def runs_on(name, asked):
    while Standby.status("counter", on=asked)[A.active] is not A[name]:
        gevent.sleep(0.02)


def elixir_calls(node):
    count, where = node.rpc(APP, "Elixir.GenServer", "call", [(A.counter, A[NAMES[1]]), A.add])
    print(f"Elixir calls two: {count}, counted by {where.decode()}")


one, two, three = map(member, NAMES)
try:
    runs_on(NAMES[0], two)
    elixir_calls(two)

    print("one is stopped")
    one.stop()
    elixir_calls(two)

    print("one is back")
    one = member(NAMES[0])
    runs_on(NAMES[0], two)
    elixir_calls(two)

    print("an operator moves it to three:", Standby.move("counter", NAMES[2], on=two))
    elixir_calls(two)
finally:
    for node in (three, two, one):
        node.stop()
