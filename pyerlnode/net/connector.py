"""Reaching a node: its port from EPMD (or from a map), a TCP connection, TLS if asked, the handshake as initiator.

Reference: OTP's `inet_tcp_dist` (setup) and `dist_util` (handshake_we_started). Every step has `setup_time`
seconds, as in OTP; `total_time` bounds them all. Whatever goes wrong is one `ConnectError` whose reason is
one word and whose text says what to do about it, raised in the caller.
"""

from __future__ import annotations

import secrets
import socket as plain
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyerlnode.brief import short, told
from pyerlnode.dist.epmd import NodeEntry
from pyerlnode.dist.flags import DistFlags
from pyerlnode.dist.handshake import SETUP_TIME, Initiator, OwnIdentity, PeerInfo
from pyerlnode.dist.node_name import NodeName, check_style, parse, parse_peer
from pyerlnode.errors import ConnectError, EpmdError, HandshakeError, UsageError
from pyerlnode.net import handshaking, tcp
from pyerlnode.net.epmd_client import Epmd

if TYPE_CHECKING:
    from pyerlnode.net.tls import TlsTransport
    from pyerlnode.net.tls_options import Side

Address = tuple[str, int] | int
"""Host and port of a node, or the port at the host of its name."""
Addresses = Mapping[str, Address] | Callable[[str], Address | None] | int
"""Where nodes are that are reached without EPMD: by their whole names, or what a callable says of one (None: it does
not know it), or the port that all of them have, each at its own host, as with ``erl -erl_epmd_port``."""

__all__ = ["Address", "Addresses", "OwnIdentity", "check_addresses", "connect"]


def connect(
    name: str,
    *,
    own: OwnIdentity,
    cookie: str,
    epmd: Epmd | Addresses | tuple[str, int],
    setup_time: float = SETUP_TIME,
    total_time: float | None = None,
    still_wanted: Callable[[], bool] = lambda: True,
    tls: Side | None = None,
) -> tuple[plain.socket | TlsTransport, PeerInfo, bytes]:
    """Connect to the node `name`.

    Args:
        own: who we are; with NAME_ME among the flags the peer gives us a name.
        cookie: the one for this peer.
        epmd: where to ask for its port; or `Addresses`; or the address itself.
        setup_time: seconds for each step (looking up, connecting, each message of the handshake).
        total_time: seconds for all of them; three times `setup_time` unless given.
        still_wanted: asked when the peer says that it holds a connection to us already.
        tls: the client side of TLS, for a peer that speaks it.

    Returns:
        The non-blocking socket (or TLS session), what the handshake found out, and the bytes that came after it.

    Raises:
        BadName: `name` is none, or long where ours is short.
        ConnectError: it did not come about; `reason` is one word.
    """
    peer = parse_peer(name)
    asks_for_name = DistFlags.NAME_ME in own.flags
    if not asks_for_name:
        check_style(parse(own.name), peer)
        if own.name == name:
            raise ConnectError(f"{name} is this node itself", name, "self")
    end = time.monotonic() + (3 * setup_time if total_time is None else total_time)
    host, port, version = _locate(peer, epmd, min(setup_time, end - time.monotonic()))
    step = min(setup_time, end - time.monotonic())
    if step <= 0:
        raise ConnectError(f"{name}: EPMD took all of the time to connect", name, "timeout")
    sock: Any = tcp.dial(host, port, step, node=name)
    try:
        length_bytes = 2
        if tls is not None:
            from pyerlnode.net.tls import LENGTH_BYTES, TlsStream  # OpenSSL is loaded by the nodes that speak TLS

            length_bytes = LENGTH_BYTES
            sock = TlsStream(sock, tls, who=name, host=peer.host)
            sock.handshake(step)
        machine = Initiator(
            own,
            name,
            cookie,
            secrets.randbits(32),
            version=version,
            now=time.monotonic(),
            setup_time=setup_time,
            length_bytes=length_bytes,
            still_wanted=still_wanted,
        )
        found, leftover = handshaking.run(sock, machine, end=end)
    except HandshakeError as error:
        sock.close()
        raise ConnectError(str(error), name, error.reason) from error
    except BaseException:
        sock.close()
        raise
    return (tcp.detach(sock) if tls is None else sock.transport()), found, leftover


def _locate(peer: NodeName, epmd: Epmd | Addresses | tuple[str, int], timeout: float) -> tuple[str, int, int]:
    """Host, port, and the version of the handshake."""
    if isinstance(epmd, tuple):
        return *epmd, 6
    if not isinstance(epmd, Epmd):
        return *_address(peer, epmd), 6
    entry = _ask(peer, epmd, timeout)
    if entry.highest < 5 or entry.lowest > 6:
        raise ConnectError(
            f"{peer} speaks versions {entry.lowest}..{entry.highest} of the distribution, this node 5 and 6",
            str(peer),
            "protocol",
        )
    return peer.host, entry.port, min(entry.highest, 6)


def _address(peer: NodeName, addresses: Addresses) -> tuple[str, int]:
    name = str(peer)
    try:
        if isinstance(addresses, int):
            found: Any = addresses
        else:
            found = addresses(name) if callable(addresses) else addresses.get(name)
    except Exception as error:  # of the program's own look-up, or of what it asks
        raise ConnectError(f"{name}: its address could not be found: {told(error)}", name, "unknown_node") from error
    match found:
        case None:
            how = "is not known to `addresses`" if callable(addresses) else "is not in the map of addresses"
            raise ConnectError(f"{name} {how}, and this node asks no EPMD", name, "unknown_node")
        case (str(host), int(port)) if _is_port(port):
            return host, port
        case int(port) if _is_port(port):
            return peer.host, port
    what = f"the address of {name} is {short(found)}: give (host, port), or a port at the host of its name"
    raise ConnectError(what, name, "unknown_host")


def _is_port(port: int) -> bool:
    return type(port) is int and 0 < port < 65536


def check_addresses(addresses: Any) -> None:
    """Raises `UsageError` for what can not be `Addresses`."""
    if isinstance(addresses, int) and not _is_port(addresses):
        raise UsageError(f"addresses={short(addresses)}: the port of all nodes is a number from 1 to 65535")
    if not (isinstance(addresses, (int, Mapping)) or callable(addresses)):
        raise UsageError(f"addresses={short(addresses)}: give a map of names, a callable, or the port of all nodes")


def _ask(peer: NodeName, epmd: Epmd, timeout: float) -> NodeEntry:
    try:
        entry = epmd.lookup(peer.host, peer.alive, timeout)
    except EpmdError as error:
        unknown_host = isinstance(error.__cause__, ConnectError) and error.__cause__.reason == "unknown_host"
        reason = "unknown_host" if unknown_host else "no_epmd"
        raise ConnectError(f"{peer} can not be reached: {error}", str(peer), reason) from error
    if entry is None:
        raise ConnectError(
            f"no node {peer.alive} is registered at EPMD {peer.host}:{epmd.port}: is it running?",
            str(peer),
            "unknown_node",
        )
    return entry
