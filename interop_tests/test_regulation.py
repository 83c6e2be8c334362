"""Regulators, breakers and pools of a Python node, used from Elixir with plain GenServer calls."""

from typing import Any

import gevent
import pytest
from gevent.event import Event

from pyerlnode import A, GenServer, Reply, Stop
from pyerlnode.cluster.load.breaker import Breaker, BreakerOpen, Thresholds
from pyerlnode.cluster.load.pool import Pool
from pyerlnode.cluster.load.regulated import Regulated, Regulation
from pyerlnode.cluster.load.regulator import NotAdmitted, Regulator, Rules
from pyerlnode.errors import CallTimeout, NodeDown, NoProc
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience, promise
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.beam(elixir=True)

HOLD = """
me = self()
pid = spawn(fn -> {:ok, ref} = GenServer.call(r, {:ask, :db}); send(me, {:held, ref}); Process.sleep(:infinity) end)
receive do {:held, ref} -> {pid, ref} end
"""


@pytest.fixture
def regulator(node: Any) -> Regulator:
    return Regulator.start(node, {"db": Rules(limit=1, max_wait=30.0, target=None)}, name="regulator")


def dest(node: Any, name: str = "regulator") -> tuple[Any, Any]:
    return A[name], A[node.name]


def test_elixir_asks_waits_and_is_done(beam: Beam, node: Any, regulator: Regulator) -> None:
    seen = beam.elixir(
        """
        {:ok, one} = GenServer.call(r, {:ask, :db})
        refused = GenServer.call(r, {:ask, :db, timeout: 0})
        late = GenServer.call(r, {:ask, :db, %{timeout: 50}})
        waiting = Task.async(fn -> GenServer.call(r, {:ask, :db}) end)
        GenServer.cast(r, {:done, one})
        {:ok, two} = Task.await(waiting)
        GenServer.cast(r, {:done, one})
        {:ok, info} = GenServer.call(r, {:info, :db})
        {is_reference(one), one == two, refused, late, info.admitted, GenServer.call(r, {:ask, :nothing})}
        """,
        r=dest(node),
    )
    assert seen[:2] == (True, False)
    assert seen[2][1][0] is A.overload
    assert seen[3][1][0] is A.timeout
    assert seen[4:] == (2, (A.error, A.unknown_queue))
    # The second permit was the task's; with the task it has come back.
    wait_for(lambda: regulator.info("db")["running"] == 0)


def test_a_holder_on_the_beam_that_is_killed_gives_its_permit_to_the_next(
    beam: Beam, node: Any, regulator: Regulator
) -> None:
    pid, _ = beam.elixir(HOLD, r=dest(node))
    with pytest.raises(NotAdmitted):
        regulator.permit("db", timeout=0)
    waiting = gevent.spawn(regulator.run, "db", lambda: "ran")
    wait_for(lambda: regulator.info("db")["waiting"] == 1)
    beam.elixir("Process.exit(p, :kill)", p=pid)
    assert waiting.get(timeout=patience()) == "ran"


def test_a_node_that_is_lost_gives_its_permits_back(beam: Beam, node: Any, regulator: Regulator) -> None:
    beam.elixir(HOLD, r=dest(node))
    node.disconnect(beam.name)
    wait_for(lambda: regulator.info("db")["running"] == 0)


def test_an_elixir_caller_that_gave_up_is_passed_over(beam: Beam, node: Any, regulator: Regulator) -> None:
    with regulator.permit("db"):
        beam.elixir(
            """
            me = self()
            spawn(fn ->
              try do GenServer.call(r, {:ask, :db}, 50) catch :exit, _ -> send(me, :gave_up) end
              Process.sleep(:infinity)
            end)
            receive do :gave_up -> :ok end
            """,
            r=dest(node),
        )
    wait_for(lambda: regulator.info("db")["lost"] == 1)
    assert regulator.info("db")["running"] == 0


class Slow(Regulated):
    """Answers when all twenty calls of the test have come."""

    regulation = Regulation(mailbox=0, max_wait=None)

    def init(self) -> None:
        self.ran = 0

    def handle_call(self, request: Any, from_: Any) -> Any:
        self.ran += 1
        wait_for(lambda: self.regulated["refused"] + self.ran + len(self.process.queue or ()) == 20)
        return Reply(request)


def test_a_regulated_server_answers_overload(beam: Beam, node: Any) -> None:
    node.start(Slow, name="slow")
    answers = beam.elixir(
        "1..20 |> Enum.map(fn n -> Task.async(fn -> GenServer.call(s, n) end) end) |> Task.await_many()",
        s=dest(node, "slow"),
    )
    refused = [answer for answer in answers if answer == (A.error, A.overload)]
    assert 18 <= len(refused) <= 19
    assert all(answer in refused or type(answer) is int for answer in answers)


