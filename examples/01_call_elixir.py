"""Call a GenServer in Elixir, by name and by pid.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    connected: True
    apples: (A.ok, 7)
    pears: error
    pears now: (A.ok, 3)
    nobody: there is no process ('nobody', 'app@127.0.0.1')
"""

import sys

from pyerlnode import A, Node, NoProc

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"

with Node(cookie="secret") as node:
    print("connected:", node.ping(APP))

    stock = ("stock", APP)  # what Elixir writes as {:stock, :"app@127.0.0.1"}
    print("apples:", node.call(stock, (A.get, "apples")))
    print("pears:", node.call(stock, (A.get, "pears")))

    node.cast(stock, (A.put, "pears", 3))
    pid = node.call(stock, A.whereis)
    print("pears now:", node.call(pid, (A.get, "pears")))

    try:
        node.call(("nobody", APP), A.hello)
    except NoProc as error:
        print("nobody:", error)
