"""Turns of the hub: each lets what is ready run, and what a turn of the scheduler left for the one after it."""

import gevent


def turns(count: int) -> None:
    """Wait for so many rounds of the loop; a bare ``gevent.sleep(0)`` may come back before it has made one."""
    hub = gevent.get_hub()
    for _ in range(count):
        with hub.loop.timer(0.0) as timer:
            hub.wait(timer)
        gevent.sleep(0)
