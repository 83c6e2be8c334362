"""Requests that survive crashes: a server is killed again and again, and each request is carried out once.

The bank is a Python node in an OS process of its own. It counts what it books in its journal, so a booking and the
answer to it are committed together. An inbox in Erlang or Elixir is `beam/pyerlnode_durable.erl`.

Prints:
    20 requests, and the bank was killed 3 times
    every answer is there: True
    booked, each once: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
"""

import subprocess
import sys
import tempfile

from pyerlnode import A, Node
from pyerlnode.cluster.durable import Inbox, Journal, Outbox, Requests

BANK = "durable_bank@127.0.0.1"


class Bank(Inbox):
    transaction = True

    def setup(self, db):
        db.execute("CREATE TABLE IF NOT EXISTS bookings (amount INTEGER)")

    def handle_request(self, request, tx):
        match request:
            case (A.book, int(amount)):
                tx.execute("INSERT INTO bookings VALUES (?)", (amount,))
                return A.booked
            case A.bookings:
                return sorted(amount for (amount,) in tx.execute("SELECT amount FROM bookings"))


def serve(place):
    with Journal(f"{place}/bank.db") as journal, Node(BANK, cookie="secret") as node:
        node.start(Bank, node, journal, name="bank")
        print("ready", flush=True)
        node.receive()


def start_bank(place):
    bank = subprocess.Popen([sys.executable, __file__, "serve", place], stdout=subprocess.PIPE)
    bank.stdout.readline()
    return bank


def kill(bank):
    bank.kill()
    bank.wait()
    bank.stdout.close()


def main():
    with (
        tempfile.TemporaryDirectory() as place,
        Journal(f"{place}/outbox.db") as journal,
        Node(cookie="secret") as node,
    ):
        node.start(Outbox, node, journal, name="outbox")
        requests = Requests(node)
        bank = start_bank(place)
        ids = []
        for amount in range(20):
            ids.append(requests.submit(("bank", BANK), (A.book, amount)))
            if amount % 6 == 4 and amount < 17:
                kill(bank)
                bank = start_bank(place)
        print("20 requests, and the bank was killed 3 times")
        print("every answer is there:", all(requests.await_result(id, 30.0) == (A.ok, A.booked) for id in ids))
        _, booked = requests.await_result(requests.submit(("bank", BANK), A.bookings), 30.0)
        print("booked, each once:", booked)
        kill(bank)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        main()
