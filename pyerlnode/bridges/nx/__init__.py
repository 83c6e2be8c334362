"""Nx.Serving's messages: a Python model serves batches to callers on the BEAM."""

from pyerlnode.bridges.nx.batch import BadBatch, Batch
from pyerlnode.bridges.nx.serving import Hook, Output, Serving

__all__ = [
    "BadBatch",
    "Batch",
    "Hook",
    "Output",
    "Serving",
]
