"""Packets of the usual signals, between bytes and signals without a step between: what the compiled codec does beside.

Nine of ten packets are messages without a token, monitors and their ends, behind a header that names no new atom. The
compiled twins of these two classes read and write such packets in one go. Whatever else comes, and whatever is wrong,
they leave alone: `dist.channel` then does it step by step and is the one to say what happens. So how much they do
changes no result, and the readable twins here do nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.etf.common import AtomBudget, Buffer
from pyerlnode.limits import Limits
from pyerlnode.term.atom import Atom


class PacketReader:
    """Reads packets of one connection.

    Args:
        classes: of the signals that it makes: a message, a monitor, a demonitor.
        node: the peer; who monitors is a process of it.
        slots: the table of the connection's atom cache, in which `empty` stands where nothing is.
    """

    __slots__ = ()

    def __init__(
        self,
        classes: tuple[type, type, type],
        node: Atom,
        slots: list[Any],
        empty: object,
        budget: AtomBudget,
        limits: Limits,
    ) -> None:
        pass

    def read(self, data: bytes, at: int, events: list[Any]) -> int:  # noqa: ARG002  # the twin's shape
        """Append the signals of the whole frames from `at` on, up to one that is not usual; gives where that begins."""
        return at


class PacketWriter:
    """Writes packets to a peer that takes a distribution header.

    Args:
        classes: as of `PacketReader`.
        whole: bytes of a payload up to which a message is sent whole.
        send_sender, altact, monitors, names: whether the peer takes operations 22, 37, 19 and 20, the latter by name.
        cache: whether it takes a header that names atoms.
        check: raises for a message that the peer does not take; see `releases`.

    Attributes:
        count: packets that were written.
    """

    __slots__ = ()
    count = 0

    def __init__(
        self,
        classes: tuple[type, type, type],
        whole: int,
        send_sender: bool,
        altact: bool,
        monitors: bool,
        names: bool,
        cache: bool,
        check: Callable[[Any], None] | None = None,
    ) -> None:
        pass

    def write(  # the twin's shape
        self,
        signal: Any,  # noqa: ARG002
        in_order: bool = True,  # noqa: ARG002
    ) -> bytes | tuple[list[Buffer], int] | None:
        """The packet of `signal`, its length before it; None when it is not a usual one.

        `in_order`: it leaves behind all packets that were made before, and before all that are made after it. Only such
        a packet names atoms of the cache. One that is made in order and then not sent costs the connection.

        What is to be sent in fragments comes as `encode_packet` gives it. Raises `EncodeError` for the message.
        """
        return None
