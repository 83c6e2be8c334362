"""What belongs to one OS process, and is let go of in a fork of it.

A fork has copies of all descriptors and of every object, and none of the other threads. What it kept of a node would be
the parent's: a socket that it holds open keeps a connection or a name alive that the parent has given up, a watcher
takes bytes off the parent's stream, an object that waits for a thread waits for ever. So what has a descriptor, a
watcher or a thread says so when it is made (`ours`), and in a fork `forsake` is called on it, before any code of the
program runs there: it closes its copies, and writes, waits for and ends nothing. Whoever uses what is left gets
`MadeBeforeFork`.
"""

from __future__ import annotations

import os
from typing import Any, Final, Protocol
from weakref import WeakSet

from pyerlnode.errors import MadeBeforeFork
from pyerlnode.runtime.edges import close_now, edge


class Forsakable(Protocol):
    """What can be let go of in a fork."""

    def forsake(self) -> None:
        """Close what is a copy of the parent's, without a word to anybody. It is never used again."""


_ours: Final[WeakSet[Any]] = WeakSet()
_sockets: Final[WeakSet[Any]] = WeakSet()


def ours(thing: Forsakable) -> None:
    """Forsake `thing` in every fork from now on, while it lives."""
    _ours.add(thing)


def our_socket(sock: Any) -> None:
    """Close the copy of `sock`, a socket of Python's or gevent's, in every fork from now on."""
    _sockets.add(sock)


def made_before(what: str) -> MadeBeforeFork:
    return MadeBeforeFork(
        f"{what} was made before the fork of this OS process and belongs to the parent: open one in the fork itself"
    )


@edge
def _let_go() -> None:
    for thing in [*_ours]:
        edge(thing.forsake)()  # whatever becomes of one, the others are let go of
    for sock in [*_sockets]:
        descriptor = sock.detach()
        if descriptor >= 0:
            close_now(descriptor)
    _ours.clear()
    _sockets.clear()


os.register_at_fork(after_in_child=_let_go)
