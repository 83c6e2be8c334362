"""EPMD, the Erlang Port Mapper Daemon: its requests and replies, and the server's register. No sockets, no clock.

Reference: Erlang distribution protocol, "EPMD Protocol"; the daemon's own code for what that leaves open.

A request is a 16-bit length and a body whose first byte names it; a reply has no length. ALIVE2 keeps its
socket: the name is registered as long as that is open, and any byte more on it, or its end, removes the
name. Every other request is answered and the socket closed, which the client of OTP waits for.

    client                                     server
    ALIVE2 'x' port, versions, name    ->
                                       <-      'v' result, creation 32 bits   (highest version >= 6)
                                               'y' result, creation 16 bits   (older)
    PORT_PLEASE2 'z' name              ->
                                       <-      'w' 1, or 'w' 0 and the entry; closes
    NAMES 'n'  DUMP 'd'                ->
                                       <-      port of EPMD 32 bits, text; closes
    KILL 'k'   STOP 's' name           ->      from the same host only

Creations tell two lives of one name apart: a name new to the register starts at the time of day in
seconds, one known from before gets its last creation + 1, and 0..3 are left out.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from dataclasses import dataclass, field

from pyerlnode.errors import ProtocolError, UsageError

DEFAULT_PORT = 4369
ALIVE2, PORT_PLEASE2, NAMES, DUMP, KILL, STOP = b"xzndks"
ALIVE2_REPLY, ALIVE2_X_REPLY, PORT2_REPLY = b"yvw"
NORMAL_NODE = 77
"""OTP sends this type for hidden nodes too."""
HIDDEN_NODE = 72
MAX_REQUEST = 3060
MAX_NAME = 255
MAX_EXTRA = 1020
REFUSED_CREATION = 99

_ENTRY = struct.Struct(">HBBHHH")
_NAME_LINE = re.compile(r"name (.+) at port (\d+)")


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """What EPMD knows of one node; `name` is the part before the `@`."""

    name: str
    port: int
    node_type: int = NORMAL_NODE
    protocol: int = 0
    highest: int = 6
    lowest: int = 5
    extra: bytes = b""


# --- the client's half: bytes of requests, meaning of replies ----------------------------------
def alive_request(entry: NodeEntry) -> bytes:
    """Register `entry`; the socket stays open for as long as the name shall be known."""
    return _request(bytes([ALIVE2]) + _entry(entry))


def port_please_request(name: str) -> bytes:
    return _request(bytes([PORT_PLEASE2]) + name.encode())


def names_request() -> bytes:
    return _request(bytes([NAMES]))


def kill_request() -> bytes:
    return _request(bytes([KILL]))


def decode_alive_reply(data: bytes) -> tuple[bool, int] | None:
    """Registered or not, and the creation; None while bytes are missing.

    Raises:
        ProtocolError: this is no answer of EPMD.
    """
    if not data:
        return None
    if data[0] not in (ALIVE2_X_REPLY, ALIVE2_REPLY):
        raise ProtocolError("the answer to a registration is not one of EPMD: is another program on its port?")
    size = 6 if data[0] == ALIVE2_X_REPLY else 4
    if len(data) < size:
        return None
    return data[1] == 0, int.from_bytes(data[2:size], "big")


@dataclass(frozen=True, slots=True)
class PortReply:
    """`entry` is None when no node of that name is registered."""

    entry: NodeEntry | None


def decode_port_reply(data: bytes) -> PortReply | None:
    """The answer to a look-up; None while bytes are missing.

    Raises:
        ProtocolError: this is no answer of EPMD.
    """
    if data and data[0] != PORT2_REPLY:
        raise ProtocolError("the answer to a look-up is not one of EPMD: is another program on its port?")
    if len(data) < 2:
        return None
    if data[1] != 0:
        return PortReply(None)
    try:
        return PortReply(_read_entry(data[2:], exact=False))
    except _CutShort:
        return None


def decode_names_reply(data: bytes) -> tuple[int, list[tuple[str, int]]]:
    """The port that EPMD says it has, and (name, port) of every node. Takes the whole reply, up to its end.

    Raises:
        ProtocolError: this is no answer of EPMD.
    """
    if len(data) < 4:
        raise ProtocolError("EPMD closed the connection before it gave its list of names")
    found = (_NAME_LINE.fullmatch(line) for line in data[4:].decode("utf-8", "replace").splitlines())
    return int.from_bytes(data[:4], "big"), [(m[1], int(m[2])) for m in found if m]


# --- both halves -------------------------------------------------------------------------------
class _CutShort(Exception):
    """More bytes are needed."""


def _request(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + body


def _entry(entry: NodeEntry) -> bytes:
    name = entry.name.encode()
    if not 1 <= len(entry.name) <= MAX_NAME or len(entry.extra) > MAX_EXTRA:
        raise UsageError(f"EPMD takes names of 1 to {MAX_NAME} characters and at most {MAX_EXTRA} bytes of extra")
    head = _ENTRY.pack(entry.port, entry.node_type, entry.protocol, entry.highest, entry.lowest, len(name))
    return head + name + struct.pack(">H", len(entry.extra)) + entry.extra


def _read_entry(data: bytes, exact: bool) -> NodeEntry:
    if len(data) < _ENTRY.size:
        raise _CutShort
    port, kind, protocol, highest, lowest, size = _ENTRY.unpack_from(data)
    name_end = _ENTRY.size + size
    extra_end = name_end + 2 + int.from_bytes(data[name_end : name_end + 2], "big")
    if len(data) < name_end + 2 or len(data) < extra_end or (exact and len(data) > extra_end):
        raise _CutShort
    try:
        name = data[_ENTRY.size : name_end].decode()
    except UnicodeDecodeError:
        raise ProtocolError("a name at EPMD is not UTF-8") from None
    return NodeEntry(name, port, kind, protocol, highest, lowest, data[name_end + 2 : extra_end])


# --- the server's half -------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Send:
    """Write `data` in one piece: OTP's client takes half an answer for garbage."""

    connection: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection, after what was sent before."""

    connection: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """KILL was granted: the server ends."""


Effect = Send | Close | Shutdown


@dataclass(slots=True)
class _Connection:
    local: bool
    deadline: float | None
    buffer: bytearray = field(default_factory=bytearray)
    entry: NodeEntry | None = None
    """Set while this connection holds a name."""


class EpmdServerCore:
    """The register: connections and bytes go in, effects come out.

    Args:
        port: the port that it tells clients it has; they check it.
        relaxed: permits KILL with registered names, and STOP.
        idle_time: seconds that a connection may take for its request.
    """

    MAX_OLD = 1000
    """Names of dead nodes whose creation is remembered."""

    def __init__(
        self, port: int, *, relaxed: bool = False, idle_time: float = 60.0, max_connections: int = 1024
    ) -> None:
        self.port = port
        self.relaxed = relaxed
        self.idle_time = idle_time
        self.max_connections = max_connections
        self._connections: dict[int, _Connection] = {}
        self._names: dict[str, int] = {}
        self._creations: dict[str, int] = {}
        self._old: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    @property
    def names(self) -> dict[str, int]:
        """Registered names and the ports of their nodes, oldest first."""
        return {name: self._entry_of(name).port for name in self._names}

    def connected(self, connection: int, local: bool, now: float) -> list[Effect]:
        """A client came; `local` says that it is on this host."""
        idle = [key for key, known in self._connections.items() if known.entry is None]
        effects: list[Effect] = []
        if len(idle) >= self.max_connections:
            effects = self._drop(idle[0])
        self._connections[connection] = _Connection(local, now + self.idle_time)
        return effects

    def receive_data(self, connection: int, data: bytes, now: float, clock: int) -> list[Effect]:
        """Bytes of a client. `now` is monotonic seconds, `clock` the time of day in seconds."""
        known = self._connections.get(connection)
        if known is None:
            return []
        known.buffer += data
        if known.entry is not None:  # any byte on the socket of a registration ends it
            return self._drop(connection)
        if len(known.buffer) < 2:
            return []
        size = int.from_bytes(known.buffer[:2], "big")
        if not 1 <= size <= MAX_REQUEST or len(known.buffer) > size + 2:
            return self._drop(connection)
        if len(known.buffer) < size + 2:
            return []
        body = bytes(known.buffer[2:])
        known.buffer.clear()
        known.deadline = now + self.idle_time
        return self._answer(connection, known, body, clock)

    def closed(self, connection: int) -> None:
        """The client went away, and its name with it."""
        known = self._connections.pop(connection, None)
        if known is not None and known.entry is not None:
            self._forget(known.entry, connection)

    def next_deadline(self) -> float | None:
        return min((c.deadline for c in self._connections.values() if c.deadline is not None), default=None)

    def handle_timer(self, now: float) -> list[Effect]:
        late = [k for k, c in self._connections.items() if c.deadline is not None and now >= c.deadline]
        return [effect for connection in late for effect in self._drop(connection)]

    # --- requests ------------------------------------------------------------------------------
    def _answer(self, connection: int, known: _Connection, body: bytes, clock: int) -> list[Effect]:
        code, rest = body[0], body[1:]
        if code == ALIVE2 and known.local:
            return self._alive(connection, known, rest, clock)
        if code == PORT_PLEASE2:
            return [Send(connection, self._port_reply(rest)), *self._drop(connection)]
        if code == NAMES:
            return [Send(connection, self._head() + self._names_text()), *self._drop(connection)]
        if code == DUMP and known.local:
            return [Send(connection, self._head() + self._dump_text()), *self._drop(connection)]
        if code == KILL and known.local:
            granted = self.relaxed or not self._names
            end: list[Effect] = [Shutdown()] if granted else []
            return [Send(connection, b"OK" if granted else b"NO"), *self._drop(connection), *end]
        if code == STOP and known.local and self.relaxed:
            return self._stop(connection, rest)
        return self._drop(connection)

    def _alive(self, connection: int, known: _Connection, rest: bytes, clock: int) -> list[Effect]:
        try:
            entry = _read_entry(rest, exact=True)
        except (_CutShort, ProtocolError):
            return [Send(connection, bytes([ALIVE2_X_REPLY, 1]) + REFUSED_CREATION.to_bytes(4, "big"))]
        usable = 1 <= len(entry.name) <= MAX_NAME and "\0" not in entry.name and len(entry.extra) <= MAX_EXTRA
        if not usable or entry.name in self._names:
            return [Send(connection, _alive_reply(entry.highest, 1, REFUSED_CREATION))]
        creation = self._next_creation(entry.name, clock)
        self._creations[entry.name] = creation
        self._names[entry.name] = connection
        self._old.pop(entry.name, None)
        known.entry = entry
        known.deadline = None
        shown = creation if entry.highest >= 6 else (creation - 1) % 3 + 1
        return [Send(connection, _alive_reply(entry.highest, 0, shown))]

    def _next_creation(self, name: str, clock: int) -> int:
        before = self._old.get(name)
        following = (clock if before is None else before[0] + 1) & 0xFFFFFFFF
        return max(following, 4)

    def _port_reply(self, rest: bytes) -> bytes:
        name = rest.removesuffix(b"\0").decode("utf-8", "replace")
        if name not in self._names:
            return bytes([PORT2_REPLY, 1])
        return bytes([PORT2_REPLY, 0]) + _entry(self._entry_of(name))

    def _stop(self, connection: int, rest: bytes) -> list[Effect]:
        holder = self._names.get(rest.removesuffix(b"\0").decode("utf-8", "replace"))
        if holder is None:
            return [Send(connection, b"NOEXIST"), *self._drop(connection)]
        return [*self._drop(holder), Send(connection, b"STOPPED"), *self._drop(connection)]

    def _head(self) -> bytes:
        return self.port.to_bytes(4, "big")

    def _names_text(self) -> bytes:
        return "".join(f"name {name} at port {self._entry_of(name).port}\n" for name in reversed(self._names)).encode()

    def _dump_text(self) -> bytes:
        active = [
            f"active name     <{name}> at port {self._entry_of(name).port}, fd = {connection}\n\0"
            for name, connection in reversed(self._names.items())
        ]
        old = [
            f"old/unused name <{name}>, port = {port}, fd = {fd} \n\0"
            for name, (_, port, fd) in reversed(self._old.items())
        ]
        return "".join(active + old).encode()

    # --- the register --------------------------------------------------------------------------
    def _entry_of(self, name: str) -> NodeEntry:
        entry = self._connections[self._names[name]].entry
        assert entry is not None
        return entry

    def _forget(self, entry: NodeEntry, connection: int) -> None:
        del self._names[entry.name]
        self._old[entry.name] = (self._creations.pop(entry.name), entry.port, connection)
        while len(self._old) > self.MAX_OLD:
            self._old.popitem(last=False)

    def _drop(self, connection: int) -> list[Effect]:
        self.closed(connection)
        return [Close(connection)]


def _alive_reply(highest: int, result: int, creation: int) -> bytes:
    if highest >= 6:
        return bytes([ALIVE2_X_REPLY, result]) + creation.to_bytes(4, "big")
    return bytes([ALIVE2_REPLY, result]) + creation.to_bytes(2, "big")
