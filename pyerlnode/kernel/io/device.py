"""Devices of any node, used by Python: the client's side of the I/O protocol (protocol.md E.9).

    screen = node.device(pid)              # or ("user", "app@127.0.0.1"); without one the own group leader
    print("done", 42, file=screen)
    name = screen.ask("Your name? ")

A `Device` is a file of text: `print`, `write`, `readline`, a loop over its lines. Each request waits for its answer and
is guarded by a monitor, so a device that ends, or whose node is lost, is an error at once.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from pyerlnode.brief import BRIEF, short, told
from pyerlnode.errors import ConnectError, PyerlnodeError
from pyerlnode.runtime.mailbox import REPLY, TIMEOUT, Waiter
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Reference


class DeviceError(PyerlnodeError, OSError):
    """A device did not do what it was asked; `reason` is its own: `terminated`, `enotsup`, `noconnection`, …"""

    def __init__(self, message: str, reason: Any) -> None:
        super().__init__(message)
        self.reason = reason


class _Client:
    """The body of the process that an answer comes to: devices answer to a pid, never to an alias."""

    __slots__ = ("ref", "waiter")

    def __init__(self, waiter: Waiter, ref: Reference) -> None:
        self.waiter = waiter
        self.ref = ref

    def handle(self, message: Any) -> None:
        match message:
            case (A.io_reply, Reference() as ref, value) if ref == self.ref:
                self.waiter.settle(REPLY, value)


def request(system: System, device: Any, what: Any, timeout: float | None = None) -> Any:
    """Send one request of the I/O protocol and wait for the reply, for ever unless `timeout` (seconds) is given.

    Raises `DeviceError` when the device ends, can not be reached, gives an error or takes too long.
    """
    ref = system.new_ref()
    waiter = Waiter(system.scheduler, system.timers)
    client = system.spawn_handler(_Client(waiter, ref))
    handle = None
    try:
        handle = system.watch(waiter, ref, device)
        system.send(device, (A.io_request, client.pid, ref, what))
        state = waiter.wait(timeout)
    except ConnectError as error:
        raise DeviceError(str(error), A.noconnection) from error
    finally:
        system.unwatch(ref, handle)
        client.exit(A.normal)
    if state == TIMEOUT:
        raise DeviceError(f"the device {short(device)} did not answer within {timeout} s", A.timeout)
    if state != REPLY:
        reason = A.noconnection if waiter.value is A.noconnection else A.terminated
        raise DeviceError(f"the device {short(device)} is gone: {told(waiter.value, BRIEF)}", reason)
    match waiter.value:
        case (A.error, reason):
            raise DeviceError(f"the device {short(device)} refused: {told(reason, BRIEF)}", reason)
    return waiter.value


class Device(io.TextIOBase):
    """A device as a file of text."""

    def __init__(self, system: System, dest: Any, timeout: float | None = None) -> None:
        super().__init__()
        self._system = system
        self.dest = dest
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<Device {short(self.dest)}>"

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase has a plain attribute there
        return "utf-8"

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            self.request((A.put_chars, A.unicode, text.encode("utf-8", "replace")))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]  # io's stubs want a buffer
        self.write("".join(lines))

    def ask(self, prompt: str = "") -> str:
        """A line, with its end, after `prompt`; "" at the end of the input."""
        answer = self.request((A.get_line, A.unicode, prompt.encode()))
        if answer is A.eof:
            return ""
        return answer.decode() if isinstance(answer, bytes) else "".join(map(chr, answer))

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # io's stubs let it be None
        del size  # a device gives whole lines
        return self.ask()

    def geometry(self) -> tuple[int, int]:
        """(columns, rows) of a terminal. Raises `DeviceError` (`enotsup`) for anything else."""
        columns = self.request((A.get_geometry, A.columns))
        return columns, self.request((A.get_geometry, A.rows))

    def getopts(self) -> dict[Atom, Any]:
        return dict(self.request(A.getopts))

    def setopts(self, *options: Any) -> None:
        self.request((A.setopts, list(options)))

    def request(self, what: Any) -> Any:
        """Any request of the protocol."""
        return request(self._system, self.dest, what, self._timeout)
