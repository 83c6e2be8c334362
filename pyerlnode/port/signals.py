"""Programs that serve until they are told to end: by SIGTERM, as service managers do, or by Ctrl-C.

with Node("counter@127.0.0.1") as node:
    node.start(Counter, name="counter")
    node.run_forever()
"""

from __future__ import annotations

import signal
import threading

import gevent
from gevent.event import Event

from pyerlnode.errors import UsageError
from pyerlnode.runtime.edges import edge


def wait_for_signal(*numbers: int) -> int:
    """Let the greenlets of this thread run until one of `numbers` comes (SIGTERM and SIGINT unless given); gives it.

    The handlers are then as they were: a second signal does what it does to any program.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("signals come to the main thread: wait for them there")
    told = Event()
    heard: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)
        told.set()

    wanted = numbers or (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in wanted}
    watchers = [gevent.signal_handler(number, edge(hear), number) for number in wanted]
    try:
        told.wait()
    finally:
        for watcher in watchers:
            watcher.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    return heard[0]
