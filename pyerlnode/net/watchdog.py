"""Whether the hub gets on, seen from a native thread: how often its loop has turned, and what it runs just now.

The hub itself does nothing for it. Its loop counts its turns, and Python tells which frame a thread runs: when the loop
waits for events that is the hub's own. What the two mean is decided elsewhere (`kernel.blocked_core`).

With libuv, whose loop counts nothing, there is no watchdog.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent
from gevent.hub import Hub

from pyerlnode.net.native_thread import NativeThread
from pyerlnode.runtime.edges import edge

_IDLE = Hub.run.__code__

Look = Callable[[float, float, int, "FrameType | None"], object]
"""``look(now, cpu, turns, frame)`` on the native thread: `cpu` is the time that this OS process has computed for,
`frame` None while the hub has nothing to do."""


class Watchdog:
    """Calls `look` every `interval` seconds."""

    def __init__(self, look: Look, interval: float, hub: Any = None) -> None:
        self._look = look
        self._hub = hub or gevent.get_hub()
        self.thread = NativeThread(self._sample, interval)

    def start(self) -> None:
        if hasattr(self._hub.loop, "iteration"):
            self.thread.start()

    def stop(self) -> None:
        self.thread.stop()

    def in_hub(self, function: Callable[..., object], *args: Any) -> None:
        """Have `function` called in the hub, when that gets on again. From the native thread."""
        self._hub.loop.run_callback_threadsafe(edge(function), *args)

    def _sample(self) -> None:
        turns = self._hub.loop.iteration
        frame = sys._current_frames().get(self._hub.thread_ident)
        if frame is not None and frame.f_code is _IDLE:
            frame = None
        self._look(time.monotonic(), time.process_time(), turns, frame)
