"""Sessions: one process for each key, somewhere among several Python nodes, called by its key from Elixir and Python.

Two nodes live in one program here; they share the keys as two programs would. Elixir asks any of them. When a node
leaves, its sessions go to the other one with their state.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    Elixir puts fruit in ten carts, by one node or the other
    the carts are on two nodes: True
    after one has left all are on the other: True
    user-3 still has [b'apples', b'pears']
"""

from typing import Any

from pyerlnode import A, Node, Reply
from pyerlnode.cluster.sessions import Session, Sessions

APP = "app@127.0.0.1"
KEYS = [f"user-{number}" for number in range(10)]


class Cart(Session):
    def init(self, key: Any) -> None:
        self.items: list[Any] = []

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.add, item):
                self.items.append(item)
                return Reply(A.ok)
            case A.get:
                return Reply(self.items)
        return Reply((A.error, A.unknown))

    def handoff(self) -> Any:
        return self.items

    def resume(self, state: Any) -> None:
        self.items = list(state)


with Node("carts1@127.0.0.1", cookie="secret") as one, Node("carts2@127.0.0.1", cookie="secret") as two:
    first = Sessions(one, "carts", Cart)
    second = Sessions(two, "carts", Cart, seeds=[one.name])

    print("Elixir puts fruit in ten carts, by one node or the other")
    for key in KEYS:
        for node, fruit in ((one, "apples"), (two, "pears")):
            # GenServer.call({:carts, :"carts1@127.0.0.1"}, {:session, "user-0", {:add, "apples"}})
            request = (A.session, key, (A.add, fruit))
            one.rpc(APP, "Elixir.GenServer", "call", [(A.carts, A[node.name]), request])

    places = {first.whereis(key).node for key in KEYS}
    print("the carts are on two nodes:", len(places) == 2)
    second.stop()
    places = {first.whereis(key).node for key in KEYS if first.call(key, A.get)}
    print("after one has left all are on the other:", places == {A[one.name]})
    print("user-3 still has", first.call("user-3", A.get))
