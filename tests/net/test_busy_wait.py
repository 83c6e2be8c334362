"""When the hub stays awake for the next packet, and when it does not."""

from pyerlnode.net.busy_wait import FIRST, MOST, PAYS, SPIN, WORTH, BusyWait


class Idle:
    """A loop with one idle watcher, and a clock."""

    def __init__(self):
        self.now = 0.0
        self.callback = None
        self.closed = False
        self.wait = BusyWait(self, lambda: self.now)

    def idle(self):
        return self

    def start(self, callback):
        assert self.callback is None
        self.callback = callback

    def stop(self):
        self.callback = None

    def close(self):
        self.closed = True

    def packets(self, count, gap):
        """So many packets, each so many seconds after the one before; how many found the hub awake."""
        awake = 0
        for _ in range(count):
            if self.callback is not None and gap >= SPIN:
                self.now += SPIN * 1.01
                self.callback()
                self.now += gap - SPIN * 1.01
            else:
                self.now += gap
                if self.callback is not None:
                    self.callback()
            awake += self.callback is not None
            self.wait.woke()
            self.wait.rest()
        return awake


def test_quick_packets_keep_the_hub_awake_and_silence_lets_it_sleep():
    loop = Idle()
    assert loop.packets(FIRST, WORTH / 3) == 0
    assert loop.packets(1000, WORTH / 3) >= 999
    loop.now += SPIN * 1.01
    loop.callback()
    assert loop.callback is None
    assert not loop.wait.spinning


def test_a_packet_now_and_then_never_keeps_it_awake():
    loop = Idle()
    assert loop.packets(1000, 2 * WORTH) == 0
    assert loop.callback is None


def test_waiting_in_vain_becomes_rare():
    loop = Idle()
    vain = 0
    for _ in range(10_000):
        before = loop.wait.spinning
        loop.packets(1, (SPIN + WORTH) / 2)  # quick enough to try, and always too late
        vain += before
    assert vain <= 12
    loop.packets(MOST + 1, WORTH / 3)
    assert loop.packets(PAYS + MOST, WORTH / 3) == PAYS + MOST


def test_closed_it_sleeps():
    loop = Idle()
    loop.packets(100, WORTH / 3)
    loop.wait.close()
    loop.wait.close()
    assert loop.closed
    assert loop.callback is None
    BusyWait(loop).close()
