"""When the hub stays awake for the next packet, and when it does not."""

import subprocess
import sys

import pytest

from pyerlnode.net.busy_wait import AWAKE, BusyWait


class Idle:
    """A loop with one idle watcher, and a clock."""

    def __init__(self):
        self.now = 0.0
        self.callback = None
        self.closed = False
        self.pendingcnt = 0
        self._callbacks = []
        self.pauses = 0
        self.wait = BusyWait(self, lambda: self.now, self.pause)

    def pause(self, seconds):
        assert seconds < 1e-5
        self.now += 5e-5
        self.pauses += 1

    def idle(self):
        return self

    def start(self, callback):
        assert self.callback is None
        self.callback = callback

    def stop(self):
        self.callback = None

    def close(self):
        self.closed = True

    def packets(self, count, gap, signals=1):
        """So many packets, each so many seconds after the one before; how many found the hub awake."""
        awake = 0
        for _ in range(count):
            if self.callback is not None and gap >= AWAKE:
                self.now += AWAKE * 1.01
                self.callback()
                self.now += gap - AWAKE * 1.01
            else:
                self.now += gap
                if self.callback is not None:
                    self.callback()
            awake += self.callback is not None
            self.wait.woke()
            self.wait.rest(signals)
        return awake


def test_quick_packets_keep_the_hub_awake_and_silence_lets_it_sleep():
    loop = Idle()
    assert loop.packets(10, AWAKE / 3) == 0
    loop.packets(90, AWAKE / 3)
    assert loop.packets(1000, AWAKE / 3) == 1000
    loop.now += AWAKE * 1.01
    loop.callback()
    assert loop.callback is None
    assert not loop.wait.spinning


def test_a_packet_now_and_then_never_keeps_it_awake():
    loop = Idle()
    assert loop.packets(1000, 2 * AWAKE) == 0
    assert loop.callback is None


def test_it_sleeps_when_one_of_four_is_late_and_not_for_one_of_twenty():
    loop = Idle()
    loop.packets(200, AWAKE / 3)
    assert sum(loop.packets(19, AWAKE / 3) + loop.packets(1, 2 * AWAKE) for _ in range(100)) > 1700
    assert sum(loop.packets(3, AWAKE / 3) + loop.packets(1, 2 * AWAKE) for _ in range(100)) < 40


def test_closed_it_sleeps():
    loop = Idle()
    loop.packets(100, AWAKE / 3)
    loop.wait.close()
    loop.wait.close()
    assert loop.closed
    assert loop.callback is None
    BusyWait(loop).close()


def test_many_signals_in_each_packet_are_gathered_by_short_sleeps():
    loop = Idle()
    loop.packets(5000, 1e-6, signals=100)
    assert loop.pauses > 20


@pytest.mark.parametrize(("descriptors", "greenlets"), [(1, 0), (0, 1)])
def test_the_hub_does_not_pause_while_something_else_is_ready(descriptors, greenlets):
    loop = Idle()
    loop.pendingcnt = descriptors
    loop._callbacks = [None] * greenlets
    loop.packets(5000, 1e-6, signals=100)
    assert not loop.pauses


IN_A_PATCHED_PROGRAM = """
from gevent import monkey
monkey.patch_all()
import gevent
from pyerlnode.net.busy_wait import BusyWait
hub = gevent.get_hub()
ended = []

class Patched:
    pendingcnt, _callbacks = 0, ()
    idle = staticmethod(hub.loop.idle)

def packets():
    wait = BusyWait(Patched())
    for _ in range(100_000):
        wait.woke()
        wait.rest(100)
        if wait._moderation.pausing:
            ended.append(True)
            break
    wait.rest(100)
    wait.close()

hub.loop.run_callback(packets)
gevent.sleep(0.1)
assert ended, "it never paused"
print("paused in the hub")
"""


def test_the_pause_is_one_of_the_system_though_a_program_has_patched_sleep():
    done = subprocess.run([sys.executable, "-c", IN_A_PATCHED_PROGRAM], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("paused in the hub\n", "")
