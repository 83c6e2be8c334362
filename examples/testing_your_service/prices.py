"""A service that Elixir calls: prices that change, and processes that want to know when they do."""

from typing import Any

from pyerlnode import A, GenServer, Node, NoReply, Reply, monitor, send


class Prices(GenServer):
    """Answers ``{:price, sku}`` and ``{:subscribe, pid}``; takes ``{:set, sku, cents}`` as a cast."""

    def init(self) -> None:
        self.cents: dict[bytes, int] = {}
        self.subscribers: dict[Any, Any] = {}

    def handle_call(self, request: Any, from_: Any) -> Reply:
        match request:
            case (A.price, bytes(sku)) if sku in self.cents:
                return Reply((A.ok, self.cents[sku]))
            case (A.price, _):
                return Reply((A.error, A.unknown_sku))
            case (A.subscribe, pid):
                self.subscribers[monitor(pid)] = pid
                return Reply(A.ok)
            case A.subscribers:
                return Reply(len(self.subscribers))
        return Reply((A.error, A.bad_request))

    def handle_cast(self, request: Any) -> NoReply:
        match request:
            case (A.set, bytes(sku), int(cents)):
                self.cents[sku] = cents
                for pid in self.subscribers.values():
                    send(pid, (A.price_changed, sku, cents))
            case _:
                raise ValueError("not a price")
        return NoReply()

    def handle_info(self, message: Any) -> NoReply:
        match message:
            case (A.DOWN, ref, A.process, _, _):
                self.subscribers.pop(ref, None)
        return NoReply()


def discount(cents: int, percent: int) -> int:
    """The price after a discount, rounded down to whole cents."""
    if not 0 <= percent <= 100:
        raise ValueError(f"a discount of {percent} %")
    return cents * (100 - percent) // 100


def serve(node: Node) -> None:
    """What the service's main program does with its node."""
    node.start(Prices, name="prices")
    node.export("Elixir.Prices", discount)
