"""What OTP's modules answer differently from release to release: each peer is answered as its own release would.

    what                                                since stdlib            before
    sys:get_state, sys:replace_state                    5.1.1: {ok, State}      State
    supervisor:start_child of a child that another      6.0: {error, Reason}    {error, {Reason, Child}}
    process stands for already

The handshake tells OTP 28 from what was before, and that only: any other peer is asked for the version of its stdlib,
by its `rex`, once for a connection and only when an answer depends on it. The answer then waits; the server does not.
A peer that does not say is taken for a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pyerlnode.errors import PyerlnodeError
from pyerlnode.otp import gen
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom

Version = tuple[int, ...]
WRAPPED_STATES: Final[Version] = (5, 1, 1)
PLAIN_ALREADY_STARTED: Final[Version] = (6, 0)
NEWEST: Final[Version] = (99,)
_PATIENCE: Final = 4.0
"""Seconds for a peer to say: less than a caller of `sys` waits by default."""


def known(system: System, node: Atom) -> Version | None:
    """The version of the stdlib of `node`, as far as it is known without a question."""
    if node is system.node:
        return NEWEST
    peer = system.peers.get(node)
    if peer is None or peer.route is None:
        return NEWEST  # it will see no answer
    version: Version | None = NEWEST if peer.is_new else peer.stdlib
    return version


def stdlib_of(system: System, node: Atom) -> Version:
    """The version of the stdlib of `node`, asked for where it is not known."""
    version = known(system, node)
    if version is not None:
        return version
    peer = system.peer(node)
    route = peer.route
    version = _asked(system, node)
    if peer.route is route:
        peer.stdlib = version
    return version


def with_stdlib(system: System, node: Atom, then: Callable[[Version], None]) -> None:
    """Call `then` with the version of the stdlib of `node`: now, or by a process of its own that asks first."""
    version = known(system, node)
    if version is not None:
        then(version)
    else:
        system.spawn_function(lambda: then(stdlib_of(system, node)), (), {})


def _asked(system: System, node: Atom) -> Version:
    leader = system.root.group_leader or system.root.pid
    request = (A.call, A.application, A.get_key, [A.stdlib, A.vsn], leader)
    try:
        match gen.call(system, (A.rex, node), request, _PATIENCE):
            case (A.ok, [*text]):
                return tuple(int(number) for number in bytes(text).decode().split("."))
    except (PyerlnodeError, ValueError, TypeError):
        return NEWEST
    return NEWEST
