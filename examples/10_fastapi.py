"""FastAPI over a cluster: a request is a call to an Elixir server, and the event loop is never blocked.

The node opens in the lifespan, once per process of the web server. Serve it with: uvicorn 10_fastapi:api

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    GET /stock/apples: 200 {'sku': 'apples', 'count': 7}
    GET /stock/plums: 404 {'detail': 'no plums'}
    GET /upcase/é: 200 {'text': 'É'}
    GET /slow: 504 {'detail': 'the cluster did not answer in time'}
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from pyerlnode import A, CallTimeout, RpcFailed, aio

APP = sys.argv[1] if "@" in sys.argv[-1] else "app@127.0.0.1"


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    async with aio.connect(APP, cookie="secret") as api.state.cluster:
        yield


api = FastAPI(lifespan=lifespan)


@api.exception_handler(CallTimeout)
@api.exception_handler(RpcFailed)
async def too_late(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "the cluster did not answer in time"}, 504)


@api.get("/stock/{sku}")
async def stock(sku: str, request: Request) -> dict[str, object]:
    match await request.app.state.cluster.call(("stock", APP), (A.get, sku)):
        case (A.ok, count):
            return {"sku": sku, "count": count}
    raise HTTPException(404, f"no {sku}")


@api.get("/upcase/{text}")
async def upcase(text: str, request: Request) -> dict[str, str]:
    upper = await request.app.state.cluster.rpc(APP, "Elixir.String", "upcase", [text])
    return {"text": upper.decode()}


@api.get("/slow")
async def slow(request: Request) -> None:
    await request.app.state.cluster.rpc(APP, "timer", "sleep", [5000], timeout=0.05)


async def try_it() -> None:
    """Some requests, without a web server."""
    transport = httpx.ASGITransport(app=api)
    async with lifespan(api), httpx.AsyncClient(transport=transport, base_url="http://example") as client:
        for path in ("/stock/apples", "/stock/plums", "/upcase/é", "/slow"):
            answer = await client.get(path)
            print(f"GET {path}: {answer.status_code} {answer.json()}")


if __name__ == "__main__":
    asyncio.run(try_it())
