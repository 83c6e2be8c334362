"""What each Python node serves: `make` gives the pid that joins the group."""

from pyerlnode import A, GenServer, Reply


class Shop(GenServer):
    def init(self):
        self.cents = {b"apples": 25}

    def handle_call(self, request, from_):
        match request:
            case (A.price, bytes(sku)) if sku in self.cents:
                return Reply((A.ok, self.cents[sku]))
        return Reply((A.error, A.unknown))


def make(node):
    return node.start(Shop, name="shop")
