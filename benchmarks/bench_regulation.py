"""What regulation is worth under overload, and what it costs.

    python benchmarks/bench_regulation.py            # all of it; the last part needs a BEAM
    python benchmarks/bench_regulation.py overload   # in virtual time: the same numbers on every machine

Overload: a service does ten things at once in 0.1 s each on average; more at once slow each other down, and so its
capacity is 100 answers per second. For a minute callers ask three times that, each waiting a second for its answer;
then half of what the service can do. Without a bound every caller is answered too late.

Cost: the processor's time of a permit (ask and done) of a greenlet and of a process of the regulator's node, and the
time of {ask, Queue} with {done, Ref} from a BEAM, beside a plain call and one of a pool.
"""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from statistics import median, quantiles
from typing import Any

from pyerlnode import GenServer, Reply
from pyerlnode.cluster.load import Adaptive, Admitted, Queue, Refused, Rules

PARALLEL = 10
WORK = 0.1
CAPACITY = PARALLEL / WORK
FRICTION = 0.01
"""Each job beyond `PARALLEL` slows the whole service down by this share."""
PATIENCE = 1.0
POLICIES = {
    "no limit: all at once": Rules(),
    "ten at once, an unbounded mailbox": Rules(
        limit=PARALLEL, queue=1_000_000, max_wait=1e9, target=None, order="fifo"
    ),
    "`Rules(limit=10)`": Rules(limit=PARALLEL),
    '`Rules(limit=10, order="fifo")`': Rules(limit=PARALLEL, order="fifo"),
    "`Rules(limit=Adaptive(0.2))`": Rules(limit=Adaptive(target=0.2)),
    "`Rules(rate=95, burst=10)`": Rules(rate=95.0, burst=10),
}


@dataclass
class Result:
    """What the callers saw. `latencies` are those of the answers in time, `late` when the others were asked for.

    `waits` says of all that was admitted when it was asked for and how long it waited.
    """

    asked: int = 0
    answered: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    recovered: float | None = None


class Service:
    """Shares its power among the jobs that it has; `clock` is the work that each of them has got so far."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.now = 0.0
        self.jobs: list[tuple[float, int]] = []

    def speed(self) -> float:
        """Work per second that each job gets."""
        many = len(self.jobs)
        return 1.0 if many <= PARALLEL else PARALLEL / many / (1.0 + FRICTION * (many - PARALLEL))

    def advance(self, now: float) -> None:
        if self.jobs:
            self.clock += (now - self.now) * self.speed()
        self.now = now

    def add(self, job: int, work: float) -> None:
        heappush(self.jobs, (self.clock + work, job))

    def next_end(self) -> float:
        return self.now + (self.jobs[0][0] - self.clock) / self.speed() if self.jobs else float("inf")


class World:
    """The callers, the queue and the service.

    Callers do not say that they have given up, as those of a server whose mailbox they can not look into.
    """

    def __init__(self, rules: Rules, seed: int) -> None:
        self.chance = random.Random(seed)
        self.queue = Queue(rules)
        self.service = Service()
        self.result = Result()
        self.began: dict[Any, float] = {}
        self.now = self.arrival = self.failed_at = 0.0

    def took(self, outcomes: list[Any]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Admitted):
                self.result.waits.append((self.began[outcome.key], outcome.waited))
                self.service.add(outcome.key, self.chance.expovariate(1.0 / WORK))  # type: ignore[arg-type]  # a number
            elif isinstance(outcome, Refused):
                self.result.refusals.append(self.now - self.began.pop(outcome.key))
                self.failed_at = self.now

    def ask(self, load: float) -> None:
        self.result.asked += 1
        self.began[self.result.asked] = self.now
        self.took(self.queue.ask(self.result.asked, self.now))
        self.arrival = self.now + self.chance.expovariate(CAPACITY * load)

    def answer(self) -> None:
        _, job = heappop(self.service.jobs)
        self.took(self.queue.done(job, self.now))
        began = self.began.pop(job)
        took = self.now - began
        if took > PATIENCE:
            self.result.late.append(began)
            self.failed_at = self.now
        else:
            self.result.answered.append(self.now)
            self.result.latencies.append(took)


def simulate(rules: Rules, *, load: float = 3.0, seconds: float = 60.0, after: float = 60.0, seed: int = 1) -> Result:
    """Callers ask `load` times the capacity for `seconds`, then half of it for `after` seconds."""
    world = World(rules, seed)
    while True:
        deadline = world.queue.next_deadline()
        end = world.service.next_end()
        world.now = min(world.arrival, end, float("inf") if deadline is None else deadline)
        if world.now > seconds + after:
            break
        world.service.advance(world.now)
        if world.now == end:
            world.answer()
        elif world.now == world.arrival:
            world.ask(load if world.now < seconds else 0.5)
        else:
            world.took(world.queue.expire(world.now))
    if world.failed_at < seconds + after - 1.0:
        world.result.recovered = max(0.0, world.failed_at - seconds)
    return world.result


def goodput(result: Result, seconds: float) -> float:
    """Answers in time, while the load was on, as a share of what the service can do. The first second fills it."""
    return sum(1.0 < at <= seconds for at in result.answered) / (CAPACITY * (seconds - 1.0))


def percent(values: list[float], share: int) -> float:
    return quantiles(values, n=100)[share - 1] if len(values) > 1 else float("nan")


def overload() -> None:
    print("| three times the load | goodput | latency, median | 99 % | a refusal takes, median | recovers after |")
    print("|---|---|---|---|---|---|")
    for name, rules in POLICIES.items():
        found = simulate(rules)
        recovered = "not in a minute" if found.recovered is None else f"{found.recovered:.1f} s"
        refusal = f"{median(found.refusals) * 1000:.0f} ms" if found.refusals else "none"
        print(
            f"| {name} | {goodput(found, 60.0):.0%} | {median(found.latencies) * 1000:.0f} ms "
            f"| {percent(found.latencies, 99) * 1000:.0f} ms | {refusal} | {recovered} |"
        )


# --- cost --------------------------------------------------------------------------------------------
ROUNDS = 5
EACH = 20_000
FROM_BEAM = """
calls = fn -> for _ <- 1..n, do: GenServer.call(p, :ping) end
pooled = fn -> for _ <- 1..n, do: GenServer.call(o, :ping) end
permits = fn ->
  for _ <- 1..n do
    {:ok, ref} = GenServer.call(r, {:ask, :q})
    GenServer.cast(r, {:done, ref})
  end
