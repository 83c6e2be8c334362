"""The steps of the demo, in their order. Each one is what a program does, and `verify` says what must be seen."""

from __future__ import annotations

import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.lock import Semaphore

from pyerlnode import A, GenServer, Node, NoProc, NoReply, Pid, Reply, process_flag, receive, self_
from pyerlnode.errors import PyerlnodeError
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.term.text import format_term
from pyerlnode.tools.demo.peers import Kind, Peer
from pyerlnode.tools.demo.report import NotVerified, Report, verify

WAIT = 5.0


class Counter(GenServer):
    """The Python side's server, registered as `counter`."""

    def init(self, start: int = 0) -> None:
        self.value = start

    def handle_call(self, request: Any, from_: Any) -> Reply:
        match request:
            case (A.add, int(n)):
                self.value += n
                return Reply(self.value)
            case A.pid:
                return Reply(self_())
            case _:
                return Reply(self.value)

    def handle_cast(self, request: Any) -> NoReply:
        if request is A.crash:
            raise RuntimeError("the counter lost count")
        return NoReply()


def double(n: int) -> int:
    """Exported as ``demo:double/1``."""
    return 2 * n


def play(kind: Kind, report: Report) -> None:
    """Run the steps; the first that is not verified is the last (its line says why)."""
    suffix = secrets.token_hex(4)
    ours, theirs, cookie = f"demo_py_{suffix}@127.0.0.1", f"demo_peer_{suffix}@127.0.0.1", secrets.token_hex(16)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="pyerlnode-demo-") as directory,
            _undisturbed_end(),
            _epmd(report) as epmd,
        ):
            home = Path(directory)
            _write_cookie(home, cookie)
            with _node(ours, cookie, epmd, report) as node:
                scenario = Scenario(node, theirs, lambda: Peer(kind, theirs, home, epmd.port), report)
                try:
                    scenario.play()
                finally:
                    scenario.end()
            with report.step("nothing is left behind") as step:
                left = epmd_names(epmd)
                verify(not left, f"still registered at EPMD: {left}")
                step.seen = "no names at EPMD, no OS process"
    except PyerlnodeError:
        if not report.steps or report.steps[-1].verified:
            raise  # not one of the steps: the command line tells it


