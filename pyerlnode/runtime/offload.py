"""`offload`: blocking calls and heavy computing beside the hub, so that no process of the node waits for them.

    data = offload(path.read_bytes)                          # in a thread: for calls that block
    rows = offload(parse, data, in_process=True)             # in an OS process: for computing

The caller waits for the result, others go on. A thread shares the interpreter's lock, so pure Python computes no
faster there. An OS process gets the function and its arguments pickled, and must be able to import the function. When
the caller is killed the work itself runs to its end, and its result is dropped; when the node is, its OS processes are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from pyerlnode.orphans import end_with
from pyerlnode.runtime.scheduler import in_thread

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

T = TypeVar("T")


class OsProcesses:
    """A pool of OS processes, started when it is first used."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        if self._pool is None:
            import multiprocessing  # here, since it costs a tenth of the time in which a node starts
            from concurrent.futures import ProcessPoolExecutor

            # A fork would copy the hub, its sockets and whatever lock another thread holds.
            self._pool = ProcessPoolExecutor(
                mp_context=multiprocessing.get_context("spawn"), initializer=end_with, initargs=(os.getpid(),)
            )
        future = self._pool.submit(function, *args, **kwargs)
        result: T = in_thread(future.result)
        return result

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            in_thread(_shut_down, pool)


def _shut_down(pool: ProcessPoolExecutor) -> None:
    """Wait for the end of `pool`. That joins a thread, which enters this one, of the hub's own pool, in `threading`."""
    known = threading.get_ident() in vars(threading)["_active"]
    pool.shutdown()
    if not known:
        vars(threading)["_active"].pop(threading.get_ident(), None)


def in_own_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run `function` in a thread of the hub's pool, with the caller's context variables."""
    result: T = in_thread(copy_context().run, function, *args, **kwargs)
    return result
