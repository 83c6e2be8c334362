"""Answers that threads give, as those of a web framework's pool, reach an Elixir caller, each and in full."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pyerlnode
from pyerlnode import A, GenServer, NoReply
from pyerlnode.testing.beam import Beam

pytestmark = pytest.mark.beam(elixir=True)

FIFTY = """
1..50
|> Enum.map(fn n -> Task.async(fn -> GenServer.call(dest, n, 60_000) end) end)
|> Enum.map(&Task.await(&1, 60_000))
"""
BOX = """
me = self()
spawn(fn ->
  Process.register(self(), :box)
  send(me, :up)
  receive do: (message -> :persistent_term.put(:box, message))
end)
receive do: (:up -> node())
"""


class Endpoints(GenServer):
    """Hands each call to a thread, which computes and answers."""

    def init(self, here: int):
        self.here = here
        self.pool = ThreadPoolExecutor(8)
        self.process.trap_exit = True

    def handle_call(self, request, from_):
        self.pool.submit(self.work, request, from_)
        return NoReply()

    def work(self, request, from_):
        assert threading.get_ident() != self.here
        self.reply(from_, (request, b"x" * 1000))

    def terminate(self, reason):
        self.pool.shutdown(wait=False)


def test_each_of_fifty_calls_from_elixir_is_answered_by_a_thread(beam: Beam, node: Any) -> None:
    pid = node.start(Endpoints, threading.get_ident())
    assert beam.elixir(FIFTY, dest=pid) == [(n, b"x" * 1000) for n in range(1, 51)]


def test_so_are_those_to_a_node_beside_an_event_loop_or_a_web_server(beam: Beam) -> None:
    with pyerlnode.connect(beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as cluster:
        pid = cluster.start(Endpoints, cluster.run(lambda _: threading.get_ident()))
        assert beam.elixir(FIFTY, dest=pid) == [(n, b"x" * 1000) for n in range(1, 51)]


def test_what_a_thread_sends_reaches_elixir(beam: Beam, node: Any) -> None:
    name = beam.elixir(BOX)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(node.send, (A.box, name), (A.hello, 1))
        beam.wait_until("persistent_term:get(box, none) =:= {hello, 1}")
        sent.result()
