"""A host for rooms above the kernel in a `Simulation`: a system with `pg`, and the others that it is linked with."""

from pyerlnode.kernel.local import Local
from pyerlnode.kernel.pg import Pg
from pyerlnode.term.atom import A


class _Kernel:
    """What `pg` needs of a `NetKernel`."""

    def __init__(self):
        self.watchers = []
        self.up = {}

    def nodes(self):
        return list(self.up)

    def monitor_nodes(self, process, flag):
        assert flag
        self.watchers.append(process)


class SimulatedHost(Local):
    """Has what `otp.host` lists."""

    def __init__(self, simulation, name):
        self._system = simulation.system(name)
        self._kernel = _Kernel()
        self.pg = Pg(self._system, self._kernel)

    @property
    def system(self):
        return self._system

    @property
    def name(self):
        return str(self._system.node)

    def nodes(self, kind="connected"):
        assert kind == "connected"
        return [str(node) for node in self._kernel.up]

    def linked(self, simulation, other):
        """Link two hosts, and tell both that the other one is up."""
        link = simulation.link(self._system, other.system)
        link.connect()
        for one, peer in ((self, other), (other, self)):
            one._kernel.up[peer.system.node] = True
            for process in one._kernel.watchers:
                process.deliver((A.nodeup, peer.system.node))
        return link

    def lost(self, other):
        """The link is cut; `nodes` has it no more."""
        self._kernel.up.pop(other.system.node)
