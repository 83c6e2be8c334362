"""The same from a plain script and its threads: `connect` runs the node in the background.

Nothing is monkey-patched, and the node answers the cluster while this program sleeps or computes.
Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    stock: (A.ok, 7)
    eight threads: [0, 1, 2, 3, 4, 5, 6, 7]
    nodes: ['app@127.0.0.1']
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import pyerlnode
from pyerlnode import A

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"

with pyerlnode.connect(APP, cookie="secret") as cluster:
    print("stock:", cluster.call(("stock", APP), (A.get, "apples")))
    app = cluster.peer()
    with ThreadPoolExecutor(8) as threads:
        print("eight threads:", list(threads.map(app.erlang.abs, range(0, -8, -1))))
    print("nodes:", cluster.nodes())
