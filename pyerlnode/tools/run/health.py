"""Readiness and liveness by HTTP, for probes: `GET /readyz` and `GET /livez`, 200 or 503, and a document that says why.

    {"ready": true, "alive": true, "workers": [{"name": "shop1@10.0.0.7", "state": "up", "silent": 0.4}]}

Served by threads of the master, which runs nothing of the program: it answers also while workers compute.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.runtime.edges import edge


@dataclass(frozen=True, slots=True)
class Health:
    ready: bool
    alive: bool
    workers: list[dict[str, Any]]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    ask: Callable[[], Health]


class ServerOf6(Server):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self.server_address[0] != "::")
        super().server_bind()


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10.0

    def do_GET(self) -> None:
        health = self.server.ask()
        good = {"/readyz": health.ready, "/livez": health.alive}.get(self.path.partition("?")[0])
        document = {"ready": health.ready, "alive": health.alive, "workers": health.workers}
        body = json.dumps(document).encode() + b"\n"
        self.send_response(404 if good is None else 200 if good else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A probe is no news."""


def serve(where: str, ask: Callable[[], Health]) -> Server:
    """Serve at ``host:port`` (no host: all addresses of both families).

    Raises:
        UsageError: that can not be listened at.
    """
    host, _, port = where.rpartition(":")
    host = host.strip("[]") or ("::" if socket.has_dualstack_ipv6() else "")
    try:
        server = (ServerOf6 if ":" in host else Server)((host, int(port)), Handler)
    except OSError as error:
        raise UsageError(f"health can not be served at {where}: {error.strerror}") from None
    server.ask = ask
    Thread(target=edge(server.serve_forever), name="pyerlnode-health", daemon=True).start()
    return server
