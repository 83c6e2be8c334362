"""A world of simulated nodes with sessions.

It is a `Simulation`: real routers and a real `pg` on systems under a virtual clock, joined by links in memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from pyerlnode.cluster.sessions.sessions import Session, Sessions
from pyerlnode.errors import Exit
from pyerlnode.kernel.pg import Pg
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.term import A
from pyerlnode.testing.virtual import Simulation

KEYS = [b"user-%d" % number for number in range(40)]


class Cart(Session):
    """Keeps what it is told; its `init` may wait for `gates`."""

    def init(self, key):
        self.key = key
        self.items = []
        self.asked = []

    def handle_call(self, request, from_):
        match request:
            case (A.add, item):
                self.items.append(item)
                return Reply(len(self.items))
            case A.get:
                return Reply(self.items)
            case A.where:
                return Reply(self.process.system.node)
            case A.key:
                return Reply(self.key)
            case A.crash:
                raise Exit((A.broken, self.key), "as asked")
            case A.stop:
                return Stop(A.normal, reply=A.stopped)
            case A.later:
                self.asked.append(from_)
                return NoReply()
            case A.answer:
                for asked in self.asked:
                    self.reply(asked, (A.answered, self.process.system.node))
                return Reply(len(self.asked))
        return NoReply()

    def handle_cast(self, request):
        self.items.append(request)

    def handoff(self):
        return self.items, self.asked

    def resume(self, state):
        self.items, self.asked = list(state[0]), list(state[1])

    def merge(self, other):
        self.items = sorted({*self.items, *other[0]})


class Forgetful(Session):
    def init(self, key):
        self.count = 0

    def handle_call(self, request, from_):
        self.count += 1
        return Reply(self.count)


class FakeKernel:
    """What `pg` needs of a kernel."""

    def __init__(self, system):
        self.system = system

    def monitor_nodes(self, process, flag, info=False):
        pass

    def nodes(self, kind="connected"):
        return [node for node, peer in self.system.peers.items() if peer.route is not None]


class Host:
    """A node of the simulation."""

    def __init__(self, system):
        self.system = system
        self.name = system.node.name
        self.kernel = FakeKernel(system)
        self.pg = Pg(system, self.kernel)

    def nodes(self, kind="connected"):
        return [node.name for node in self.kernel.nodes()]

    def start(self, cls, *args, name=None, **kwargs):
        return gen_server.start(self.system, cls, args, kwargs, name=name)


class World:
    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.hosts: dict[str, Host] = {}
        self.links: dict[frozenset[str], Any] = {}
        self.sessions: dict[str, Sessions] = {}

    def host(self, name: str) -> Host:
        host = Host(self.simulation.system(f"{name}@sim"))
        for other, known in self.hosts.items():
            link = self.links[frozenset((name, other))] = self.simulation.link(host.system, known.system)
            link.connect = partial(self._connected, host, known, link.connect)
        self.hosts[name] = host
        return host

    def _connected(self, one: Host, other: Host, connect: Any) -> None:
        connect()
        for here, there in ((one, other), (other, one)):
            scope = here.system.whereis("pyerlnode_sessions")
            if scope is not None:  # as `monitor_nodes` of a kernel tells it
                here.system.send_after(0.0, scope, (A.nodeup, there.system.node))

    def meet(self, one: str, other: str) -> None:
        link = self.links[frozenset((one, other))]
        link.mend()
        link.connect()
        self.simulation.run_until_idle()

    def join(self, name: str, cls: type = Cart, *, alone: bool = False, **options: Any) -> Sessions:
        """A node with sessions that is connected to all others."""
        others = list(self.hosts)
        host = self.host(name)
        if not alone:
            for other in others:
                self.meet(name, other)
        self.sessions[name] = made = self.simulation.run(lambda: Sessions(host, "carts", cls, **options))
        self.simulation.run_until_idle()
        return made

    def apart(self, one: str, other: str) -> None:
        self.links[frozenset((one, other))].cut()
        self.simulation.run_until_idle()

    def die(self, name: str) -> None:
        for pair, link in self.links.items():
            if name in pair:
                link.cut()
        self.hosts[name].system.stop()
        self.simulation.run_until_idle()

    def call(self, name: str, key: Any, request: Any, timeout: float | None = 5.0) -> Any:
        return self.simulation.run(lambda: self.sessions[name].call(key, request, timeout))

    def through(self, name: str, by: str, request: Any) -> Any:
        """A call from node `name` to the router of node `by`, as a BEAM would make it."""
        dest = ("carts", f"{by}@sim")
        return self.simulation.run(lambda: gen.call(self.hosts[name].system, dest, request))

    def begin(self, name: str, key: Any, request: Any) -> Any:
        """A call under way: its greenlet, which gives the answer or what was raised."""
        return self._started(lambda: self.sessions[name].call(key, request, None))

    def begin_through(self, name: str, by: str, request: Any) -> Any:
        """The same to the router of node `by`."""
        return self._started(lambda: gen.call(self.hosts[name].system, ("carts", f"{by}@sim"), request, None))

    def _started(self, call: Callable[[], Any]) -> Any:
        def job() -> Any:
            try:
                return call()
            except Exit as error:
                return error

        started = self.simulation.start(job)
        self.simulation.run_until_idle()
        return started

    def key_of(self, name: str, seen_by: str | None = None) -> bytes:
        """A key that the node owns, as another node sees it."""
        by = self.sessions[seen_by or name]
        return next(key for key in KEYS if by.owner(key) == f"{name}@sim")

    def stats(self, name: str) -> dict[str, Any]:
        return self.sessions[name].stats()


def reason_of(raised: Any) -> Any:
    return raised.reason[0]
