"""Asking an EPMD, staying registered at one, and finding or starting one.

Reference: OTP's `erl_epmd`. A look-up is one connection each; a registration is one that stays open. When
it breaks (EPMD was restarted), the name is registered anew every two seconds, with the creation that the
node got first: its pids stay valid, and connections between nodes do not notice.

Where EPMD is: the host of the node that is looked for, this host's loopback for one's own registration;
the port is ERL_EPMD_PORT or 4369. With `find_or_start_epmd("auto")` a running one is used, else the machine's
own `epmd -daemon` is started, else one runs embedded in this process. Several Python processes on
one machine share the embedded one of the first; when that ends, the next one takes its place.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeVar

import gevent
from gevent.socket import socket as Socket  # noqa: N812 - a class that gevent spells like its module

from pyerlnode.brief import short
from pyerlnode.dist import epmd as protocol
from pyerlnode.dist.epmd import DEFAULT_PORT, NodeEntry
from pyerlnode.errors import ConnectError, EpmdError, NameTaken, NetworkError, ProtocolError, UsageError
from pyerlnode.net import tcp
from pyerlnode.net.epmd_server import LOOPBACK, EpmdServer
from pyerlnode.net.spawning import ended_well, spawn
from pyerlnode.runtime.edges import edge, escaped
from pyerlnode.runtime.forks import ours

log = logging.getLogger("pyerlnode.epmd")

TIMEOUT = 5.0
RETRY = 2.0
MAX_REPLY = 16 * 1024 * 1024
Reply = TypeVar("Reply")
Mode = Literal["auto", "external", "embedded", "none"]


def port_from_environment() -> int:
    """ERL_EPMD_PORT, or 4369.

    Raises:
        UsageError: it is set to something that is no port.
    """
    text = os.environ.get("ERL_EPMD_PORT", "").strip()
    if not text:
        return DEFAULT_PORT
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise UsageError(f"ERL_EPMD_PORT is {short(text)}: give a port between 1 and 65535")
    return int(text)


class Epmd:
    """Where EPMD is. `address` is that of this host's own one; a look-up asks the host it names."""

    __slots__ = ("address", "port")

    def __init__(self, port: int | None = None, address: str = "127.0.0.1") -> None:
        self.port = port_from_environment() if port is None else port
        self.address = address

    def __repr__(self) -> str:
        return f"Epmd({self.address}:{self.port})"

    def lookup(self, host: str, name: str, timeout: float = TIMEOUT) -> NodeEntry | None:
        """The entry of node `name` (the part before the @) at the EPMD of `host`; None when it has none.

        Raises:
            EpmdError: no EPMD there (its cause is a `ConnectError` with the reason), or not an EPMD.
        """
        end = time.monotonic() + timeout
        with self._talk(host, timeout) as sock:
            reply = _exchange(sock, protocol.port_please_request(name), end, protocol.decode_port_reply)
        return reply.entry

    def names(self, host: str | None = None, timeout: float = TIMEOUT) -> list[tuple[str, int]]:
        """(name, port) of every node that is registered, newest first.

        Raises:
            EpmdError: as for `lookup`.
        """
        end = time.monotonic() + timeout
        with self._talk(self.address if host is None else host, timeout) as sock:
            port, found = protocol.decode_names_reply(_exchange_to_end(sock, protocol.names_request(), end))
            if port != self.port:
                raise ProtocolError("EPMD names another port than the one it was asked at")
        return found

    def is_running(self, timeout: float = 1.0) -> bool:
        """Whether an EPMD (and not another program) answers on this host."""
        try:
            self.names(timeout=timeout)
        except EpmdError as error:
            if isinstance(error.__cause__, ConnectError):
                return False
            raise
        return True

    def register(self, entry: NodeEntry, timeout: float = TIMEOUT) -> tuple[Socket, int]:
        """One ALIVE2: the socket to keep open, and the creation.

        Raises:
            NameTaken: another node has the name.
            EpmdError: as for `lookup`.
        """
        end = time.monotonic() + timeout
        sock = self._dial(self.address, timeout)
        try:
            registered, creation = _exchange(sock, protocol.alive_request(entry), end, protocol.decode_alive_reply)
        except (OSError, ProtocolError) as error:
            sock.close()
            raise self._failed(self.address, error) from error
        except BaseException:
            sock.close()
            raise
        if not registered:
            sock.close()
            raise NameTaken(
                f"the name {entry.name} is taken at EPMD {self.address}:{self.port}: "
                f"another node runs under it; stop that one or choose another name"
            )
        sock.settimeout(None)
        return sock, creation

    @contextmanager
    def _talk(self, host: str, timeout: float) -> Iterator[Socket]:
        """A connection to the EPMD of `host` that is closed at the end; what breaks on it becomes `EpmdError`."""
        sock = self._dial(host, timeout)
        try:
            yield sock
        except (OSError, ProtocolError) as error:
            raise self._failed(host, error) from error
        finally:
            sock.close()

    def _dial(self, host: str, timeout: float) -> Socket:
        try:
            return tcp.dial(host, self.port, timeout, node=f"EPMD {host}:{self.port}")
        except ConnectError as error:
            hint = "" if error.reason != "refused" else ": start a node there, or `epmd -daemon`, or set ERL_EPMD_PORT"
            words = "no EPMD answers" if error.reason in ("refused", "timeout") else str(error)
            where = f" at {host}:{self.port}{hint}" if error.reason in ("refused", "timeout") else ""
            raise EpmdError(words + where) from error

    def _failed(self, host: str, error: Exception) -> EpmdError:
        if isinstance(error, TimeoutError):
            return EpmdError(f"EPMD at {host}:{self.port} did not answer in time")
        if isinstance(error, ProtocolError):
            return EpmdError(f"what answers at {host}:{self.port} is not EPMD: set ERL_EPMD_PORT")
        return EpmdError(f"EPMD at {host}:{self.port} closed the connection without an answer")


