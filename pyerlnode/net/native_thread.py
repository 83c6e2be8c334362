"""A native thread that does one job at intervals, until it is stopped: for what must go on while the hub is blocked.

It is native also in a program that gevent has patched. The job must touch nothing of gevent's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original

from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

_start_new_thread = get_original("_thread", "start_new_thread")
_allocate_lock = get_original("_thread", "allocate_lock")


def start_thread(job: Callable[[], object]) -> None:
    """Run `job`, once, in a thread that nobody waits for; it must write nothing into the log."""
    _start_new_thread(edge(job), ())


class NativeThread:
    """Calls `job` every `interval` seconds between `start` and `stop`; both may be called again."""

    def __init__(self, job: Callable[[], object], interval: float) -> None:
        self._job = edge(job)
        self._interval = interval
        self.forsake()
        ours(self)

    def forsake(self) -> None:
        """No thread runs: none was started yet, or this is a fork, which has none of its parent's."""
        self._stopping = _allocate_lock()
        self._ended = _allocate_lock()
        self.running = False

    def start(self) -> None:
        if not self.running:
            self.running = True
            self._stopping.acquire()
            self._ended.acquire()
            _start_new_thread(self._run, ())

    def stop(self) -> None:
        """When this returns the thread does nothing any more."""
        if self.running:
            self.running = False
            self._stopping.release()
            self._ended.acquire()
            self._ended.release()

    def change(self, interval: float) -> None:
        """Another interval from now on."""
        running = self.running
        self.stop()
        self._interval = interval
        if running:
            self.start()

    @property
    def ended(self) -> bool:
        """Whether no thread runs: setting this is the last thing that one does."""
        return not self._ended.locked()

    @edge
    def _run(self) -> None:
        while not self._stopping.acquire(True, self._interval):
            self._job()
        self._stopping.release()
        _forget_me()
        self._ended.release()


def _forget_me() -> None:
    """What a line in the log leaves of a thread: an entry in `threading`, and a hub where gevent has patched that."""
    vars(threading)["_active"].pop(threading.get_ident(), None)
    hub = get_hub_if_exists()
    if hub is not None:
        hub.destroy(destroy_loop=True)
