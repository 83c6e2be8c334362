"""Law: a fork has nothing of the nodes that were made before it, and says so; the parent feels nothing of it.

Each program here is an OS process of its own, since it forks. What it says comes on one line.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyerlnode import A, Node
from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

COMMON = """
import logging, os, signal, sys
from multiprocessing import get_context
import gevent
import pyerlnode
from pyerlnode import A, GenServer, MadeBeforeFork, Node, Reply

PARENT = os.getpid()

def say(*words):
    print(*words, flush=True)

def ended(pid):
    "Waits for a fork as a program on gevent does."
    while True:
        try:
            one, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # gevent, which watches the children of the main thread, was quicker
            return None
        if one:
            return os.waitstatus_to_exitcode(status)
        gevent.sleep(0.005)

def refused(job):
    try:
        return job()
    except MadeBeforeFork as error:
        assert "made before the fork" in str(error), error
        return "refused"

class Server(GenServer):
    def init(self):
        self.process.trap_exit = True
    def handle_call(self, request, from_):
        if request is A.fork:
            pid = os.fork()
            if not pid:
                return Reply(A.child)
            return Reply(ended(pid))
        return Reply(request)
    def terminate(self, reason):
        say("terminate", os.getpid() == PARENT)

def sockets():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                found.append(name)
        except FileNotFoundError:
            pass
    return len(found)

ports = {}
options = dict(cookie="c", epmd="none", addresses=ports)
"""
TWO = """
with Node("one@127.0.0.1", **options) as node, Node("two@127.0.0.1", **options) as other:
    for one in (node, other):
        ports[one.name] = ("127.0.0.1", one.port)
    there = other.start(Server)
    here = node.start(Server)
    assert node.call(there, 1) == 1
"""


def run(source: str) -> list[str]:
    """What the program says until it has ended, in order."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + source], capture_output=True, text=True, timeout=patience(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def running(source: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    program = subprocess.Popen(
        [sys.executable, "-c", COMMON + source], stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def test_a_fork_has_no_socket_of_the_nodes_and_each_use_of_them_is_a_clear_error():
    said = run(
        TWO
        + """
    def fork():
        for job in (lambda: node.call(here, 1), lambda: node.call(there, 1), lambda: node.send(there, 1), node.nodes,
                    lambda: node.start(Server), lambda: node.spawn(say), lambda: node.connect("x@127.0.0.1"),
                    lambda: node.link(here), lambda: node.rpc(other.name, "m", "f"), lambda: node.pg.join("g", here)):
            assert refused(job) == "refused"
        assert not node.stop().asked
        gevent.sleep(0.01)
        say("fork has", sockets())
    process = get_context("fork").Process(target=fork)
    process.start()
    while process.is_alive():
        gevent.sleep(0.005)
    say(process.exitcode, node.call(there, 2), sockets() > 0)
"""
    )
    assert said == ["fork has 0", "0 2 True", "terminate True", "terminate True"]


def test_the_end_of_a_fork_that_leaves_the_blocks_of_the_parent_ends_nothing_of_it():
    said = run(
        TWO
        + """
    pid = os.fork()
    if pid:
        assert ended(pid) == 0
        say("parent", node.call(there, 3), node.call(here, 4), other.nodes("connected"))
"""
    )
    assert said == ["parent 3 4 ['one@127.0.0.1']", "terminate True", "terminate True"]


def test_a_fork_in_a_callback_answers_nobody_and_runs_no_terminate():
    said = run(
        TWO
        + """
    logging.disable()
    try:
        say(node.call(here, A.fork), node.call(there, A.fork), node.call(there, 5))
    except MadeBeforeFork:  # in the fork, where what the main greenlet waits for never comes
        assert os.getpid() != PARENT
        os._exit(9)
"""
    )
    assert said == ["9 9 5", "terminate True", "terminate True"]


def test_a_fork_may_open_a_node_of_its_own():
    said = run(
        TWO
        + """
    pid = os.fork()
    if not pid:
        with Node("three@127.0.0.1", **options) as mine:
            say(mine.call(("net_kernel", other.name), (A.is_auth, mine.system.node)), mine.nodes())
            os._exit(0)
    assert ended(pid) == 0
"""
    )
    assert said == ["yes ['two@127.0.0.1']", "terminate True", "terminate True"]


