"""check@check.pyerlnode.test: shows that the four nodes work together; status 0 when every step was right."""

import sys
import time

import gevent

from pyerlnode import A, Node
from pyerlnode.errors import PyerlnodeError

STOCK, SHOP, PRICES = "app@stock.pyerlnode.test", "app@shop.pyerlnode.test", "prices@prices.pyerlnode.test"


def step(text, found, wanted):
    right = found == wanted
    print(f"check: {'ok ' if right else 'NOT'} {text}: {found!r}" + ("" if right else f", not {wanted!r}"), flush=True)
    if not right:
        sys.exit(1)


def within(seconds, question):
    """The first answer that is no error: the others are still starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            return question()
        except PyerlnodeError as error:  # noqa: PERF203 - one try a turn is what waiting is
            if time.monotonic() > end:
                raise SystemExit(f"check: {error}") from None
            gevent.sleep(0.2)


with Node("check@check.pyerlnode.test", cookie="secret", setup_time=2.0) as node:
    step("Elixir answers", within(60, lambda: node.call(("stock", STOCK), (A.get, "apples"))), (A.ok, 7))
    step("Python answers Python", within(60, lambda: node.call(("prices", PRICES), (A.price, "apples"))), (A.ok, 25))
    step("an Elixir node has asked Elixir and Python", within(
        60, lambda: node.call(("shop", SHOP), (A.quote, "apples"))
    ), (A.ok, 7, 175))  # fmt: skip
    step("everybody is connected", sorted(node.nodes()), sorted([STOCK, SHOP, PRICES]))
    ref = node.monitor(("stock", STOCK))
    node.cast(("stock", STOCK), A.halt)
    step("the end of a node is told", node.receive(timeout=10)[:3], (A.DOWN, ref, A.process))
    step("the others are still there", [node.ping(name) for name in (STOCK, SHOP, PRICES)], [False, True, True])
