"""A node behind a thread: any thread may call, nothing is patched, and closing leaves nothing."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import gevent
import pytest

import pyerlnode
from pyerlnode import A, Cluster, ConnectError, GenServer, Reply, UsageError, facade
from pyerlnode.facade import HubThread, own_name
from pyerlnode.testing.patience import patience


class Echo(GenServer):
    def handle_call(self, request, from_):
        return Reply(request)


def hub_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pyerlnode-hub"]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert hub_threads() == []


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with pyerlnode.connect(cookie="c", epmd="none", addresses={}) as cluster:
        yield cluster


def test_every_thread_may_call(cluster):
    cluster.start(Echo, name="echo")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: cluster.call("echo", n), range(200))) == list(range(200))


def test_the_node_runs_while_the_program_waits(cluster):
    done = threading.Event()
    cluster.spawn(done.set)
    assert done.wait(patience())


def test_an_error_of_a_call_is_raised_in_the_caller(cluster):
    with pytest.raises(pyerlnode.NoProc):
        cluster.call("nobody", A.x)


def test_a_node_that_can_not_be_reached_is_a_clear_error_and_leaves_nothing():
    with pytest.raises(ConnectError, match=r"not in the map of addresses"):
        pyerlnode.connect("app@127.0.0.1", cookie="c", epmd="none", addresses={})


def test_sending_without_waiting_says_whether_it_was_sent(cluster):
    got = threading.Event()
    pid = cluster.spawn(lambda: (pyerlnode.receive(), got.set()))
    assert cluster.send_nosuspend(pid, A.hello) is True
    assert got.wait(patience())
    away = pyerlnode.Pid(A["app@127.0.0.1"], 5, 0, 1)
    assert cluster.send_nosuspend(away, A.hello, noconnect=True) is False
    assert cluster.send_nosuspend(away, A.hello) is True  # dropped, as what OTP sends to a node that is not there


def test_run_gives_the_node_to_a_function_in_the_hub(cluster):
    assert cluster.run(lambda node, x: (node.name, x), 5) == (cluster.name, 5)


def test_a_call_from_inside_the_hub_does_not_wait_for_itself(cluster):
    assert cluster.run(lambda node: cluster.nodes()) == []


def test_closed_twice_and_used_afterwards(cluster):
    cluster.close()
    cluster.close()
    with pytest.raises(UsageError, match="closed"):
        cluster.nodes()


def test_an_interrupted_caller_ends_its_job(monkeypatch):
    hub = HubThread()
    try:
        began, ended = threading.Event(), threading.Event()

        def job() -> None:
            import gevent

            began.set()
            try:
                gevent.sleep(60)
            finally:
                ended.set()

        def interrupted(self, timeout=None):  # `run` waits by it
            began.wait(patience())
            raise KeyboardInterrupt

        monkeypatch.setattr("pyerlnode.facade.Future.exception", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hub.run(job)
        assert ended.wait(patience())
    finally:
        hub.stop()


@pytest.mark.parametrize(("peer", "host"), [("app@127.0.0.1", "127.0.0.1"), ("app@localhost", "localhost")])
def test_an_own_name_is_on_loopback_like_the_peers(peer, host):
    name = own_name(peer)
    assert name is not None
    assert name.partition("@")[2] == host


def test_an_own_name_is_short_for_a_short_peer():
    name = own_name("app@somewhere")
    assert name is not None
    assert "." not in name.partition("@")[2]


def test_an_exit_in_any_greenlet_of_the_hub_leaves_the_hub_running(cluster, caplog):
    def leaves(node):
        for what in (sys.exit, lambda: raise_(KeyboardInterrupt()), lambda: raise_(SystemError())):
            gevent.spawn(what)
        gevent.sleep(0)

    cluster.run(leaves)
    cluster.start(Echo, name="echo")
    assert cluster.call("echo", 1) == 1


def raise_(error):
    raise error


def test_a_hub_that_is_blocked_does_not_keep_the_program(monkeypatch, caplog):
    monkeypatch.setattr(facade, "STOP_TIMEOUT", 0.2)
    go_on = threading.Event()
    blocked = threading.Event()
    with pyerlnode.connect(cookie="c", epmd="none", addresses={}) as cluster:
        cluster.spawn(lambda: (blocked.set(), go_on.wait()))
        assert blocked.wait(patience())
    assert "was not stopped in order" in caplog.text
    go_on.set()
    for thread in hub_threads():
        thread.join(patience())
