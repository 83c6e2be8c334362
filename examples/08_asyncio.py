"""A node in an asyncio program, as in FastAPI: calls are awaited, and the event loop is never blocked.

In FastAPI the node opens in the lifespan and handlers await it:

    @asynccontextmanager
    async def lifespan(app):
        async with aio.connect("app@127.0.0.1", cookie="secret") as app.state.cluster:
            yield

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    GET /apples: 7
    GET /plums: not found
    ten at once: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    an event: (A.sold, b'apples')
"""

import asyncio
import sys

from pyerlnode import A, aio

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"


async def stock_of(stock: aio.Server, sku: str) -> str:
    """A request handler: any number of these run at the same time."""
    match await stock.call((A.get, sku)):
        case (A.ok, count):
            return str(count)
    return "not found"


async def main() -> None:
    async with aio.connect(APP, cookie="secret") as cluster:
        stock = cluster.server(("stock", APP))
        for sku in ("apples", "plums"):
            print(f"GET /{sku}: {await stock_of(stock, sku)}")
        print("ten at once:", await asyncio.gather(*(cluster.rpc(APP, "erlang", "abs", [-n]) for n in range(10))))
        async with cluster.mailbox() as events:  # a pid that a coroutine reads, for a WebSocket say
            await cluster.rpc(APP, "erlang", "send", [events.pid, (A.sold, "apples")])
            print("an event:", await events.get())


asyncio.run(main())
