"""Whatever a test of this room starts, it has stopped at its end."""

import gc
from collections.abc import Iterator

import gevent
import pytest

from pyerlnode.testing.patience import patience


def alive() -> set[int]:
    return {id(thing) for thing in gc.get_objects() if isinstance(thing, gevent.Greenlet) and not thing.dead}


def open_sockets() -> int:
    gc.collect()
    return sum(isinstance(thing, gevent.socket.socket) and thing.fileno() != -1 for thing in gc.get_objects())


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves a greenlet or an open socket behind."""
    greenlets, sockets = alive(), open_sockets()
    yield
    with gevent.Timeout(patience(), AssertionError("the test left a greenlet or a socket behind")):
        while alive() - greenlets or open_sockets() > sockets:
            gevent.idle()
