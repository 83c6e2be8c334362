"""prices@prices.pyerlnode.test: a GenServer and an exported function, until the container is stopped."""

import signal

import gevent
from gevent.event import Event

from pyerlnode import A, GenServer, Node, Reply


class Prices(GenServer):
    def init(self):
        self.cents = {b"apples": 25}

    def handle_call(self, request, from_):
        match request:
            case (A.price, bytes(sku)) if sku in self.cents:
                return Reply((A.ok, self.cents[sku]))
        return Reply((A.error, A.unknown))


with Node("prices@prices.pyerlnode.test", cookie="secret") as node:
    node.start(Prices, name="prices")
    node.export("Elixir.Prices", {"total": lambda count, cents: count * cents})
    print("prices: serving", flush=True)
    stopped = Event()
    gevent.signal_handler(signal.SIGTERM, stopped.set)
    stopped.wait()
