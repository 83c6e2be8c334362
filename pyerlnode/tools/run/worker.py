"""A worker of `pyerlnode run`: one OS process, one node. ``python -m pyerlnode.tools.run.worker DESCRIPTOR``.

On the descriptor, a socket to the master, comes one line, the settings as JSON; then the worker says, a line each:

    ready               the node is up, what it serves is in its group
    beat                once a second, from the hub: what computes and lets nothing else run is seen by its absence
    failed STATUS TEXT  why it ends before it was ready; TEXT is one line

SIGTERM, or the end of the master, makes it drain (`drain`) and end with status 0. When a process that the factory gave
ends, the worker does, with status 1, as a BEAM does when a permanent application ends.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import gevent
import gevent.socket
from gevent.event import Event

from pyerlnode.errors import PyerlnodeError, StartFailed, UsageError
from pyerlnode.node import Node
from pyerlnode.otp.application import Application, Applications
from pyerlnode.otp.behaviour import Behaviour
from pyerlnode.runtime.edges import edge
from pyerlnode.term.atom import A
from pyerlnode.term.pattern import ANY
from pyerlnode.term.pid import Pid
from pyerlnode.tools.run import logs
from pyerlnode.tools.run.drain import drain
from pyerlnode.tools.run.settings_core import port_range

log = logging.getLogger("pyerlnode.run")

BEAT: Final = 1.0
STOP: Final = 5.0


# --- what is to be run ---------------------------------------------------------------------------
def find(target: str) -> Any:
    """What ``module:name`` names. Raises `UsageError` when there is no such thing; what the module raises goes on."""
    name, _, path = target.partition(":")
    try:
        found: Any = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(f"there is no module {error.name} here: run it where it can be imported") from None
        raise
    for part in path.split("."):
        if not hasattr(found, part):
            where = found.__name__ if isinstance(found, ModuleType) else repr(found)
            raise UsageError(f"{where} has no {part}: give module:factory")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{target} is no function and no class of a server, but {type(found).__name__}")
    return found


def make(node: Node, target: str, factory: Any) -> list[Pid]:
    """Start what `factory` is or makes; the pids that it gave."""
    if isinstance(factory, type) and issubclass(factory, Application):
        Applications.of(node).ensure_all_started(factory)
        return []
    if isinstance(factory, type) and issubclass(factory, Behaviour):
        given: Any = node.start(factory)
    else:
        given = factory(node)
    pids = _pids(given)
    if pids is None:
        raise UsageError(f"{target} gives a pid, several, or None, not {type(given).__name__}")
    return pids


def _pids(given: Any) -> list[Pid] | None:
    if given is None or isinstance(given, Pid):
        return [] if given is None else [given]
    found = list(given) if isinstance(given, Iterable) else [given]
    return found if all(isinstance(pid, Pid) for pid in found) else None


def options(said: dict[str, Any]) -> dict[str, Any]:
    """Those of `Node`."""
    ports = said["ports"]
    return {
        "cookie": said["cookie"],
        "cookie_file": said["cookie_file"],
        "hidden": not said["visible"],
        "epmd": said["epmd"],
        "epmd_port": said["epmd_port"],
        "addresses": said["peer_port"],
        "listen": said["listen"],
        "ports": 0 if ports is None else port_range(ports),
        "allow": said["allow"] or None,
        "tls": said["tls_optfile"],
    }


# --- the process ---------------------------------------------------------------------------------
class Worker:
    def __init__(self, link: Any, said: dict[str, Any]) -> None:
        self.link = link
        self.said = said
        self.over = Event()
        self.status = 0

    def say(self, line: str) -> None:
        try:
            self.link.sendall(line.encode() + b"\n")
        except OSError:
            self.over.set()  # the master has gone

    def run(self) -> int:
        gevent.signal_handler(signal.SIGTERM, edge(self.over.set))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            factory = find(self.said["factory"])
            node = Node(self.said["name"], **options(self.said)).open()
        except (PyerlnodeError, OSError) as error:
            return self._failed(2 if isinstance(error, (UsageError, OSError)) else 1, str(error))
        except BaseException as error:
            log.error("%s could not be imported", self.said["factory"], exc_info=error)
            return self._failed(1, f"importing {self.said['factory']} raised {_line(error)}")
        logs.set_up(node.name, self.said["log_level"], self.said["log_format"])
        try:
            return self._serve(node, factory)
        finally:
            node.stop(STOP)

    def _serve(self, node: Node, factory: Any) -> int:
        target = self.said["factory"]
        try:
            pids = make(node, target, factory)
        except UsageError as error:
            return self._failed(2, str(error))
        except BaseException as error:
            log.error("%s failed", target, exc_info=None if isinstance(error, StartFailed) else error)
            return self._failed(1, f"{target} raised {_line(error)}")
        node.pg.start(self.said["scope"])
        if pids:
            node.pg.join(A[self.said["group"]], pids, scope=self.said["scope"])
        for peer in self.said["connect"]:
            node.keep_connected(peer)
        watching = node.spawn(self._watch, node, pids)
        gevent.spawn(edge(self._beat))
        gevent.spawn(edge(self._listen))
        log.info("%s is ready: %s", node.name, target)
        self.say("ready")
        self.over.wait()
        node.exit(watching, A.kill)
        log.info("%s drains", node.name)
        drain(node, self.said["scope"], limit=self.said["drain"], quiet=self.said["quiet"])
        return self.status

    def _watch(self, node: Node, pids: list[Pid]) -> None:
        for pid in pids:
            node.monitor(pid)
        if pids:
            _, _, _, pid, reason = node.receive((A.DOWN, ANY, ANY, ANY, ANY))
            log.error("%s, which %s gave, has ended: %s", pid, self.said["factory"], reason)
            self.status = 1
            self.over.set()

    def _beat(self) -> None:
        while not self.over.is_set():
            self.say("beat")
            gevent.sleep(BEAT)

    def _listen(self) -> None:
        """The master says nothing more: what comes is its end."""
        try:
            while self.link.recv(64):
                pass
        except OSError:
            pass  # reset: gone as well
        self.over.set()

    def _failed(self, status: int, text: str) -> int:
        self.say(f"failed {status} {' '.join(text.split())}")
        return status


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def main(descriptor: int) -> int:
    plain = socket.socket(fileno=descriptor)
    line = plain.makefile("rb").readline()
    said = json.loads(line)
    logs.set_up(said["name"] or "worker", said["log_level"], said["log_format"])
    return Worker(gevent.socket.socket(fileno=plain.detach()), said).run()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