def _exchange(sock: Socket, request: bytes, end: float, decode: Callable[[bytes], Reply | None]) -> Reply:
    """Send, and read until `decode` finds the reply whole."""
    sock.settimeout(max(0.001, end - time.monotonic()))
    sock.sendall(request)
    data = b""
    while (reply := decode(data)) is None:
        sock.settimeout(max(0.001, end - time.monotonic()))
        more = sock.recv(4096)
        if not more:
            raise ConnectionResetError
        data += more
    return reply


def _exchange_to_end(sock: Socket, request: bytes, end: float) -> bytes:
    sock.settimeout(max(0.001, end - time.monotonic()))
    sock.sendall(request)
    parts: list[bytes] = []
    size = 0
    while True:
        sock.settimeout(max(0.001, end - time.monotonic()))
        more = sock.recv(65536)
        if not more:
            return b"".join(parts)
        parts.append(more)
        size += len(more)
        if size > MAX_REPLY:
            raise ProtocolError("a list of names without end")


class RegistrationState(Enum):
    REGISTERED = "registered"
    LOST = "lost"
    """EPMD went away; the name is registered anew as soon as one answers."""
    TAKEN = "taken"
    """Another node took the name in the meantime; we go on trying."""
    STOPPED = "stopped"


class Registration:
    """Holds one name at this host's EPMD from `start()` to `stop()`.

    Args:
        locate: called before every attempt; makes sure that an EPMD runs (`EpmdService.ensure`).
        on_change: called with every new state, in the greenlet of the registration.

    `creation` is the one of the first success and stays the same afterwards, as OTP's does.
    """

    def __init__(
        self,
        epmd: Epmd,
        entry: NodeEntry,
        *,
        locate: Callable[[], object] | None = None,
        on_change: Callable[[RegistrationState], None] | None = None,
        retry: float = RETRY,
    ) -> None:
        self.epmd = epmd
        self.entry = entry
        self.creation = 0
        self.state = RegistrationState.STOPPED
        self._locate = locate
        self._on_change = on_change
        self._retry = retry
        self._sock: Socket | None = None
        self._greenlet: gevent.Greenlet[..., Any] | None = None
        ours(self)

    def start(self, timeout: float = TIMEOUT) -> int:
        """Register now; the creation.

        Raises:
            NameTaken: another node has the name.
            EpmdError: there is no EPMD, or what answers is none.
        """
        if self._locate is not None:
            self._locate()
        self._sock, self.creation = self.epmd.register(self.entry, timeout)
        self.state = RegistrationState.REGISTERED
        self._greenlet = gevent.spawn(self._hold)
        return self.creation

    def stop(self) -> None:
        """Give the name back. May be called twice."""
        self.state = RegistrationState.STOPPED
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._greenlet = None

    def forsake(self) -> None:
        """In a fork: the name is the parent's."""
        self.state = RegistrationState.STOPPED

    @edge
    def _hold(self) -> None:
        while self.state is not RegistrationState.STOPPED:
            if self._sock is not None:
                self._watch(self._sock)
                self._sock = None
                self._change(RegistrationState.LOST)
            else:
                gevent.sleep(self._retry)
            self._try_again()

    def _watch(self, sock: Socket) -> None:
        """Until EPMD closes the socket; it has nothing to say on it."""
        try:
            while sock.recv(64):
                pass
        except OSError:
            pass  # reset: gone as well
        finally:
            sock.close()

    def _try_again(self) -> None:
        if self.state is RegistrationState.STOPPED:
            return
        try:
            if self._locate is not None:
                self._locate()
            sock, _ = self.epmd.register(self.entry)
        except NameTaken as error:
            self._change(RegistrationState.TAKEN, error)
        except (EpmdError, NetworkError):
            self._change(RegistrationState.LOST)
        except Exception as error:  # the name is held all the same, once there is a way to
            escaped("the registration at EPMD", error)
            self._change(RegistrationState.LOST)
        else:
            self._hold_by(sock)

    def _hold_by(self, sock: Socket) -> None:
        """The registration lasts as long as `sock`; one that came while this was stopped is given back."""
        if self.state is RegistrationState.STOPPED:
            sock.close()
        else:
            self._sock = sock
            self._change(RegistrationState.REGISTERED)

    def _change(self, state: RegistrationState, error: Exception | None = None) -> None:
        if state is self.state or self.state is RegistrationState.STOPPED:
            return
        self.state = state
        if state is RegistrationState.REGISTERED:
            log.info("%s is registered at EPMD port %d again", self.entry.name, self.epmd.port)
        elif state is RegistrationState.TAKEN:
            log.warning("%s; trying again every %g s", error, self._retry)
        else:
            log.warning("EPMD on port %d is gone; %s registers again when one answers", self.epmd.port, self.entry.name)
        if self._on_change is not None:
            edge(self._on_change)(state)


