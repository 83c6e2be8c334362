"""Law: each signal is heard at once, at whatever moment it comes, and who watches for signals already is left alone.

A signal between the loop's last look and its wait leaves no trace that the wait would end for. That moment can not be
aimed at; but a signal that another thread of the program takes is the same to the main thread, and can.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading

import pytest

from pyerlnode import Node, PortProgram
from pyerlnode.testing.patience import patience

COMMON = """
import os, signal, sys, threading
from pyerlnode import A, GenServer, Node, PortProgram, connect
import gevent

threading.Thread(target=threading.Event().wait, daemon=True).start()  # takes what the main thread does not
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"."))

def mask(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGINT])
    os.write(1, b"m")

signal.signal(signal.SIGUSR2, mask)

def up():
    "Called by the loop that waits: what interrupts the program then interrupts that."
    os.write(1, b"up")

def wait(receive):
    gevent.get_hub().loop.run_callback(up)
    receive()

def serve(wait):
    for _ in range(2):
        try:
            wait()
        except KeyboardInterrupt:
            pass
"""
PROGRAMS = {
    "Node": """
with Node("x@127.0.0.1", cookie="c", epmd="none", long_schedule=None) as node:
    serve(lambda: wait(node.receive))
    if not os.fork():
        os.write(1, b"none" if signal.set_wakeup_fd(-1) == -1 else b"set")
        os._exit(0)
    os.wait()
""",
    "PortProgram": """
read, write = os.pipe()
with PortProgram(descriptors=(read, os.dup(write))) as program:
    serve(lambda: wait(program.run))
print(end="none", flush=True)
""",
    "connect": """
class Server(GenServer):
    def handle_call(self, request, from_):
        up()
        gevent.sleep(10_000)
with connect(cookie="c", epmd="none", addresses={}) as node:
    serve(lambda: node.call(node.start(Server), A.x, None))
    print(end="none", flush=True)
    os._exit(0)
""",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_an_idle_program_hears_each_signal(kind: str) -> None:
    """The random moments first: each follows the answer to the one before, when the loop goes back to its wait.

    They are few where the main thread waits in turns: each that is missed takes one.
    """
    program = subprocess.Popen(
        [sys.executable, "-c", COMMON + PROGRAMS[kind]],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert program.stdout is not None
    end = threading.Timer(patience(), program.kill)  # then what is read is short
    end.start()
    try:
        assert program.stdout.read(2) == b"up"
        for _ in range(10 if kind == "connect" else 200):
            program.send_signal(signal.SIGUSR1)
            assert program.stdout.read(1) == b"."
            for _ in range(random.randrange(2_000)):
                pass
        after = (signal.SIGINT, b"up"), (signal.SIGUSR2, b"m"), (signal.SIGUSR1, b"."), (signal.SIGINT, b"none")
        for number, answer in after:
            program.send_signal(number)
            assert program.stdout.read(len(answer)) == answer
        assert program.wait() == 0
    finally:
        end.cancel()
        program.kill()
        program.communicate()


def wakeup_fd() -> int:
    found = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(found)
    return found


def node() -> Node:
    return Node(cookie="c", epmd="none")


def test_the_last_of_the_nodes_takes_the_descriptor_away() -> None:
    with node():
        ours = wakeup_fd()
        with node(), PortProgram(descriptors=os.pipe()):
            assert wakeup_fd() == ours >= 0
        assert wakeup_fd() == ours
        os.fstat(ours)
    assert wakeup_fd() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ours)


def test_a_descriptor_that_is_set_stays_and_so_does_one_that_is_set_later() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        try:
            signal.set_wakeup_fd(one.fileno())
            with node():
                assert wakeup_fd() == one.fileno()
            assert wakeup_fd() == one.fileno()
            signal.set_wakeup_fd(-1)
            with node():
                signal.set_wakeup_fd(one.fileno())
            assert wakeup_fd() == one.fileno()
        finally:
            signal.set_wakeup_fd(-1)


def test_a_node_in_another_thread_sets_none() -> None:
    found = []

    def run() -> None:
        with node() as opened:
            opened.system.scheduler.pause()
            ready.set()
            assert seen.wait(patience())
        found.append(opened.name)

    ready, seen = threading.Event(), threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(patience())
    assert wakeup_fd() == -1
    seen.set()
    thread.join()
    assert found


def test_a_fork_behind_the_end_of_the_last_node_keeps_the_descriptors_that_others_have_now() -> None:
    with Node("gone@127.0.0.1", cookie="c", epmd="none"):
        pass
    pipes = [os.pipe() for _ in range(4)]  # the numbers that were free
    child = os.fork()
    if not child:
        try:
            for pipe in pipes:
                for descriptor in pipe:
                    os.fstat(descriptor)
        except OSError:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    for pipe in pipes:
        for descriptor in pipe:
            os.close(descriptor)
    assert status == 0
