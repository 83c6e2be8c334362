"""A supervision tree in Python, looked at and shaken from Elixir.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    Elixir sees: {'till': worker, 'carts': supervisor, 'stock': worker}
    stock holds 6 apples
    Elixir kills stock; its supervisor starts it and what comes after it again
    restarted: carts, stock, till
    stock holds 7 apples
    Elixir starts a cart: it holds 3
    squares, three tasks at a time: [0, 1, 4, 9, 16, 25]
    stopped: till, carts, stock
"""

import logging
import sys

from pyerlnode import (
    A,
    Agent,
    DynamicSupervisor,
    GenServer,
    Node,
    Reply,
    Supervise,
    Supervisor,
    Task,
)

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"
stopped = []


class Stock(GenServer):
    def init(self, apples):
        self.process.trap_exit = True  # so that `terminate` runs when the supervisor stops it
        self.apples = apples

    def handle_call(self, request, from_):
        match request:
            case A.take:
                self.apples -= 1
        return Reply(self.apples)

    def terminate(self, reason):
        stopped.append("stock")


class Till(GenServer):
    def init(self):
        self.process.trap_exit = True

    def terminate(self, reason):
        stopped.append("till")


class Carts(DynamicSupervisor):
    def terminate(self, reason):
        super().terminate(reason)
        stopped.append("carts")


class Shop(Supervisor):
    def init(self, apples):
        return Supervise(
            [
                {"id": "stock", "start": (Stock, [apples])},
                {"id": "carts", "start": Carts},
                {"id": "till", "start": Till, "shutdown": 0.5},
            ],
            strategy="rest_for_one",
        )


def start_cart(items):
    """Exported: what a child specification from Elixir may name."""
    return A.ok, Agent.start_link(lambda: items)


def children(node, shop):
    return {id: pid for id, pid, _, _ in Supervisor.which_children(shop, on=node)}


logging.getLogger("pyerlnode").addHandler(logging.NullHandler())  # the reports of the crash are not of interest here

with Node(cookie="secret") as node:
    node.export("Elixir.Cart", start_cart, "start_link")
    shop = node.start(Shop, 7, name="shop")
    where = (A.shop, A[node.name])
    seen = node.rpc(APP, "Elixir.Supervisor", "which_children", [where])
    print("Elixir sees:", "{" + ", ".join(f"'{id}': {type}" for id, _, type, _ in seen) + "}")

    before = children(node, shop)
    print("stock holds", node.call(before[A.stock], A.take), "apples")

    print("Elixir kills stock; its supervisor starts it and what comes after it again")
    ref = node.monitor(before[A.stock])
    node.rpc(APP, "Elixir.Process", "exit", [before[A.stock], A.kill])
    node.receive((A.DOWN, ref, A.process, before[A.stock], A.killed), timeout=5)
    after = children(node, shop)
    print("restarted:", ", ".join(sorted(id.name for id in after if after[id] != before[id])))
    print("stock holds", node.call(after[A.stock], A.look), "apples")

    spec = {A.id: A.cart, A.start: (A.Elixir.Cart, A.start_link, [3])}
    _, cart = node.rpc(APP, "Elixir.DynamicSupervisor", "start_child", [after[A.carts], spec])
    print("Elixir starts a cart: it holds", Agent.get(cart, lambda items: items, on=node))

    squares = Task.async_stream(range(6), lambda x: x * x, max_concurrency=3, on=node)
    print("squares, three tasks at a time:", [value for _, value in squares])

    stopped.clear()
    node.rpc(APP, "Elixir.Supervisor", "stop", [where])
    print("stopped:", ", ".join(stopped))
