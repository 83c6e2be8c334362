"""A child that fails again and again, under a supervisor that never gives up, and the others of its node."""

import gevent
import pytest

from pyerlnode import A, Continue, GenServer, Reply
from pyerlnode.errors import StartFailed
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime.scheduler import SLICE
from pyerlnode.runtime.system import System

NEVER = 10**12
CALLS = 10


class Broken:
    """How often it was tried, and whether it starts."""

    def __init__(self):
        self.tries = 0
        self.starts = True


class FailsInInit(GenServer):
    def init(self, broken):
        broken.tries += 1
        if not broken.starts:
            raise StartFailed(A.broken, "no")


class CrashesAtOnce(GenServer):
    def init(self, broken):
        broken.tries += 1
        self.broken = broken
        return Continue(A.crash)

    def handle_continue(self, value):
        if not self.broken.starts:
            self.process.exit(A.crashed)


class Other(GenServer):
    def handle_call(self, request, from_):
        return Reply(request)


@pytest.fixture
def system(caplog):
    caplog.set_level("CRITICAL")
    system = System("t@local", 7)
    system.adopt().trap_exit = True
    yield system
    system.stop()
    gevent.sleep(0)


def static(strategy):
    def start(system, child):
        sup = Supervisor.start_link(
            [Other, child, child_spec(Other, id=A.last)],
            strategy=strategy,
            max_restarts=NEVER,
            max_seconds=0.001,  # nothing is kept of a restart
            on=system,
        )
        return sup, next(pid for id, pid, _, _ in Supervisor.which_children(sup, on=system) if id is A.broken)

    return start


def pool(system, child):
    sup = Supervisor.start_link(
        [child], strategy="simple_one_for_one", max_restarts=NEVER, max_seconds=0.001, on=system
    )
    return sup, Supervisor.start_child(sup, [], on=system)


def dynamic(system, child):
    sup = DynamicSupervisor.start_link(max_restarts=NEVER, max_seconds=0.001, on=system)
    return sup, DynamicSupervisor.start_child(sup, child, on=system)


KINDS = [static("one_for_one"), static("one_for_all"), static("rest_for_one"), pool, dynamic]
NAMES = ["one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one", "dynamic"]


@pytest.mark.parametrize("start", KINDS, ids=NAMES)
@pytest.mark.parametrize("child", [FailsInInit, CrashesAtOnce])
def test_others_and_the_supervisor_itself_answer_meanwhile(system, start, child):
    broken = Broken()
    other = gen_server.start(system, Other)
    sup, pid = start(system, child_spec(child, broken, id=A.broken))
    broken.starts = False
    system.exit(pid, A.kill)
    for asked in (other, sup):
        most = 0
        for _ in range(CALLS):
            before = broken.tries
            gen.call(system, asked, A.count_children, 60.0)
            most = max(most, broken.tries - before)
        assert most <= 2 * SLICE, "a call waits for two slices of the supervisor at most"
    assert broken.tries > CALLS, "it was tried all the time"
    broken.starts = True
    counts = dict(gen.call(system, sup, A.count_children, 60.0))
    while counts[A.active] != counts[A.workers]:
        counts = dict(gen.call(system, sup, A.count_children, 60.0))
    gen.stop(system, sup, timeout=60.0)
