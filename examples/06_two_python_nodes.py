"""Two Python nodes, on a machine without Erlang: the embedded EPMD finds them for each other.

Two nodes live in one program here; they talk over TCP as two programs would.

Prints:
    bob answers: pong
    bob is gone: noconnection
"""

from pyerlnode import A, GenServer, Node, Reply


class Echo(GenServer):
    def handle_call(self, request, from_):
        return Reply(A.pong if request is A.ping else request)


with Node("alice@127.0.0.1", cookie="secret") as alice:
    with Node("bob@127.0.0.1", cookie="secret") as bob:
        bob.start(Echo, name="echo")
        echo = ("echo", bob.name)
        print("bob answers:", alice.call(echo, A.ping))
        alice.monitor(echo)
    *_, reason = alice.receive(timeout=5)
    print("bob is gone:", reason)
