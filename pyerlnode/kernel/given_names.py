"""Names for peers that come without one: ``erl -name undefined@host``, and ``-remsh`` of OTP 25 and later.

Reference: OTP's `net_kernel` (dynamic node names). A peer that asks gets an alive part that nobody else has, its own
host part, and a creation. A name comes back when its peer is lost, and is given again, to the same host, with the next
creation: so a thousand remote shells one after the other cost every node of the cluster one atom.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from pyerlnode.dist.node_name import parse_peer
from pyerlnode.errors import BadName

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST, _END = 4, 2**32
HOSTS = 1000
"""Hosts for which names are kept; those whose peers went longest ago are forgotten, and get new names."""


class GivenNames:
    """The names that one node has given. `entropy` gives so many random bits."""

    def __init__(self, entropy: Callable[[int], int] = secrets.randbits) -> None:
        self._entropy = entropy
        self._out: dict[str, tuple[str, int, bool]] = {}
        """(host, creation, whether the name was in use before) by name."""
        self._free: dict[str, list[tuple[str, int]]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._out

    def give(self, host: str) -> tuple[str, int] | None:
        """A name and a creation for a peer of this host part; None when no name can be made with it."""
        free = self._free.get(host)
        if free:
            name, creation = free.pop()
            if not free:
                del self._free[host]
        else:
            name, creation = f"{_base36(self._entropy(64))}@{host}", _FIRST + self._entropy(32) % (_END - _FIRST)
            try:
                parse_peer(name)
            except BadName:
                return None
        self._out[name] = host, creation, free is not None
        return name, creation

    def back(self, name: str, *, proven: bool = True) -> None:
        """The peer of this name is gone; names that were not given here are ignored."""
        given = self._out.pop(name, None)
        if given is None:
            return
        host, creation, known = given
        if proven or known:
            following = creation + 1 if creation + 1 < _END else _FIRST
            names = self._free.pop(host, [])
            names.append((name, following))
            self._free[host] = names
            if len(self._free) > HOSTS:
                del self._free[next(iter(self._free))]


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
