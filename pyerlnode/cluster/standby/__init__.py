"""A child that runs on exactly one node of a group, with failover and takeover."""

from pyerlnode.cluster.standby.standby import Activation, Fenced, Standby, activation

__all__ = [
    "Activation",
    "Fenced",
    "Standby",
    "activation",
]
