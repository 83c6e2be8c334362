"""Calls and spawns between nodes: `erpc`, `rpc`, `rex`, `spawn`, and what a program exports to them."""

from pyerlnode.kernel.remote.errors import RemoteElixirError, format_stack

__all__ = ["RemoteElixirError", "format_stack"]
