"""A Python node `app@127.0.0.1` that answers as the README's Elixir application does, on machines without a BEAM."""

import gevent

from pyerlnode import A, GenServer, Node, NoReply, Reply, Stop, Throw, self_


class Stock(GenServer):
    def init(self):
        self.stock = {b"apples": 7}

    def handle_call(self, request, from_):
        match request:
            case (A.get, bytes(sku)):
                caller, _ = from_
                # A server of its own caller's node, called while that one waits for us.
                node.spawn(lambda: node.reply(from_, (A.ok, self.stock[sku], self.count(caller))))
                return NoReply()
            case A.whereis:
                return Reply(self_())
            case A.wait:
                return NoReply()
            case A.echo:
                return Reply({A.list: [1, 2.5, b"text"], A.pid: self_(), A.nothing: None})
        return Stop((A.bad_request, request))

    def count(self, caller):
        return node.call(("counter", caller.node), (A.add, 1))


def throw(value):
    raise Throw(value)


with Node("app@127.0.0.1") as node:
    node.start(Stock, name="stock")
    node.export("lists", lambda items: items[::-1], "reverse")
    node.export("erlang", throw)
    node.export("erlang", lambda a, b: a // b, "div")
    node.export("Elixir.String", lambda data: data.upper(), "upcase")
    print("app is up", flush=True)
    gevent.sleep(3600)
