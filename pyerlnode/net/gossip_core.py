"""Heartbeats by which nodes find each other over UDP, as libcluster's Gossip writes and reads them.

Reference: libcluster 3 (`Cluster.Strategy.Gossip`).

    heartbeat::TERM           TERM is term_to_binary(#{node => Node})
    IV CIPHER                 the same in AES-256-CBC, when there is a secret: the key is its SHA-256, IV has 16 bytes

Anybody can send a packet. So a term is not decoded: one that is not exactly this one map is nothing, and no atom is
made of it.
"""

from __future__ import annotations

from hashlib import sha256

from pyerlnode.net import aes_core

HEAD = b"heartbeat::"
MAP = b"\x83t\x00\x00\x00\x01"
"""The version, and a map of one pair."""
SMALL, LARGE = (0x73, 0x77), (0x64, 0x76)
"""Tags of atoms with a length of one byte and of two, in Latin-1 and UTF-8 each."""
UTF8 = (0x77, 0x76)


def packet(node: str, secret: str | None = None, iv: bytes = b"") -> bytes:
    """What tells others of `node`; with a secret, `iv` is 16 random bytes."""
    name = node.encode()
    term = b"w" + bytes([len(name)]) + name if len(name) < 256 else b"v" + len(name).to_bytes(2, "big") + name
    text = HEAD + MAP + b"w\x04node" + term
    return text if secret is None else iv + aes_core.encrypt(_key(secret), iv, text)


def node_of(data: bytes, secret: str | None = None) -> str | None:
    """The node of which a packet tells; None when it is none of those, or was encrypted with another secret."""
    text: bytes | None = data
    if secret is not None:
        text = aes_core.decrypt(_key(secret), data[: aes_core.BLOCK], data[aes_core.BLOCK :])
    if text is None or not text.startswith(HEAD + MAP):
        return None
    key, rest = _atom(text[len(HEAD + MAP) :])
    node, rest = _atom(rest)
    return node if key == "node" and rest == b"" else None


def _key(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


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