class Model(GenServer):
    """A member of a pool; what is told to wait does so for `event`."""

    def init(self, event: Event | None = None) -> None:
        self.event = event

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.crash:
                return Stop(A.oops)
            case (A.wait, _) if self.event is not None:
                self.event.wait()
        return Reply((request, self.pid))


def test_plain_calls_are_answered_by_the_members_themselves(beam: Beam, node: Any) -> None:
    node.start(Pool, Model, size=3, name="model")
    answers = beam.elixir(
        """
        1..30
        |> Enum.map(fn n -> Task.async(fn -> GenServer.call(p, n) end) end)
        |> Task.await_many()
        """,
        p=dest(node, "model"),
    )
    assert [number for number, _ in answers] == list(range(1, 31))
    assert len({pid for _, pid in answers}) == 3


def test_a_crash_is_its_callers_exit_and_overload_is_answered_early(beam: Beam, node: Any) -> None:
    event = Event()
    node.start(Pool, Model, event, size=1, queue=1, name="model")

    def refuse_and_go_on() -> None:
        wait_for(lambda: Pool.stats("model", on=node)["overload"] == 3)
        event.set()

    gevent.spawn(refuse_and_go_on)
    seen = beam.elixir(
        """
        exit = try do GenServer.call(p, :crash) catch :exit, {why, {GenServer, :call, _}} -> why end
        again = elem(GenServer.call(p, 1), 0)
        answers =
          1..5
          |> Enum.map(fn n -> Task.async(fn -> GenServer.call(p, {:wait, n}) end) end)
          |> Task.await_many()
        {exit, again, Enum.count(answers, &(&1 == {:error, :overload}))}
        """,
        p=dest(node, "model"),
    )
    assert seen == (A.oops, 1, 3)


def test_elixir_borrows_a_member_and_dies_with_it(beam: Beam, node: Any) -> None:
    node.start(Pool, Model, size=1, name="model")
    pid = beam.elixir(
        """
        me = self()
        borrower = spawn(fn ->
          {:ok, {ref, pid}} = GenServer.call(p, {:"$pool", :checkout})
          {1, ^pid} = GenServer.call(pid, 1)
          GenServer.cast(p, {:"$pool", :checkin, ref})
          {:ok, {_, ^pid}} = GenServer.call(p, {:"$pool", :checkout})
          send(me, :borrowed)
          Process.sleep(:infinity)
        end)
        receive do :borrowed -> :ok end
        {:error, :overload} = GenServer.call(p, {:"$pool", :checkout, 0})
        {:error, :timeout} = GenServer.call(p, {:"$pool", :checkout, 20})
        {:error, :not_allowed} = GenServer.call(p, {:"$pool", :resize, 3})
        1 = GenServer.call(p, {:"$pool", :stats}).lent
        borrower
        """,
        p=dest(node, "model"),
    )
    beam.elixir("Process.exit(b, :kill)", b=pid)
    wait_for(lambda: Pool.stats("model", on=node)["lent"] == 0)
    assert node.call("model", 2)[0] == 2


def test_a_breaker_guards_calls_to_a_node_and_tells_elixir(beam: Beam, node: Any) -> None:
    reset = promise(1.0)  # so long it is open, to be asked
    thresholds = Thresholds(failures=3, reset=reset, jitter=0.0)
    breaker = Breaker.start(node, thresholds, name="breaker")
    server = beam.elixir(
        """
        spawn(fn ->
          answer = fn again ->
            receive do
              {:"$gen_call", from, :hello} -> GenServer.reply(from, :world)
              {:"$gen_call", _, :silence} -> :ok
            end
            again.(again)
          end
          answer.(answer)
        end)
        """
    )
    listener = beam.elixir(
        """
        me = self()
        pid = spawn(fn ->
          {:ok, :closed} = GenServer.call(b, :subscribe)
          send(me, :subscribed)
          heard = for _ <- 1..3 do receive do {:breaker, :breaker, state} -> state end end
          receive do {:tell, whom} -> send(whom, heard) end
        end)
        receive do :subscribed -> pid end
        """,
        b=dest(node, "breaker"),
    )
    assert breaker.call(server, A.hello) is A.world
    for where, request, kind in (
        (server, A.silence, CallTimeout), (("nobody", beam.name), A.x, NoProc), (("x", "no@127.0.0.1"), A.x, NodeDown),
    ):  # fmt: skip
        with pytest.raises(kind):
            breaker.call(where, request, timeout=0.05 if request is A.silence else 5.0)
    with pytest.raises(BreakerOpen) as caught:
        breaker.call(server, A.hello)
    assert 0 < caught.value.retry_after <= reset
    assert beam.elixir("GenServer.call(b, :state)", b=dest(node, "breaker")) is A.open
    wait_for(lambda: breaker.info()["retry_after"] == 0)
    assert breaker.call(server, A.hello) is A.world
    heard = beam.elixir("send(l, {:tell, self()}); receive do h -> h end", l=listener)
    assert heard == [A.open, A.half_open, A.closed]
