"""Sessions on a ring: each key is served on the node that owns it, and moves when nodes come and go."""

from pyerlnode.cluster.sessions.session import Session
from pyerlnode.cluster.sessions.sessions import Sessions

__all__ = [
    "Session",
    "Sessions",
]