@dataclass(slots=True)
class EpmdService:
    """The EPMD that this process uses: `how` is `running`, `daemon`, `embedded` or `none`."""

    epmd: Epmd
    mode: Mode
    addresses: Sequence[str]
    how: str = "none"
    server: EpmdServer | None = None

    def ensure(self) -> None:
        """Make sure that one answers, by the mode; called again before every attempt to register.

        Raises:
            EpmdError: none answers and the mode permits to start none, or none could be started.
        """
        if self.mode == "none" or (self.server is not None and not self.server.stopped.is_set()):
            return
        self.server = None
        if self.epmd.is_running():
            self.how = "running" if self.how in ("none", "embedded") else self.how
        elif self.mode == "external":
            raise EpmdError(
                f"no EPMD answers at {self.epmd.address}:{self.epmd.port}: start `epmd -daemon`, or use epmd='auto'"
            )
        elif self.mode == "auto" and self._start_daemon():
            self.how = "daemon"
        else:
            self._embed()

    def stop(self) -> None:
        """Ends the embedded server; a daemon is the machine's and stays, as OTP leaves it."""
        if self.server is not None:
            self.server.stop()
            self.server = None

    def _start_daemon(self) -> bool:
        import shutil  # here: only the first node of a machine starts one

        from gevent.threadpool import ThreadPool

        program = shutil.which("epmd")
        if program is None:
            return False
        command = [program, "-daemon", "-port", str(self.epmd.port)]
        if not os.environ.get("ERL_EPMD_ADDRESS") and tuple(self.addresses) == LOOPBACK:
            command += ["-address", LOOPBACK[0]]
        worker = ThreadPool(1)  # a thread that ends with it: this one has a hub to run
        try:
            if not worker.apply(_run, (command,)):
                return False
        except OSError:
            return False
        finally:
            worker.kill()
        for _ in range(50):
            if self.epmd.is_running():
                return True
            gevent.sleep(0.02)
        return False

    def _embed(self) -> None:
        try:
            self.server = EpmdServer(self.epmd.port, self.addresses).start()
        except EpmdError:
            if not self.epmd.is_running():  # not even another one that was quicker than we
                raise
            self.how = "running"
        else:
            self.how = "embedded"
            log.info("EPMD runs embedded in this process, on port %d", self.server.port)


def _run(command: list[str]) -> bool:
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    return ended_well(spawn(command, os.environ, silent), 5.0)


def find_or_start_epmd(
    mode: Mode = "auto", epmd: Epmd | None = None, addresses: Sequence[str] = LOOPBACK
) -> EpmdService:
    """An EPMD for this process: a running one, the machine's own, or an embedded one.

    Args:
        mode: `auto` all three in this order; `external` a running one only; `embedded` never starts the
            machine's own; `none` asks nobody.
        addresses: where one that is started listens (`epmd_server.addresses_for(host)`).

    Raises:
        EpmdError: see `EpmdService.ensure`.
        UsageError: an unknown mode.
    """
    if mode not in ("auto", "external", "embedded", "none"):
        raise UsageError(f"epmd={short(mode)}: give 'auto', 'external', 'embedded' or 'none'")
    service = EpmdService(epmd or Epmd(), mode, tuple(addresses))
    service.ensure()
    return service
