"""`sd_notify`: what systemd is told of a run (``Type=notify-reload``). Without `NOTIFY_SOCKET` nothing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Args: `env`, the environment: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` for this process (`WATCHDOG_PID`)."""

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        self.every = float("inf")
        """Seconds between two signs of life: half of what the watchdog waits for."""
        if address and env.get("WATCHDOG_USEC", "").isdigit() and env.get("WATCHDOG_PID", "") in ("", str(os.getpid())):
            self.every = int(env["WATCHDOG_USEC"]) / 2e6

    def tell(self, what: str) -> None:
        """`ready`, `reloading`, `stopping`, `watchdog`."""
        lines = {"ready": "READY=1", "stopping": "STOPPING=1", "watchdog": "WATCHDOG=1"}
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(lines.get(what) or f"RELOADING=1\nMONOTONIC_USEC={now}")

    def _send(self, text: str) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto(text.encode(), self._address)
            except OSError:
                pass  # nobody listens any more: a run goes on without its service manager

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
