"""Two nodes in memory, as a user's tests have them: the fixture `node_pair` and its assertions."""

import pytest

from pyerlnode.errors import CallTimeout, NodeDown
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.runtime.api import receive
from pyerlnode.term import A
from pyerlnode.testing.pair import NodePair


class Counter(GenServer):
    def init(self, start):
        self.value = start

    def handle_call(self, request, from_):
        if request is A.never:
            return NoReply()
        self.value += 1
        return Reply(self.value)


@pytest.fixture
def pair(request):
    with NodePair(**getattr(request, "param", {})) as made:
        yield made


def test_a_call_crosses_to_the_other_node(pair):
    pair.right.start(Counter, 41, name="counter")
    assert pair.left.call(("counter", pair.right.name), A.next) == 42


def test_the_test_receives_on_both_nodes(pair):
    pair.left.send(pair.right.self_(), (A.hello, 1))
    pair.right.send(pair.left.self_(), (A.hello, 2))
    assert pair.right.assert_received((A.hello, int)) == (A.hello, 1)
    assert pair.left.assert_received((A.hello, int)) == (A.hello, 2)
    pair.left.assert_nothing_received()
    with pytest.raises(AssertionError, match="nothing that matches"):
        pair.left.assert_received((A.hello, int))


def test_a_message_that_was_not_wanted_is_named(pair):
    pair.left.send(pair.right.self_(), A.surprise)
    pair.run_until_idle()
    with pytest.raises(AssertionError, match="surprise"):
        pair.right.assert_nothing_received()
    with pytest.raises(AssertionError, match=r"but .*surprise"):
        pair.right.assert_received(A.other)


@pytest.mark.parametrize("by", ["pid", "reference"])
def test_a_down_is_asserted_by_its_pid_or_its_reference(pair, by):
    pid = pair.right.start(Counter, 0)
    ref = pair.left.monitor(pid)
    with pytest.raises(AssertionError, match="no DOWN of"):
        pair.left.assert_down(pid)
    pair.right.exit(pid, A.kill)
    what = pid if by == "pid" else ref
    assert pair.left.assert_down(what, A.killed) == (A.DOWN, ref, A.process, pid, A.killed)


def test_an_exit_of_a_linked_process_is_asserted_with_its_reason(pair):
    pid = pair.right.spawn(receive)
    pair.left.link(pid)
    pair.run_until_idle()
    pair.right.exit(pid, A.boom)
    with pytest.raises(AssertionError, match=r"no EXIT of .* with .*other"):
        pair.left.assert_exit(pid, A.other)
    pair.left.assert_exit(pid, A.boom)


def test_a_cut_is_the_noconnection_of_every_monitor(pair):
    pid = pair.right.start(Counter, 0)
    pair.left.monitor(pid)
    pair.run_until_idle()
    pair.cut()
    pair.left.assert_down(pid, A.noconnection)
    with pytest.raises(NodeDown):
        pair.left.call(pid, A.next)
    pair.mend()
    assert pair.left.call(pid, A.next) == 1


@pytest.mark.parametrize("pair", [{"seed": 3, "delay": 0.2, "dribble": 1}], indirect=True)
def test_time_passes_only_as_far_as_an_assertion_allows(pair):
    start = pair.simulation.clock.now()
    pair.left.send(pair.right.self_(), A.late)
    pair.right.assert_nothing_received()
    with pytest.raises(AssertionError):
        pair.right.assert_received(A.late, within=0.1)
    pair.right.assert_received(A.late, within=60)
    assert 0.2 <= pair.simulation.clock.now() - start < 0.3


def test_a_time_out_of_minutes_is_reached_at_once(pair):
    pid = pair.right.start(Counter, 0)
    with pytest.raises(CallTimeout):
        pair.run(pair.left.call, pid, A.never, 600.0)
