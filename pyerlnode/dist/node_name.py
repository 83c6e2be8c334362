"""Names of nodes: ``alive@host``, one `@` with text on both sides.

Reference: OTP's `net_kernel` (names that a node may take) and `inet_tcp_dist` (long and short names).

A node started with long names has a host part with a dot (or a colon: IPv6), or an address; one with
short names has none. The two kinds can not meet in one cluster: OTP refuses to dial across, and so does
`check_style`. What a peer may call itself is wider than what we let our own node be called: OTP accepts
from the wire any text around one `@`, while a node of its own must have a plain alive part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyerlnode.errors import BadName

MAX_CHARACTERS = 255
"""A node name is an atom."""
_ALIVE = re.compile(r"[0-9A-Za-z_\-]+")
_HOST = re.compile(r"[!-?A-~\u00a1-\u00ff]+")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class NodeName:
    """A name that was checked; `str()` gives the whole of it."""

    alive: str
    host: str

    def __str__(self) -> str:
        return f"{self.alive}@{self.host}"

    @property
    def is_long(self) -> bool:
        """True for a name that `erl -name` makes, False for one of `erl -sname`."""
        return "." in self.host or ":" in self.host


def parse(text: str) -> NodeName:
    """The name of this node, or of one that a program names.

    Raises:
        BadName: the text is no name that OTP would start a node with.
    """
    name = _split(text)
    if not _ALIVE.fullmatch(name.alive):
        raise BadName(f"{_shown(text)}: the part before @ may have letters, digits, _ and - only")
    return name


def parse_peer(text: str) -> NodeName:
    """The name that a peer gives itself: wider than `parse`, since OTP checks it no further.

    Raises:
        BadName: no `@`, more than one, an empty side, or characters that no host name has.
    """
    name = _split(text)
    if not name.alive.isprintable() or " " in name.alive:
        raise BadName(f"{_shown(text)}: blanks and control characters can not stand in a node name")
    return name


def check_style(own: NodeName, peer: NodeName) -> None:
    """Long names talk to long names, short ones to short ones.

    Raises:
        BadName: the two differ.
    """
    if own.is_long != peer.is_long:
        kinds = ("short", "long")
        raise BadName(
            f"{peer} is a {kinds[peer.is_long]} name and this node, {own}, has a {kinds[own.is_long]} one: "
            f"both must be long (host with a dot) or both short"
        )


def _split(text: str) -> NodeName:
    if not isinstance(text, str):
        raise BadName(f"a node name is a str such as 'app@127.0.0.1', not {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise BadName(f"{_shown(text)}: a node name has at most {MAX_CHARACTERS} characters, this one {len(text)}")
    alive, at, host = text.partition("@")
    if not at or not host:
        raise BadName(f"{_shown(text)} has no host part: write it as {_hint(alive, 'app')}@host, e.g. app@127.0.0.1")
    if not alive:
        raise BadName(f"{_shown(text)} has no part before the @: write it as app@{_hint(host, 'host')}")
    if "@" in host:
        raise BadName(f"{_shown(text)} has more than one @: a node name is app@host")
    if not _HOST.fullmatch(host):
        raise BadName(f"{_shown(text)}: blanks and control characters can not stand in a host name")
    return NodeName(alive, host)


def _hint(part: str, example: str) -> str:
    """What can be shown as it stands: a name comes from a peer, and a text of ours is one line."""
    return part if part and part.isprintable() else example


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
