"""Calls and spawns between nodes: `erpc`, `rpc`, `rex`, `spawn`, and what a program exports to them."""