end
time = fn work ->
  {took, _} = :timer.tc(fn -> 1..at_once |> Enum.map(fn _ -> Task.async(work) end) |> Task.await_many(:infinity) end)
  took
end
{time.(calls), time.(permits), time.(pooled)}
"""


class Ping(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return Reply(request)


def cpu_of(work: Callable[[], object]) -> float:
    """Microseconds of the processor per repetition; the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(EACH):
            work()
        best = min(best, (time.process_time() - begun) / EACH * 1e6)
    return best


def cost_here() -> None:
    from pyerlnode.cluster.load import Pool, Regulator
    from pyerlnode.otp import gen, gen_server
    from pyerlnode.runtime.system import System
    from pyerlnode.term import A

    system = System("bench@local", 1)
    rules = {"q": Rules(limit=10), "adaptive": Rules(limit=Adaptive(1.0)), "rate": Rules(rate=1e9, burst=1000)}
    regulator = Regulator.start(system, rules, name="regulator")

    def permit(name: str) -> Callable[[], None]:
        def work() -> None:
            with regulator.permit(name):
                pass

        return work

    def call() -> None:
        _, ref = gen.call(system, "regulator", (A.ask, A.q))
        gen.cast(system, "regulator", (A.done, ref))

    for name in rules:
        print(f"permit of a greenlet, {name}: {cpu_of(permit(name)):.2f} µs")
    system.adopt()
    for name in rules:
        print(f"permit of a process, {name}: {cpu_of(permit(name)):.2f} µs")
    print(f"call {{ask, q}} and cast {{done, Ref}} on one node: {cpu_of(call):.2f} µs")
    ping = gen_server.start(system, Ping)
    pool = gen_server.start(system, Pool, (Ping,), {"size": 4})
    print(f"call on one node: {cpu_of(lambda: gen.call(system, ping, A.ping)):.2f} µs")
    print(f"call of a pool on one node: {cpu_of(lambda: gen.call(system, pool, A.ping)):.2f} µs")
    system.stop()


def cost_from_a_beam() -> None:
    from pyerlnode import Node
    from pyerlnode.cluster.load import Pool, Regulator
    from pyerlnode.term import A
    from pyerlnode.testing.beam import Beam
    from pyerlnode.testing.epmd import Epmd
    from pyerlnode.testing.launch import local

    launcher = local()
    epmd = Epmd(launcher).start()
    python = Node("bench_py@127.0.0.1", cookie="benchmark", epmd_port=epmd.port)
    with Beam(launcher, epmd, cookie="benchmark") as beam, python as node:
        ping = node.start(Ping)
        pool = node.start(Pool, Ping, size=4, in_flight=20)
        regulator = Regulator.start(node, {"q": Rules(limit=1000)}, name="regulator")
        for at_once, each in ((1, 4000), (50, 200)):
            values = {"p": ping, "o": pool, "r": (A.regulator, A[node.name]), "n": each, "at_once": at_once}
            found = [beam.elixir(FROM_BEAM, 60.0, **values) for _ in range(ROUNDS)]
            calls, permits, pooled = (min(column) / (at_once * each) for column in zip(*found, strict=True))
            print(
                f"from a BEAM, {at_once} at once: call {calls:.1f} µs, ask and done {permits:.1f} µs, "
                f"call of a pool {pooled:.1f} µs"
            )
        assert regulator.info("q")["running"] == 0
    epmd.stop()


if __name__ == "__main__":
    overload()
    if sys.argv[1:] != ["overload"]:
        cost_here()
        cost_from_a_beam()
