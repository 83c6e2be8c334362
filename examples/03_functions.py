"""Call functions across: Elixir's from Python, exported Python ones from Elixir, and tell the failures apart.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    reversed: [3, 2, 1]
    upcase: ÄPFEL
    predicted by Python, asked by Elixir: 14.0
    an error: badarith
    a throw: ball
    an exit: done
    not exported: undef
"""

import logging
import sys

from pyerlnode import A, Node, RemoteError, RemoteExit, RemoteThrow, text

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"


def predict(weights):
    return float(sum(w * w for w in weights))


logging.getLogger("pyerlnode.rpc").setLevel(logging.ERROR)  # the last step is refused on purpose, which is a warning

with Node(cookie="secret") as node:
    app = node.peer(APP)
    print("reversed:", app.lists.reverse([1, 2, 3]))
    print("upcase:", text(app.Elixir.String.upcase("äpfel")))  # a binary arrives as bytes; text() decodes it

    node.export("Elixir.Model", predict)  # nothing else of this program can be called from outside
    print("predicted by Python, asked by Elixir:", app.Elixir.Customer.predict(A[node.name], [1, 2, 3]))

    try:
        app.erlang.div(1, 0)
    except RemoteError as error:
        print("an error:", error.reason)
    try:
        app.erlang.throw(A.ball)
    except RemoteThrow as error:
        print("a throw:", error.value)
    try:
        app.erlang.exit(A.done)
    except RemoteExit as error:
        print("an exit:", error.reason)
    try:
        app.erpc.call(A[node.name], A.os, A.system, ["true"])
    except RemoteError as error:
        print("not exported:", error.reason[1] if isinstance(error.reason, tuple) else error.reason)
