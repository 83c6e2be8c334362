"""See an Elixir process crash: by a monitor, and by a link.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    monitor: DOWN burnt
    its supervisor restarted it: (A.ok, 7)
    link: EXIT burnt
    a link without trap_exit took its process along: burnt
"""

import sys

from pyerlnode import A, Node, NoProc

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"
STOCK = ("stock", APP)


def fresh(node, old):
    """The pid of the restarted server; in the moment between there is none."""
    while True:
        try:
            pid = node.call(STOCK, A.whereis)
        except NoProc:
            continue
        if pid != old:
            return pid


def companion(node, pid):
    node.link(pid)
    node.receive()  # waits for a message that never comes; the crash of `pid` ends it


with Node(cookie="secret") as node:
    pid = node.call(STOCK, A.whereis)

    ref = node.monitor(pid)
    node.cast(STOCK, A.burn_down)
    tag, got, _, _, reason = node.receive(timeout=5)
    assert got == ref
    print("monitor:", tag, reason)
    pid = fresh(node, pid)
    print("its supervisor restarted it:", node.call(STOCK, (A.get, "apples")))

    node.process_flag("trap_exit", True)  # the crash of a linked process becomes a message
    node.link(pid)
    node.cast(STOCK, A.burn_down)
    tag, _, reason = node.receive(timeout=5)
    print("link:", tag, reason)

    pid = fresh(node, pid)
    other, ref = node.spawn_monitor(companion, node, pid)
    node.cast(STOCK, A.burn_down)
    _, _, _, _, reason = node.receive((A.DOWN, ref, A.process, other, A.burnt), timeout=5)
    print("a link without trap_exit took its process along:", reason)
