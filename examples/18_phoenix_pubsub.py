"""Push to LiveViews and channels, and hear what they broadcast: a node of Phoenix.PubSub in Python.

A second Python node takes the place of the Phoenix application here, so nothing else has to run. With the name of a
node on which `MyApp.PubSub` runs as the argument, the prices go there as well, and its LiveViews get them:

    Phoenix.PubSub.subscribe(MyApp.PubSub, "prices")     # in mount/3
    def handle_info({:price, sku, price}, socket)        # in the same module

Prints:
    the web node is known: ['web@127.0.0.1']
    web hears: (A.price, b'apples', 120)
    web's channels push: price_changed {b'sku': b'apples', b'price': 120}
    Python hears of an order: (A.ordered, b'apples', 3)
    a payload that is no JSON: the payload is no JSON › at: tuple
    after its process has ended: 0 subscribers
"""

import sys

from pyerlnode import A, Node, receive
from pyerlnode.bridges.phoenix import Broadcast, PubSub
from pyerlnode.errors import UsageError


def heard(pubsub, topic, ready):
    """What one process hears of a topic, printed; it ends after the second message."""
    pubsub.subscribe(topic)
    ready()
    print("web hears:", receive(timeout=5))
    pushed = Broadcast.of(receive(timeout=5))
    print("web's channels push:", pushed.event, pushed.payload)


with Node("prices@127.0.0.1", cookie="secret") as node, Node("web@127.0.0.1", cookie="secret") as web:
    pubsub, of_web = PubSub(node, "MyApp.PubSub"), PubSub(web, "MyApp.PubSub")
    for peer in [web.name, *sys.argv[1:]]:
        node.connect(peer)
        pubsub.await_node(peer)  # what is published from now on reaches it
    of_web.await_node(node.name)
    print("the web node is known:", pubsub.nodes()[-1:])

    me = node.self_()
    view = web.spawn(heard, of_web, "prices", lambda: web.send(me, A.ready))
    assert node.receive(timeout=5) is A.ready
    ref = node.monitor(view)
    pubsub.broadcast("prices", (A.price, "apples", 120))
    pubsub.endpoint_broadcast("prices", "price_changed", {"sku": "apples", "price": 120})
    node.receive((A.DOWN, ref, A.process, view, A.normal), timeout=5)

    pubsub.subscribe("orders")
    of_web.broadcast("orders", (A.ordered, "apples", 3))
    print("Python hears of an order:", node.receive(timeout=5))

    try:
        pubsub.endpoint_broadcast("prices", "moved", {"at": (1, 2)})
    except UsageError as refused:  # it would end the PubSub's worker on every node with clients
        print("a payload that is no JSON:", refused)
    print("after its process has ended:", of_web.stats()["subscribers"], "subscribers")
