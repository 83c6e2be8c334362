"""Holders, borrowers, members and links that end at any moment: every request has its outcome, and nothing is left."""

import os
import random

import pytest

from pyerlnode.cluster.load.pool import Pool
from pyerlnode.cluster.load.regulator import Regulator
from pyerlnode.cluster.load.regulator_core import Adaptive, Rules
from pyerlnode.errors import ConnectError, Exit
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Reply, Stop
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation

SEEDS = range(int(os.environ.get("PYERLNODE_SEEDS", "12")))
QUEUES = {
    "number": Rules(limit=2, queue=3, max_wait=0.5),
    "adaptive": Rules(limit=Adaptive(target=0.2, start=2, most=4), queue=3, order="lifo"),
    "rate": Rules(rate=20.0, burst=2, queue=3, lease=0.7),
}


class World:
    """A node with what is tested, another one, and processes on both, each of which tells its outcome once."""

    def __init__(self, simulation, seed):
        self.chance = random.Random(seed)
        self.simulation = simulation
        self.here, self.away = simulation.system("py@sim"), simulation.system("app@sim")
        self.wire = simulation.link(self.away, self.here, delay=0.01)
        self.asked = self.told = self.killed = 0
        self.alive = {}

    def spawn(self, body):
        system = self.chance.choice([self.here, self.away])
        self.asked += 1

        def run():
            try:
                body(system)
            except (Exit, ConnectError):
                pass
            self.told += 1
            del self.alive[system.myself().pid]

        self.alive[system.spawn(run)] = system

    def kill(self):
        if self.alive:
            pid = self.chance.choice(list(self.alive))
            self.alive.pop(pid).exit(pid, A.kill)
            self.killed += 1

    def cut(self):
        self.wire.cut()
        self.simulation.run_until_idle()
        self.wire.mend()

    def work(self, system):
        """Some time passes for the process."""
        system.myself().receive(lambda message: False, self.chance.choice([0.0, 0.05, 0.3, 1.0]))

    def run(self, steps, actions):
        for _ in range(steps):
            self.chance.choice(actions)()
            self.simulation.advance(self.chance.choice([0.0, 0.0, 0.02, 0.2]))
        self.simulation.advance(30.0)
        assert not self.alive
        assert self.told + self.killed == self.asked


@pytest.mark.parametrize("seed", SEEDS)
def test_permits_all_come_back(seed):
    with Simulation(seed=seed) as simulation:
        world = World(simulation, seed)
        local = Regulator.start(world.here, QUEUES, name="regulator")
        server = local._server()
        chance = world.chance

        def permit(system):
            name = chance.choice(list(QUEUES))
            regulator = local if system is world.here else Regulator(("regulator", "py@sim"), on=system)
            with regulator.permit(name, timeout=chance.choice([None, 0.0, 0.3]), priority=chance.randrange(2)):
                assert len(server.queues[A[name]].running) <= server.queues[A[name]].limit + 2
                world.work(system)

        def ask(system):
            dest = "regulator" if system is world.here else ("regulator", "py@sim")
            answer = gen.call(system, dest, (A.ask, A[chance.choice(list(QUEUES))]), chance.choice([0.1, 5.0]))
            world.work(system)
            if answer[0] is A.ok and chance.random() < 0.7:
                for _ in range(chance.choice([1, 2])):
                    gen.cast(system, dest, (A.done, answer[1]))

        world.run(80, [lambda: world.spawn(permit)] * 4 + [lambda: world.spawn(ask)] * 4 + [world.kill, world.cut])
        for queue in server.queues.values():
            assert not queue.running
            assert not queue.waiting
            count = queue.counts
            assert count["asked"] == sum(count[what] for what in ("admitted", "overload", "timeout", "abandoned"))
            assert count["admitted"] == sum(count[what] for what in ("done", "lost", "revoked"))
        assert not server.asked
        assert not server.process.monitors
        assert not server.process.monitored_by


class Member(GenServer):
    def handle_call(self, request, from_):
        if request is A.crash:
            return Stop((A.shutdown, A.crash))
        self.process.receive(lambda message: False, request)
        return Reply(request)


@pytest.mark.parametrize("strategy", ["least_loaded", "round_robin", "hash"])
@pytest.mark.parametrize("seed", SEEDS)
def test_calls_and_loans_all_end(seed, strategy):
    with Simulation(seed=seed) as simulation:
        world = World(simulation, seed)
        chance = world.chance
        options = {
            "size": 2, "in_flight": chance.choice([1, 3]), "queue": 4, "max_wait": 0.5, "strategy": strategy,
            "max_restarts": 1000, "key": hash if strategy == "hash" else None,
        }  # fmt: skip
        gen_server.start(world.here, Pool, (Member,), options, name="pool")
        handler = world.here.process(world.here.whereis("pool")).handler

        def dest(system):
            return "pool" if system is world.here else ("pool", "py@sim")

        def call(system):
            request = chance.choice([0.0, 0.05, 0.3, A.crash])
            gen.call(system, dest(system), request, chance.choice([0.1, 5.0]))

        def borrow(system):
            with Pool.checkout(dest(system), timeout=chance.choice([None, 0.2]), on=system) as pid:
                if chance.random() < 0.5:
                    gen.call(system, pid, 0.05, 1.0)
                world.work(system)

        def resize():
            Pool.resize("pool", chance.randint(1, 4), on=world.here)

        def crash():
            members = handler.pool.members()
            if members:
                world.here.exit(chance.choice(members), A.kill)

        calls = [lambda: world.spawn(call)] * 5 + [lambda: world.spawn(borrow)] * 2
        world.run(80, [*calls, world.kill, world.cut, resize, crash])
        pool = handler.pool
        assert handler.process.alive
        assert not pool.given
        assert not pool.waiting
        assert not handler.pings
        assert not handler.loans
        assert not pool.retiring
        assert len(pool.members()) == pool.size
        assert len(handler.process.monitors) == pool.size
        count = pool.counts
        assert count["asked"] == sum(count[what] for what in ("given", "overload", "timeout", "abandoned"))
        assert count["given"] == count["finished"] + count["lost"]
