"""Under overload: refuse early, stay at full speed, and stop calling what does not answer.

Ten processes of Elixir call a pool of two servers in Python at once. Its queue has room for four, so six are answered
and four are refused at once. A query needs the one connection of a data base: a regulator gives the permits. Then
Python calls a server in Elixir that is not there, until a breaker opens.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    answered: 6, refused at once: 4
    queries at one time, at most: 1
    a member that crashes costs its own caller an exit, and is replaced: rows
    the breaker after two calls to nobody: open
    the third call is not made
    the permit of a killed process comes back: rows
"""

import contextlib
import logging
import sys

import gevent
from gevent.event import Event

from pyerlnode import A, GenServer, Node, NoProc, RemoteExit, Reply, Stop
from pyerlnode.cluster.load import Breaker, BreakerOpen, Pool, Regulator, Rules, Thresholds

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"
logging.getLogger("pyerlnode").addHandler(logging.NullHandler())  # the report of the crash is not of interest here


class DataBase:
    """Slow: it answers when all ten callers have come."""

    def __init__(self):
        self.awake = Event()
        self.at_once = self.most = 0

    def query(self):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.awake.wait()
        self.at_once -= 1
        return A.rows


class Model(GenServer):
    def init(self, regulator, data_base):
        self.regulator, self.data_base = regulator, data_base

    def handle_call(self, request, from_):
        if request is A.crash:
            return Stop(A.broken)
        return Reply(self.regulator.run("connections", self.data_base.query))


with Node(cookie="secret") as node:
    regulator = Regulator.start(node, {"connections": Rules(limit=1, max_wait=10.0)}, name="regulator")
    data_base = DataBase()
    node.start(Pool, Model, regulator, data_base, size=2, queue=4, max_wait=10.0, name="model")

    def call_from_elixir(request):
        return node.rpc(APP, "Elixir.GenServer", "call", [(A.model, A[node.name]), request])

    callers = [gevent.spawn(call_from_elixir, A.query) for _ in range(10)]
    while Pool.stats("model", on=node)["overload"] < 4:
        gevent.sleep(0.01)
    data_base.awake.set()
    answers = [caller.get() for caller in callers]
    print(f"answered: {answers.count(A.rows)}, refused at once: {answers.count((A.error, A.overload))}")
    print("queries at one time, at most:", data_base.most)

    try:
        call_from_elixir(A.crash)
    except RemoteExit:
        print("a member that crashes costs its own caller an exit, and is replaced:", call_from_elixir(A.query))

    breaker = Breaker.start(node, Thresholds(failures=2, reset=60.0))
    for _ in range(2):
        with contextlib.suppress(NoProc):
            breaker.call(("nobody", APP), A.hello)
    print("the breaker after two calls to nobody:", breaker.state)
    try:
        breaker.call(("nobody", APP), A.hello)
    except BreakerOpen:
        print("the third call is not made")

    holder = node.spawn(lambda: (regulator.permit("connections"), node.receive()))
    while regulator.info("connections")["running"] == 0:
        gevent.sleep(0.01)
    node.exit(holder, A.kill)
    print("the permit of a killed process comes back:", regulator.run("connections", data_base.query))
