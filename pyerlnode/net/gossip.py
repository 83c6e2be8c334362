"""Nodes that tell of themselves by UDP multicast or broadcast: a strategy that hears Elixir's Gossip, and is heard.

    node.follow(Gossip(secret="of the cluster"))

With each look a heartbeat is sent, and all that has come since the last one is read. Who has said nothing for `silent`
seconds is found no more. Packets of others, and of clusters with another secret, are dropped.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

from pyerlnode.net import gossip_core
from pyerlnode.net.gossip_cipher import Secret

PORT, ADDRESS = 45892, "233.252.1.32"
"""As libcluster has them."""
SILENT = 30.0
MOST = 1000
"""Nodes that are remembered: anybody can send names."""
READ = 4096
"""Packets that one look reads at most."""


class Gossip:
    """Heartbeats by UDP.

    Args:
        secret: of the cluster, which encrypts them (`gossip_cipher`); None: they are sent as they are.
        port: to which all send.
        address: the multicast group, or the broadcast address.
        broadcast_only: `address` is for broadcasts: no group is joined.
        interface: the address of the interface for multicast; the system's choice unless given.
        ttl: how many routers pass a multicast on.
        silent: seconds after which a node is found no more.

    Raises `UsageError` for a secret where `cryptography` is not installed.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        port: int = PORT,
        address: str = ADDRESS,
        broadcast_only: bool = False,
        interface: str = "0.0.0.0",  # noqa: S104 - the group's packets come by whichever interface
        ttl: int = 1,
        silent: float = SILENT,
    ) -> None:
        self.secret = None if secret is None else Secret(secret)
        self.port = port
        self.address = address
        self.broadcast_only = broadcast_only
        self.interface = interface
        self.ttl = ttl
        self.silent = silent
        self.name: str | None = None
        """The node of which it tells; `node.follow` says so."""
        self.heard: dict[str, float] = {}
        self._socket: socket.socket | None = None

    def __call__(self) -> list[str]:
        """Tell of ourselves, and give whom we have heard. Raises `OSError`."""
        sock = self._socket = self._socket or self._opened()
        now = time.monotonic()
        if self.name is not None:
            text = gossip_core.heartbeat(self.name)
            sock.sendto(text if self.secret is None else self.secret.encrypted(text), (self.address, self.port))
        for _ in range(READ):
            try:
                data, _ = sock.recvfrom(65536)
            except BlockingIOError:
                break
            text = data if self.secret is None else self.secret.decrypted(data) or b""
            name = gossip_core.node_of(text)
            if name is not None and (name in self.heard or len(self.heard) < MOST):
                self.heard[name] = now
        self.heard = {name: at for name, at in self.heard.items() if now - at <= self.silent}
        return [name for name in self.heard if name != self.name]

    def close(self) -> None:
        """Hear no more, until it is asked again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(AttributeError):  # a system that has it not
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.bind(("", self.port))
            if not self.broadcast_only:
                self._join(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def _join(self, sock: socket.socket) -> None:
        interface = socket.inet_aton(self.interface)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, self.ttl)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        if any(interface):
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        group = struct.pack("4s4s", socket.inet_aton(self.address), interface)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)


__all__ = ["Gossip"]
