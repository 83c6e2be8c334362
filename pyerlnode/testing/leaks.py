"""What a test has left behind in this process, on this machine and at EPMD.

    before = snapshot(epmd)
    ...
    assert_no_leaks(before, epmd)

A node that was stopped has no greenlet, thread, socket, OS process or registered name. Ends take a
moment (a thread that was told to end, a socket that the kernel closes), so the check waits for them.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from pyerlnode.testing import waiting
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.patience import patience
from pyerlnode.testing.reaper import REAPER

SETTLE_S = 15.0
"""An end that takes longer, on a quiet machine, is none."""


@dataclass(frozen=True)
class Snapshot:
    """What there is at one moment, each by an identity that is not used again during a test."""

    greenlets: dict[int, Any]
    threads: dict[threading.Thread, str]
    sockets: frozenset[str]
    processes: dict[int, str]
    names: frozenset[str]


def snapshot(epmd: Epmd | None = None) -> Snapshot:
    """What there is now. The hubs of gevent and its thread pool do not count: they live as long as their thread."""
    return Snapshot(
        greenlets=_greenlets(),
        threads=_threads(),
        sockets=_sockets(),
        processes=_children(),
        names=frozenset(epmd.names()) if epmd is not None and epmd.running() else frozenset(),
    )


def leaks(before: Snapshot, epmd: Epmd | None = None) -> list[str]:
    """One line for each thing that is there now and was not then."""
    now = snapshot(epmd)
    return [
        *(f"greenlet {value!r}" for key, value in now.greenlets.items() if key not in before.greenlets),
        *(f"thread {name}" for key, name in now.threads.items() if key not in before.threads),
        *(f"{name}" for name in sorted(now.sockets - before.sockets)),
        *(f"process {pid}: {name}" for pid, name in now.processes.items() if pid not in before.processes),
        *(f"name at EPMD: {name}" for name in sorted(now.names - before.names)),
    ]


def assert_no_leaks(before: Snapshot, epmd: Epmd | None = None) -> None:
    """Wait until nothing is left of what has come since `before`.

    Raises:
        AssertionError: something still is after `SETTLE_S`; the text lists it.
    """
    end = time.monotonic() + patience(SETTLE_S)
    while found := leaks(before, epmd):
        if time.monotonic() >= end:  # no `assert`: pytest writes those of a plugin anew, with another text
            raise AssertionError("left behind by the test:\n  " + "\n  ".join(found))
        waiting.pause(0.02)


def _threads() -> dict[threading.Thread, str]:
    """The threads. Where gevent has patched `threading`, a greenlet that logs is entered there too, and stays after it
    has ended: those are counted as greenlets."""
    lasting: tuple[type, ...] = ()
    if "gevent.monkey" in sys.modules and sys.modules["gevent.monkey"].is_module_patched("threading"):
        lasting = (threading._DummyThread,)
    return {thread: thread.name for thread in threading.enumerate() if not isinstance(thread, lasting)}


def _greenlets() -> dict[int, Any]:
    if "greenlet" not in sys.modules:
        return {}
    import greenlet

    lasting: tuple[type, ...] = ()
    if "gevent" in sys.modules:
        from gevent.hub import Hub
        from gevent.threadpool import _WorkerGreenlet

        lasting = Hub, _WorkerGreenlet
    return {
        id(found): found
        for found in gc.get_objects()
        # A root greenlet has no parent: one per thread, not a leak.
        if isinstance(found, greenlet.greenlet)
        and found
        and found.parent is not None
        and not isinstance(found, lasting)
        and not _is_spare(found)
    }


def _is_spare(found: Any) -> bool:
    """Whether it waits for work in the pool of a system that runs on, as that of a node with a wider scope."""
    scheduler = getattr(found, "scheduler", None)
    return scheduler is not None and not scheduler.stopping and found in scheduler.idle


def _sockets() -> frozenset[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # the descriptor of this very listing
        if target.startswith("socket:"):
            found.add(target)
    return frozenset(found)


def _children() -> dict[int, str]:
    """The child processes of this one (zombies too), without the reaper."""
    found = {}
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                pids = [int(pid) for pid in file.read().split()]
        except OSError:
            continue  # the thread has just ended
        for pid in pids:
            if pid != REAPER.pid:
                found[pid] = _command(pid)
    return found


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")[:200] or "(a zombie)"
    except OSError:
        return "(gone)"
