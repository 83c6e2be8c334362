"""Heartbeats by which nodes find each other over UDP, as libcluster's Gossip writes and reads them.

Reference: libcluster 3 (`Cluster.Strategy.Gossip`).

    heartbeat::TERM           TERM is term_to_binary(#{node => Node})

Anybody can send a packet. So a term is not decoded: one that is not exactly this one map is nothing, and no atom is
made of it. With a secret the text is encrypted (`gossip_cipher`).
"""

from __future__ import annotations

HEAD = b"heartbeat::"
MAP = b"\x83t\x00\x00\x00\x01"
"""The version, and a map of one pair."""
SMALL, LARGE = (0x73, 0x77), (0x64, 0x76)
"""Tags of atoms with a length of one byte and of two, in Latin-1 and UTF-8 each."""
UTF8 = (0x77, 0x76)


def heartbeat(node: str) -> bytes:
    """What tells others of `node`."""
    name = node.encode()
    term = b"w" + bytes([len(name)]) + name if len(name) < 256 else b"v" + len(name).to_bytes(2, "big") + name
    return HEAD + MAP + b"w\x04node" + term


def node_of(text: bytes) -> str | None:
    """The node of which a heartbeat tells; None when it is none."""
    if not text.startswith(HEAD + MAP):
        return None
    key, rest = _atom(text[len(HEAD + MAP) :])
    node, rest = _atom(rest)
    return node if key == "node" and rest == b"" else None


def _atom(data: bytes) -> tuple[str | None, bytes]:
    """(name, what is behind it)."""
    if not data or data[0] not in SMALL + LARGE:
        return None, b""
    start = 2 if data[0] in SMALL else 3
    end = start + int.from_bytes(data[1:start], "big")
    if len(data) < end or start > len(data):
        return None, b""
    try:
        return data[start:end].decode("utf-8" if data[0] in UTF8 else "latin-1"), data[end:]
    except UnicodeDecodeError:
        return None, b""
