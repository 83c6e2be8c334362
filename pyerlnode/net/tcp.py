"""TCP as the distribution uses it: dial with a deadline, listen where the node's name points, no Nagle.

A node whose host part is a loopback address or `localhost` listens there alone; any other one on every address of
the machine, by each family that its host has: a name in DNS may have one of IPv4, one of IPv6, or both. Numeric hosts
are not sent through the resolver's thread pool.
Sockets here are gevent's; `detach` gives the plain non-blocking one that a connection is built from.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket as plain
import time
from collections.abc import Iterable, Sequence
from typing import Any

from gevent.socket import socket as Socket  # noqa: N812 - a class that gevent spells like its module

from pyerlnode.brief import short
from pyerlnode.errors import ConnectError, NetworkError
from pyerlnode.net.resolving import look_up
from pyerlnode.runtime.forks import our_socket

BACKLOG = 1024
"""Connections that the system keeps until they are taken; it may allow fewer."""
CHANCES = 20
"""Ports that the system chooses, until one is free in both families."""
RESOLVING = 5.0
"""Seconds to find out by which families a node's own host can be reached."""
EVERYWHERE = {plain.AF_INET: "0.0.0.0", plain.AF_INET6: "::"}  # noqa: S104 - who has a public name is to be reached
Address = tuple[Any, ...]


def is_loopback(host: str) -> bool:
    """True for 127.0.0.0/8, ::1 and `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind_addresses(host: str) -> list[str]:
    """Where a node with this host part listens: on that loopback address, else everywhere.

    By each family that the host has; IPv4 where it has none, since it is not known here.
    """
    if host == "localhost":
        return ["127.0.0.1"]
    if is_loopback(host):
        return [host]
    found = families(host)
    return [everywhere for family, everywhere in EVERYWHERE.items() if family in found] or ["0.0.0.0"]  # noqa: S104


def numeric(address: str) -> str:
    """An address to listen at; `localhost` is one."""
    return "127.0.0.1" if address == "localhost" else address


def families(host: str, timeout: float = RESOLVING) -> set[int]:
    """Those by which `host` can be reached; none when it is not known."""
    try:
        return {family for family, _ in _resolve(host, 0, host, timeout)}
    except ConnectError:
        return set()


def dial(host: str, port: int, timeout: float, *, node: str = "") -> Socket:
    """A connected socket, or the last error of all addresses of `host`. `timeout` covers them all.

    Raises:
        ConnectError: with the reason `unknown_host`, `refused`, `timeout` or `closed`.
    """
    where = node or f"{host}:{port}"
    end = time.monotonic() + timeout
    last: OSError = TimeoutError()
    for family, address in _resolve(host, port, where, timeout):
        left = end - time.monotonic()
        if left <= 0:
            break
        sock = _new(family)
        try:
            sock.settimeout(left)
            sock.connect(address)
            _no_delay(sock)
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise _dial_error(last, host, port, where, timeout)


def _resolve(host: str, port: int, where: str, timeout: float) -> list[tuple[int, Address]]:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        pass
    else:
        return [(plain.AF_INET, (host, port))] if version == 4 else [(plain.AF_INET6, (host, port))]
    try:
        found = look_up(host, timeout)
    except TimeoutError as error:
        raise _dial_error(error, host, port, where, timeout) from None
    except (OSError, UnicodeError):
        raise ConnectError(
            f"the host {short(host)} is not known here: check the name, DNS or /etc/hosts", where, "unknown_host"
        ) from None
    return [(family, (address[0], port, *address[2:])) for family, address in found]


def _dial_error(error: OSError, host: str, port: int, where: str, timeout: float) -> ConnectError:
    at = f"{host}:{port}"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return ConnectError(f"{where}: {at} did not accept a connection within {timeout:g} s", where, "timeout")
    if error.errno == errno.ECONNREFUSED:
        return ConnectError(f"{where}: nothing listens at {at} (connection refused)", where, "refused")
    words = os.strerror(error.errno) if error.errno else str(error)
    return ConnectError(f"{where}: no connection to {at} ({words})", where, "closed")


def listen(host: str, ports: int | Iterable[int] = 0, backlog: int = BACKLOG) -> Socket:
    """A listening socket at `host` on the first free one of `ports`; 0 lets the system choose.

    Raises:
        NetworkError: none of them is free, or the address is not one of this machine.
    """
    tried = [ports] if isinstance(ports, int) else list(ports)
    family = plain.AF_INET6 if ":" in host else plain.AF_INET
    last: OSError | None = None
    for port in tried:
        sock = _new(family)
        try:
            sock.setsockopt(plain.SOL_SOCKET, plain.SO_REUSEADDR, 1)
            if family == plain.AF_INET6:  # the two families are bound separately
                sock.setsockopt(plain.IPPROTO_IPV6, plain.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen(backlog)
        except OSError as error:
            sock.close()
            last = error
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                break
        else:
            return sock
    span = f"{tried[0]}" if len(tried) == 1 else f"{tried[0]}..{tried[-1]}" if tried else "none given"
    words = os.strerror(last.errno) if last is not None and last.errno else "no port"
    failure = NetworkError(f"no port to listen on at {host} (tried {span}): {words}")
    raise failure from last


def _new(family: int) -> Socket:
    sock = Socket(family, plain.SOCK_STREAM)
    our_socket(sock)
    return sock


def listen_at(addresses: Sequence[str], ports: int | Iterable[int] = 0) -> list[Socket]:
    """Sockets that listen on one port at all of `addresses`, each of another family; one that is not here is left out.

    Raises:
        NetworkError: as `listen`.
    """
    first, *others = [address for address in addresses if _has_family(address)] or addresses[:1]
    if not others:
        return [listen(first, ports)]
    left = [0] * CHANCES if ports == 0 else [ports] if isinstance(ports, int) else list(ports)
    while True:
        one = listen(first, left)
        port = one.getsockname()[1]
        try:
            return [one, *(listen(address, port) for address in others)]
        except NetworkError:  # taken by a program that listens by the other family
            one.close()
            left = left[1:] if ports == 0 else left[left.index(port) + 1 :]
            if not left:
                raise


def _has_family(address: str) -> bool:
    try:
        Socket(plain.AF_INET6 if ":" in address else plain.AF_INET, plain.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _no_delay(sock: Socket) -> None:
    sock.setsockopt(plain.IPPROTO_TCP, plain.TCP_NODELAY, 1)
    sock.setsockopt(plain.SOL_SOCKET, plain.SO_KEEPALIVE, 1)


def accepted(sock: Socket) -> Socket:
    """Options of a socket that was accepted."""
    our_socket(sock)
    _no_delay(sock)
    return sock


def detach(sock: Socket) -> plain.socket:
    """The plain socket under a gevent one, non-blocking; the gevent one is spent."""
    raw = plain.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    raw.setblocking(False)
    our_socket(raw)
    return raw
