"""What a peer's monitors leave in the tables, whatever it sends."""

from pyerlnode.runtime.system import System
from pyerlnode.signal import Demonitor, Monitor
from pyerlnode.term import A, Pid, Reference

THEIRS = Pid(A["peer@127.0.0.1"], 7, 0, 9)


class Route(list):
    send = list.append


def test_a_monitor_and_its_end_leave_nothing_behind():
    system = System("own@127.0.0.1", 3)
    peer, one, other = system.peer(THEIRS.node), system.spawn_handler(object()), system.spawn_handler(object())
    peer.route = route = Route()
    ref = Reference(THEIRS.node, 9, (1, 2, 3))
    peer.deliver(Monitor(THEIRS, one.pid, ref))
    assert [watcher.pid for watcher in one.monitored_by.values()] == [THEIRS]
    peer.deliver(Monitor(THEIRS, other.pid, ref))  # the same reference: the later one counts
    assert not one.monitored_by
    one.exit(A.normal)
    assert route == []
    peer.deliver(Demonitor(THEIRS, other.pid, ref))
    peer.deliver(Demonitor(THEIRS, other.pid, ref))
    assert not other.monitored_by
    assert not peer.watchers
    peer.deliver(Monitor(THEIRS, other.pid, ref))
    other.exit(A.bye)
    assert [(signal.to, signal.ref, signal.reason) for signal in route] == [(THEIRS, ref, A.bye)]
    assert not peer.watchers
    system.stop()
