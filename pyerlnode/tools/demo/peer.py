"""The Python side of the peer: `python -m pyerlnode.tools.demo.peer NAME`. Does what `peer.exs` does in Elixir."""

from __future__ import annotations

import sys
from typing import Any

from gevent.event import Event
from gevent.fileobject import FileObject

from pyerlnode import ANY, A, GenServer, Node, Reply, Stop, process_flag, receive, self_
from pyerlnode.term.text import format_term


class Stock(GenServer):
    def init(self) -> None:
        self.stock = {b"apples": 7}

    def handle_call(self, request: Any, from_: Any) -> Reply:
        match request:
            case (A.get, sku) if sku in self.stock:
                return Reply((A.ok, self.stock[sku]))
            case A.pid:
                return Reply(self_())
            case _:
                return Reply(A.error)

    def handle_cast(self, request: Any) -> Stop:
        return Stop(A.out_of_stock)


def keep_stock(node: Node, up: Event) -> None:
    """Restart the server whenever it ends."""
    while True:
        ref = node.monitor(node.start(Stock, name="stock"))
        up.set()
        receive((A.DOWN, ref, ANY, ANY, ANY))


class Witness:
    """Does what the lines on standard input say and answers one line each."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.kept: Any = None

    def run(self, done: Event) -> None:
        process_flag("trap_exit", True)
        say("ready")
        for line in FileObject(sys.stdin.fileno(), "r", close=False):
            command, peer = line.split()
            say(getattr(self, f"on_{command}")(peer))
        done.set()

    def on_version(self, _peer: str) -> str:
        return f"Python {sys.version.split()[0]}"

    def on_ping(self, peer: str) -> str:
        return "pong" if self.node.ping(peer) else "pang"

    def on_call(self, peer: str) -> str:
        return format_term(self.node.call(("counter", peer), (A.add, 1)))

    def on_erpc(self, peer: str) -> str:
        return format_term(self.node.rpc(peer, "demo", "double", [21]))

    def on_monitor(self, peer: str) -> str:
        self.kept = self.node.monitor(("counter", peer))
        return "ok"

    def on_link(self, peer: str) -> str:
        self.kept = self.node.call(("counter", peer), A.pid)
        self.node.link(self.kept)
        return "ok"

    def on_crash(self, peer: str) -> str:
        self.node.cast(("counter", peer), A.crash)
        message = receive(lambda message: message[1] == self.kept, timeout=5.0, default=None)
        return f"{message[0]} {format_term(message[-1], width=0)}" if message else "nothing within 5 s"

    def on_flushed(self, peer: str) -> str:
        self.node.call(("counter", peer), A.get)
        message = receive(timeout=0, default=None)
        return "0" if message is None else f"1 or more, the first of them {message}"


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def main(name: str) -> None:
    done, up = Event(), Event()
    with Node(name, epmd="external") as node:
        node.export("lists", lambda items: items[::-1], "reverse")
        node.spawn(keep_stock, node, up)
        up.wait()
        node.spawn(Witness(node).run, done)
        done.wait()


if __name__ == "__main__":
    main(sys.argv[1])
