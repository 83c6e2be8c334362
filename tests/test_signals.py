"""Law: Ctrl-C and a handler of a signal end the program, whatever runs just then; ``sys.exit()`` in a handler does not.

Each program here is an OS process of its own, and gets a true signal.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyerlnode.testing.patience import patience

COMMON = """
import os, signal, sys, time
import gevent
import pyerlnode.facade
from pyerlnode import A, GenServer, NoReply, Node, Reply, connect
from pyerlnode.errors import ServerExit

def say(word):
    print(word, flush=True)

class Server(GenServer):
    def handle_call(self, request, from_):
        match request:
            case A.exit: sys.exit(3)
            case A.interrupt: raise KeyboardInterrupt
        return Reply(A.ok)

    def handle_cast(self, request):
        match request:
            case A.compute:
                say("up")
                while True: pass
            case A.sleep:
                say("up")
                gevent.sleep(1000)

def compute():
    say("up")
    while True: pass

def refused(call):
    try:
        call()
    except ServerExit as error:
        return error.reason[0][1].decode()
"""
NODE = """
with Node("x@127.0.0.1", cookie="c", epmd="none") as node:
    try:
        server = node.start(Server)
        {act}
        node.receive()
    except KeyboardInterrupt:
        say("interrupted")
    finally:
        say("leaves")
say("ended")
"""
CLUSTER = """
pyerlnode.facade.STOP_TIMEOUT = 1.0
with connect(cookie="c", epmd="none", addresses={{}}) as node:
    try:
        server = node.start(Server)
        {act}
        while True: time.sleep(0.1)  # of a signal that comes just before it sleeps Python takes notice after it
    except KeyboardInterrupt:
        say("interrupted")
    finally:
        say("leaves")
say("ended")
"""
ACTS = {
    "idle": 'say("up")',
    "a handler waits": "node.cast(server, A.sleep)",
    "a handler computes": "node.cast(server, A.compute)",
    "a process computes": "node.spawn(compute)",
}


@contextmanager
def running(source: str) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join(filter(None, sys.path))
    program = subprocess.Popen(
        [sys.executable, "-c", COMMON + source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def ends(program: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[list[str], str]:
    """What it says from the moment on in which it is up and gets the signal."""
    assert program.stdout is not None
    assert program.stdout.readline() == "up\n", program.communicate()
    program.send_signal(number)
    said, errors = program.communicate(timeout=patience())
    return said.split(), errors


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
@pytest.mark.parametrize("program", [NODE, CLUSTER], ids=["Node", "connect"])
def test_ctrl_c_ends_the_program_whatever_runs(program: str, act: str) -> None:
    with running(program.format(act=act)) as ran:
        said, _ = ends(ran)
        assert said == ["interrupted", "leaves", "ended"]
        assert ran.returncode == 0


def test_system_exit_of_a_signals_handler_ends_the_program_while_a_handler_computes() -> None:
    act = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); node.cast(server, A.compute)"
    with running(NODE.format(act=act)) as ran:
        said, _ = ends(ran, signal.SIGTERM)
        assert said == ["leaves"]
        assert ran.returncode == 7


def test_a_handler_of_ctrl_c_that_raises_ends_the_program_too() -> None:
    """As a framework puts it in the place of Python's own; it raises by a statement."""
    act = "signal.signal(signal.SIGINT, stop); node.cast(server, A.compute)"
    handler = "\ndef stop(number, frame):\n    raise KeyboardInterrupt\n"
    with running(handler + NODE.format(act=act)) as ran:
        said, _ = ends(ran)
        assert said == ["interrupted", "leaves", "ended"]


RAISES = """
        import logging
        logging.basicConfig()
        for request, kind in ((A.exit, "SystemExit"), (A.interrupt, "KeyboardInterrupt")):
            doomed = node.start(Server)
            assert refused(lambda: node.call(doomed, request, 30)) == kind
            node.spawn(sys.exit, 1)
            assert node.call(server, A.x, 30) is A.ok
        say("alive")
"""


@pytest.mark.parametrize("program", [NODE, CLUSTER], ids=["Node", "connect"])
def test_what_a_handler_raises_by_itself_ends_its_process_only(program: str) -> None:
    waits = "node.receive()" if program is NODE else "while True: time.sleep(0.1)"
    source = program.replace("        {act}\n", RAISES).replace(waits, "pass").replace("{{}}", "{}")
    with running(source) as ran:
        said, errors = ran.communicate(timeout=patience())
        assert said.split() == ["alive", "leaves", "ended"], errors
        assert ran.returncode == 0
        assert "SystemExit: 3" in errors


PORT = """
from pyerlnode import PortProgram
read, write = os.pipe()
with PortProgram(descriptors=(read, os.dup(write))) as program:
    try:
        server = program.start(Server)
        doomed = program.start(Server)
        assert refused(lambda: program.call(doomed, A.exit, 30)) == "SystemExit"
        program.cast(server, A.compute)
        program.run()
    except KeyboardInterrupt:
        say("interrupted")
say("ended")
"""


def test_port_mode_likewise() -> None:
    with running(PORT) as ran:
        said, _ = ends(ran)
        assert said == ["interrupted", "ended"]
