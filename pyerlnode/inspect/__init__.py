"""Look into a BEAM, with nothing installed there: `Cluster`, its nodes, their processes. See `docs/inspecting.md`."""

from pyerlnode.inspect.cluster import Cluster, RemoteNode, RemoteProcess, Watch
from pyerlnode.inspect.session import InspectError, Late, NoSuchProcess, Refused
from pyerlnode.inspect.snapshot_core import Snapshot, compare
from pyerlnode.inspect.trace import Trace

__all__ = [
    "Cluster", "InspectError", "Late", "NoSuchProcess", "Refused", "RemoteNode", "RemoteProcess", "Snapshot", "Trace",
    "Watch", "compare",
]  # fmt: skip
