"""The process that was started: no node, no gevent loop, nothing of the program. It carries out what `core` decides.

    SIGTERM, SIGINT    drain all workers and end; a second one kills them
    SIGHUP             read the configuration again and replace one worker after the other
    SIGCHLD            a worker has ended

All that it waits for is in one `select`: the sockets to the workers, and the pipe into which Python writes each signal.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pyerlnode.errors import UsageError
from pyerlnode.kernel import release_core as release
from pyerlnode.tools.output import complain
from pyerlnode.tools.run import core, logs
from pyerlnode.tools.run.core import Core, Effect, State, worker_name
from pyerlnode.tools.run.health import Health, serve
from pyerlnode.tools.run.notify import Notifier
from pyerlnode.tools.run.settings_core import Settings, settings
from pyerlnode.tools.run.watch import Watch

log = logging.getLogger("pyerlnode.run")

GRACE: Final = 10.0
"""Seconds that a worker has to end in beside those for draining."""
RELOAD: Final = 0.5
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(slots=True)
class Running:
    """A worker's OS process. `heard` is when it last said something."""

    program: subprocess.Popen[bytes]
    link: socket.socket
    heard: float
    rest: bytes = b""
    speaks: bool = True
    """Its end of the socket is open."""


@dataclass(slots=True)
class Master:
    said: Settings
    again: Any
    """Reads the settings once more."""
    core: Core
    notifier: Notifier
    running: dict[int, Running] = field(default_factory=dict)
    status: int | None = None
    text: str = ""
    """Why the run was given up."""
    watch: Watch | None = None

    # --- carrying out --------------------------------------------------------------------------
    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case core.Start(slot):
                    self._start(slot)
                case core.Ask(slot):
                    self._signal(slot, signal.SIGTERM)
                case core.Kill(slot):
                    self._signal(slot, signal.SIGKILL)
                case core.Tell("critical", text):
                    self.text = text
                case core.Tell(level, text):
                    log.log(logging.getLevelName(level.upper()), "%s", text)
                case core.Notify(what):
                    log.info("%s", what)
                    self.notifier.tell(what)
                case core.End(status):
                    self.status = status

    def _start(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.running[slot] = Running(
                subprocess.Popen(  # noqa: S603 - the interpreter itself
                    [sys.executable, "-m", "pyerlnode.tools.run.worker", str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the master alone
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                ),
                ours,
                time.monotonic(),
            )
        name = worker_name(self.said.name, slot, self.said.workers)
        line = json.dumps({**self.said.as_dict(), "name": name}).encode() + b"\n"
        try:
            ours.sendall(line)
        except OSError:
            pass  # it has ended already, and will be heard of

    def _signal(self, slot: int, number: signal.Signals) -> None:
        running = self.running.get(slot)
        if running is not None and running.program.poll() is None:
            os.kill(running.program.pid, number)

    # --- hearing -------------------------------------------------------------------------------
    def loop(self, wake: socket.socket) -> int:
        while self.status is None:
            now = time.monotonic()
            self.carry_out(self.core.tick(now))
            until = min(self.core.next_deadline() - now, self.notifier.every, RELOAD if self.watch else float("inf"))
            sockets = {running.link: slot for slot, running in self.running.items() if running.speaks}
            ready, _, _ = select.select([wake, *sockets], [], [], None if until == float("inf") else max(0.0, until))
            for sock in ready:
                if sock is not wake:
                    self._read(sockets[sock])
            if wake in ready:
                for number in wake.recv(256):
                    self._hear(number)
            self._reap()
            self._others()
        return self.status

    def _others(self) -> None:
        if self.notifier.every < float("inf"):
            self.notifier.tell("watchdog")
        if self.watch is not None and (changed := self.watch.changed()):
            log.info("%s has changed", changed)
            self.carry_out(self.core.roll(time.monotonic()))

    def _hear(self, number: int) -> None:
        now = time.monotonic()
        if number in (signal.SIGTERM, signal.SIGINT):
            self.carry_out(self.core.stop(now, 130 if number == signal.SIGINT else 0))
        elif number == signal.SIGHUP:
            self._read_again()
            self.carry_out(self.core.roll(now))

    def _read_again(self) -> None:
        try:
            fresh: Settings = self.again()
        except UsageError as error:
            log.error("the settings stay as they were: %s", error)
            return
        if fresh.workers != self.said.workers:
            log.error("workers stays %d: a run has as many as it began with", self.said.workers)
        self.said = Settings(**{**fresh.as_dict(), "workers": self.said.workers, "health": self.said.health})

    def _read(self, slot: int) -> None:
        running = self.running[slot]
        try:
            data = running.link.recv(65536)
        except OSError:
            data = b""
        if not data:
            running.speaks = False
            return
        running.heard = time.monotonic()
        *lines, running.rest = (running.rest + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "ready":
                self.carry_out(self.core.ready(slot, running.heard))
            elif word == "failed":
                self.core.failed(slot, rest.partition(" ")[2])

    def _reap(self) -> None:
        for slot, running in list(self.running.items()):
            status = running.program.poll()
            if status is not None:
                self._last_words(slot, running)
                del self.running[slot]
                self.carry_out(self.core.ended(slot, status, time.monotonic()))

    def _last_words(self, slot: int, running: Running) -> None:
        """What it said before it ended may still be unread."""
        running.link.setblocking(False)
        try:
            while select.select([running.link], [], [], 0)[0] and (data := running.link.recv(65536)):
                for line in (running.rest + data).split(b"\n"):
                    word, _, rest = line.decode("utf-8", "replace").partition(" ")
                    if word == "failed":
                        self.core.failed(slot, rest.partition(" ")[2])
                running.rest = b""
        except OSError:
            pass  # reset: nothing more was said
        running.link.close()

    # --- being asked ---------------------------------------------------------------------------
    def health(self) -> Health:
        """Asked by the threads of the HTTP server."""
        now = time.monotonic()
        workers: list[dict[str, Any]] = []
        hung = 0
        for slot, one in enumerate(list(self.core.slots)):
            running = self.running.get(slot)
            silent = None if running is None else round(now - running.heard, 1)
            name = worker_name(self.said.name, slot, self.said.workers)
            workers.append({"name": name, "state": one.state.value, "silent": silent})
            hung += one.state is State.UP and (silent or 0.0) > self.said.hang > 0
        return Health(self.core.is_ready and hung < len(workers), not hung, workers)


def this_host(long: bool) -> str:
    return socket.getfqdn() if long else socket.gethostname()


def read(args: argparse.Namespace, env: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a command line. Raises `UsageError`."""
    flags = {key: value for key, value in vars(args).items() if key not in ("run", "config")}
    if args.verbose and flags["log_level"] is None:
        flags["log_level"] = "debug"
    path = args.config or env.get("PYERLNODE_CONFIG", "").strip()
    said = settings(flags, env, _file(path) if path else {})
    name = said.name and release.complete(said.name, env, this_host)
    name = name or release.release_node(env, this_host)
    group = said.group or (name or said.factory.replace(":", "@")).partition("@")[0]
    return Settings(**{**said.as_dict(), "name": name, "group": group})


def _file(path: str) -> dict[str, Any]:
    tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with open(path, "rb") as file:
            found: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"the configuration {path} can not be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration {path} is no TOML: {error}") from None
    return found


def check(said: Settings) -> None:
    """What can be known to be wrong before a worker is started. Raises `UsageError`."""
    from pyerlnode.dist import node_name
    from pyerlnode.kernel.cookies import find_cookie

    for index in range(said.workers):
        name = worker_name(said.name, index, said.workers)
        if name is not None:
            node_name.parse(name)
    for peer in said.connect:
        node_name.parse_peer(peer)
    find_cookie(said.cookie, said.cookie_file)
    if said.tls_optfile is not None and not Path(said.tls_optfile).is_file():
        raise UsageError(f"there is no file {said.tls_optfile}, which tls-optfile names")


def main(args: argparse.Namespace) -> int:
    """Run until a signal ends it; the exit status."""
    said = read(args)
    check(said)
    logs.set_up(f"run {said.factory}", said.log_level, said.log_format)
    ours, wake = socket.socketpair()
    ours.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    fd = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    notifier = Notifier(os.environ)
    made = Core(said.workers, said.drain + GRACE, said.reload)
    master = Master(said, lambda: read(args), made, notifier, watch=Watch(Path.cwd()) if said.reload else None)
    server = None
    try:
        server = None if said.health is None else serve(said.health, master.health)
        master.carry_out(made.start(time.monotonic()))
        status = master.loop(wake)
    finally:
        for running in master.running.values():
            running.program.kill()
            running.program.wait()
            running.link.close()
        if server is not None:
            server.shutdown()
            server.server_close()
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        notifier.close()
        ours.close()
        wake.close()
    if master.text:
        complain(master.text)
    return status