def test_a_connection_made_before_the_fork_of_a_web_server_refuses_and_hangs_nobody():
    """gunicorn with --preload imports the application, and with it the connection, and forks then."""
    said = run(
        """
cluster = pyerlnode.connect(**options)
pid = cluster.start(Server)
assert cluster.call(pid, 1) == 1
if not (fork := os.fork()):
    say(refused(lambda: cluster.call(pid, 1)), refused(lambda: cluster.run(lambda node: 1)))
    cluster.close()
    with pyerlnode.connect(cookie="c", epmd="none", addresses={}) as mine:
        say(mine.call(mine.start(Server), 2))
    sys.exit(0)
os.waitpid(fork, 0)
say(cluster.call(pid, 3))
cluster.close()
"""
    )
    assert said == ["refused refused", "2", "terminate False", "3", "terminate True"]


def test_a_coroutine_that_uses_a_connection_of_the_parent_is_refused():
    said = run(
        """
import asyncio
from pyerlnode import aio
async def main():
    return await aio.connect(**options)
cluster = asyncio.run(main())
if not os.fork():
    try:
        asyncio.run(cluster.call("x", 1))
    except MadeBeforeFork:
        say("refused")
    asyncio.run(cluster.close())
    os._exit(0)
os.wait()
asyncio.run(cluster.close())
"""
    )
    assert said == ["refused"]


@pytest.mark.parametrize("opened", ["Node", "connect"])
def test_peers_hear_of_the_parents_end_and_its_name_is_free_while_a_fork_lives(opened):
    server = EpmdServer(0).start()
    source = f"""
options = dict(cookie="c", epmd_port={server.port})
node = Node("forks@127.0.0.1", **options).open() if "{opened}" == "Node" else pyerlnode.connect(name="forks@127.0.0.1", **options)
node.ping("watch@127.0.0.1")
process = get_context("fork").Process(target=signal.pause)
process.start()
say(process.pid)
while True:
    gevent.sleep(1)
"""  # noqa: E501
    options = {"cookie": "c", "epmd_port": server.port}
    try:
        with Node("watch@127.0.0.1", **options) as node, running(source) as program:
            node.monitor_nodes(info=False)
            node.receive((A.nodeup, A["forks@127.0.0.1"]), timeout=patience())
            assert program.stdout is not None
            fork = int(program.stdout.readline())
            try:
                program.kill()
                node.receive((A.nodedown, A["forks@127.0.0.1"]), timeout=patience(20))
                wait_for(lambda: "forks" not in [name for name, _ in node._epmd.names()])
                with Node("forks@127.0.0.1", **options) as again:
                    assert again.ping(node.name)
                os.kill(fork, 0)  # it is there still
            finally:
                os.kill(fork, signal.SIGKILL)
    finally:
        server.stop()


@pytest.mark.parametrize("where", ["Node", "connect"])
@pytest.mark.parametrize("handled", [False, True], ids=["", "SIGCHLD is the program's"])
def test_the_death_of_a_worker_is_told_while_a_fork_lives_whoever_handles_the_signal(where, handled):
    said = run(
        f"""
from pyerlnode.workers.worker import Worker
if "{where}" == "Node":
    cluster = Node("w@127.0.0.1", **options).open()
    run = lambda job: job(cluster)
else:
    cluster = pyerlnode.connect(**options)
    run = cluster.run
pid = run(lambda node: node.start(Worker, "interop_tests.worker_targets:misbehave"))
os_pid = cluster.call(pid, A.pid)
if {handled}:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
fork = get_context("fork").Process(target=signal.pause)
fork.start()
def watch(node):
    ref = node.monitor(pid)
    os.kill(os_pid, signal.SIGKILL)
    return node.receive((A.DOWN, ref, A.process, pid, pyerlnode.ANY), timeout=50)[4]
say(run(watch), fork.is_alive())
fork.kill()
fork.join()
(cluster.stop if "{where}" == "Node" else cluster.close)()
"""
    )
    assert said == ["(A.os_signal, A.sigkill) True"]


def test_a_fork_ends_no_worker_of_the_parent():
    said = run(
        TWO
        + """
    from pyerlnode.workers import os_process
    from pyerlnode.workers.worker import Worker
    os_process.REAP = 0.02  # what the keeper of a worker gives it, before it kills it
    worker = node.start(Worker, "interop_tests.worker_targets:misbehave")
    os_pid = node.call(worker, A.pid)
    if not (pid := os.fork()):
        logging.disable()
        gevent.sleep(10 * os_process.REAP)
        os._exit(0)
    ended(pid)
    say(node.call(worker, A.pid) == os_pid)
"""
    )
    assert said[0] == "True"


def test_multiprocessing_forks_for_this_program_unless_told_otherwise():
    """Else these tests would hold something that nobody meets."""
    assert "fork" in multiprocessing.get_all_start_methods()
