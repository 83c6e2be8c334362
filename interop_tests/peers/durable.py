"""A Python node with an outbox and an inbox, in an OS process of its own, to be killed and started again.

    durable.py NAME COOKIE EPMD_PORT

Its journals are in the directory DURABLE_DIR. When DURABLE_DEST is ``name@node…`` written ``name node``, it submits
DURABLE_COUNT requests, numbers under ids of their own, each time it starts: what the outbox has already is not added.
"""

import os
import sys
from pathlib import Path
from typing import Any

import gevent
from gevent.fileobject import FileObject

from pyerlnode import A, Node
from pyerlnode.cluster.durable import Inbox, InboxLimits, Journal, Outbox, Requests, Tx


class Orders(Inbox):
    """Counts how often it has seen each number, in the journal."""

    transaction = True

    def setup(self, db: Any) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS counts (number INTEGER PRIMARY KEY, times INTEGER)")

    def handle_request(self, request: Any, tx: Tx) -> Any:
        if request == A.counts:
            return tx.execute("SELECT number, times FROM counts").fetchall()
        gevent.sleep(0.001)  # it takes its time, so that most of it is still to come when somebody is killed
        tx.execute("INSERT INTO counts VALUES (?, 1) ON CONFLICT (number) DO UPDATE SET times = times + 1", (request,))
        return request * 2


class Notes(Inbox):
    """Fails and answers, without transactions."""

    def handle_request(self, request: Any, tx: Tx) -> Any:
        if request == A.fail:
            raise ValueError("not today")
        return tx.key, request


def submit_all(requests: Requests, name: str, node: str, count: int) -> None:
    for number in range(count):
        requests.submit((name, node), number, id=str(number))


def main(name: str, cookie: str, epmd_port: str, *_: str) -> None:
    place = Path(os.environ["DURABLE_DIR"])
    with (
        Journal(place / "outbox.db", sync="normal") as outbox,
        Journal(place / "orders.db", sync="normal") as orders,
        Journal(place / "notes.db", sync="normal") as notes,
        Node(name, cookie=cookie, epmd_port=int(epmd_port)) as node,
    ):
        node.start(Outbox, node, outbox, name="outbox")
        node.start(Orders, node, orders, name="orders", limits=InboxLimits(running=8))
        node.start(Notes, node, notes, name="notes")
        requests = Requests(node)
        node.export("durable", {"pending": requests.pending, "result": requests.result})
        print("ready", flush=True)
        if "DURABLE_DEST" in os.environ:
            submit_all(requests, *os.environ["DURABLE_DEST"].split(), int(os.environ["DURABLE_COUNT"]))
        for _line in FileObject(sys.stdin.buffer, "rb"):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