# --- what stands at the beginning and is gone at the end -----------------------------------------
@contextmanager
def _undisturbed_end() -> Iterator[None]:
    """No signal interrupts what is left to do after the block: half of it would be left behind."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _write_cookie(home: Path, cookie: str) -> None:
    file = home / ".erlang.cookie"
    file.touch(mode=0o600)
    file.write_text(cookie)
    file.chmod(0o400)


@contextmanager
def _epmd(report: Report) -> Iterator[EpmdServer]:
    with report.step("EPMD, embedded, on a port of its own") as step:
        server = EpmdServer(0, ("127.0.0.1",)).start()
        step.seen = f"127.0.0.1:{server.port}"
    try:
        yield server
    finally:
        server.stop()


def epmd_names(epmd: EpmdServer) -> list[str]:
    """What is registered, once the ends of the sockets have been seen."""
    client, end = Epmd(epmd.port), time.monotonic() + WAIT
    while (names := [name for name, _ in client.names()]) and time.monotonic() < end:
        gevent.sleep(0.01)
    return names


@contextmanager
def _node(name: str, cookie: str, epmd: EpmdServer, report: Report) -> Iterator[Node]:
    with ExitStack() as stack:
        with report.step("this Python program becomes a node, hidden") as step:
            node = stack.enter_context(Node(name, cookie=cookie, epmd="external", epmd_port=epmd.port))
            node.export("demo", double)
            step.seen = name
        yield node


# --- the steps -------------------------------------------------------------------------------------
class Scenario:
    """The steps between `node`, which is ours, and the peer, which is another OS process."""

    def __init__(self, node: Node, peer_name: str, start_peer: Callable[[], Peer], report: Report) -> None:
        self.node = node
        self.peer_name = peer_name
        self.stock = ("stock", peer_name)
        self.start_peer = start_peer
        self.report = report
        self.peer: Peer | None = None
        self.starting = Semaphore()
        self.process: Pid | None = None

    def play(self) -> None:
        """Run the steps as a process of the node, so that they can link, monitor and receive; wait for its end."""
        done: AsyncResult[None] = AsyncResult()

        def process() -> None:
            try:
                self.run()
                done.set()
            except PyerlnodeError as error:
                done.set_exception(error)

        self.process = self.node.spawn(process)
        done.get()

    def run(self) -> None:
        process_flag("trap_exit", True)
        self.node.start(Counter, 41, name="counter")
        self.boot("the peer starts, an OS process of its own")
        self.pings()
        self.calls()
        self.remote_functions()
        self.peer_crash_seen_by_monitor()
        self.peer_crash_seen_by_link()
        self.our_crash_seen_by_monitor()
        self.our_crash_seen_by_link()
        old = self.node.call(self.stock, A.pid)
        self.peer_killed()
        self.peer_restarted(old)

    # --- the peer's OS process
    def boot(self, title: str) -> None:
        with self.report.step(title) as step:
            with self.starting:
                self.peer = self.start_peer()
            self.peer.wait_ready()
            step.seen = f"{self.ask('version')}: {self.peer_name}"

    def ask(self, command: str) -> str:
        if self.peer is None:
            raise NotVerified("the peer is not running")
        return self.peer.ask(command, str(self.node.name)).lstrip(":")

    def end(self) -> None:
        """No further step; an interrupt may have come while the peer is being started, and that is waited for."""
        with self.starting:
            if self.process is not None:
                self.node.exit(self.process, A.kill)
            self.kill_peer()

    def kill_peer(self) -> None:
        if self.peer is not None:
            self.peer.kill()
            self.peer = None

    # --- talk
    def pings(self) -> None:
        with self.report.step("join: Python connects and pings the peer") as step:
            verify(self.node.ping(self.peer_name), "pang")
            step.seen = "pong"
        with self.report.step("the peer pings Python") as step:
            step.seen = self.ask("ping")
            verify(step.seen == "pong", step.seen)

    def calls(self) -> None:
        with self.report.step("Python calls the peer's GenServer") as step:
            answer = self.node.call(self.stock, (A.get, b"apples"))
            step.seen = format_term(answer)
            verify(answer == (A.ok, 7), step.seen)
        with self.report.step("the peer calls Python's GenServer") as step:
            step.seen = self.ask("call")
            verify(step.seen == "42", step.seen)

    def remote_functions(self) -> None:
        with self.report.step("Python runs a function on the peer (erpc)") as step:
            answer = self.node.rpc(self.peer_name, "lists", "reverse", [[1, 2, 3]])
            step.seen = f"lists:reverse([1,2,3]) = {format_term(answer)}"
            verify(answer == [3, 2, 1], step.seen)
        with self.report.step("the peer runs an exported Python function") as step:
            step.seen = f"demo:double(21) = {self.ask('erpc')}"
            verify(step.seen.endswith("= 42"), step.seen)

    # --- the peer's crashes, seen here
    def peer_crash_seen_by_monitor(self) -> None:
        with self.report.step("the peer's server crashes: Python's monitor") as step:
            old = self.node.call(self.stock, A.pid)
            ref = self.node.monitor(old)
            self.node.cast(self.stock, A.crash)
            down = receive(timeout=WAIT)
            verify(down == (A.DOWN, ref, A.process, old, A.out_of_stock), repr(down))
            step.seen = "one DOWN, out_of_stock"
        with self.report.step("it was restarted there: the old pid is gone") as step:
            self.restarted(old)
            self.no_process(old)
            self.nothing_more()
            step.seen = "noproc for the old pid, an answer from the new one"

    def peer_crash_seen_by_link(self) -> None:
        with self.report.step("the peer's server crashes: Python's link") as step:
            old = self.node.call(self.stock, A.pid)
            self.node.link(old)
            self.node.cast(self.stock, A.crash)
            exited = receive(timeout=WAIT)
            verify(exited == (A.EXIT, old, A.out_of_stock), repr(exited))
            self.restarted(old)
            self.nothing_more()
            step.seen = "one EXIT, out_of_stock"

    # --- our crashes, seen there
    def our_crash_seen_by_monitor(self) -> None:
        with self.report.step("Python's server crashes: the peer's monitor") as step:
            self.our_crash("monitor", "DOWN")
            step.seen = "one DOWN with Python's exception and stack"

    def our_crash_seen_by_link(self) -> None:
        with self.report.step("Python's server crashes: the peer's link") as step:
            self.our_crash("link", "EXIT")
            step.seen = "one EXIT with Python's exception and stack"

    def our_crash(self, bond: str, signal: str) -> None:
        verify(self.ask(bond) == "ok", f"the peer could not {bond}")
        seen = self.ask("crash")
        stack = "the counter lost count" in seen and "handle_cast" in seen
        verify(seen.startswith(signal) and stack, seen)
        self.node.start(Counter, 0, name="counter")
        more = self.ask("flushed")
        verify(more == "0", f"{more} more messages after it")

    # --- the end of the peer's OS process
    def peer_killed(self) -> None:
        with self.report.step("kill -9 of the peer's OS process") as step:
            self.node.monitor_nodes()
            ref = self.node.monitor(self.stock)
            self.node.ping(self.peer_name)
            self.kill_peer()
            seen = sorted((receive(timeout=WAIT) for _ in range(2)), key=repr)
            down = (A.DOWN, ref, A.process, (A.stock, A[self.peer_name]), A.noconnection)
            verify(seen == sorted([down, (A.nodedown, A[self.peer_name])], key=repr), repr(seen))
            step.seen = "DOWN noconnection, nodedown"

    def peer_restarted(self, old: Any) -> None:
        self.boot("the peer starts again under its name")
        with self.report.step("the next call reaches the new one") as step:
            answer = self.node.call(self.stock, (A.get, b"apples"))
            verify(answer == (A.ok, 7), repr(answer))
            self.no_process(old)
            step.seen = f"{format_term(answer)}; noproc for the pid of its earlier life"

    # --- checks
    def restarted(self, old: Any) -> Any:
        """The pid of the restarted stock; a call in the moment between finds no process."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            new = self.stock_pid()
            if new is not None:
                verify(new != old, "the old pid again")
                return new
            gevent.sleep(0.005)
        raise NotVerified(f"no new process within {WAIT:g} s")

    def stock_pid(self) -> Any:
        try:
            return self.node.call(self.stock, A.pid)
        except NoProc:
            return None

    def no_process(self, pid: Any) -> None:
        try:
            answer = self.node.call(pid, A.pid)
        except NoProc:
            return
        raise NotVerified(f"the dead process answered {answer!r}")

    def nothing_more(self) -> None:
        """No second DOWN or EXIT: the calls before it have flushed the connection."""
        message = receive(timeout=0, default=None)
        verify(message is None, f"one message too many: {message!r}")
