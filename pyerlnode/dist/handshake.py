"""The handshake of two nodes, as one machine for each side; no sockets, no clock, no randomness.

Reference: Erlang distribution protocol, "Distribution Handshake"; OTP's `dist_util` for what it leaves open.

Initiator                                        Acceptor
  WAIT_STATUS     's' ok, ok_simultaneous,         WAIT_NAME        'N' or 'n': `decide` gives the status
                  named:, alive (answers)          WAIT_ALIVE       's' true, after the status `alive`
  WAIT_CHALLENGE  'N' or 'n'                       WAIT_COMPLEMENT  'c', after an 'n' answered with 'N'
  WAIT_ACK        'a'                              WAIT_REPLY       'r'
  DONE                                             REPLACING        the old connection has to go first
                                                   DONE
Anything else ends it: `HandshakeError`, whose `reason` is one word of `ConnectError`; what
`data_to_send()` holds then (a refusing status) may still be written, and the socket is closed.

- Bytes that follow the last message are the first packets of the connection: `leftover()`.
- The deadline moves on with every whole message and with nothing less, so that a peer which sends
  byte by byte gains no time: a handshake ends after at most four times `setup_time`.
- Challenges are arguments, from the system's random source; digests are compared in constant time.
- A wrong cookie is answered with nothing: the socket closes, as OTP's does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from pyerlnode.dist import flags as dist_flags
from pyerlnode.dist.flags import LOW_WORD, MANDATORY, DistFlags, expand, missing_mandatory
from pyerlnode.dist.handshake_messages import (
    ACK,
    COMPLEMENT,
    NAME_5,
    NAME_6,
    REPLY,
    STATUS,
    Challenge,
    ChallengeAck,
    ChallengeReply,
    Complement,
    SendName,
    Status,
    StatusMessage,
    digest,
    digest_is_right,
)
from pyerlnode.dist.node_name import parse_peer
from pyerlnode.errors import AnotherNode, BadName, FlagsMissing, HandshakeError, UsageError
from pyerlnode.limits import DEFAULT_LIMITS

__all__ = [
    "Acceptor",
    "AliveConfirmed",
    "Established",
    "Initiator",
    "OwnIdentity",
    "PeerInfo",
    "State",
    "Status",
    "simultaneous",
]

SETUP_TIME = 7.0
"""Seconds for each step; OTP's `net_setuptime`."""


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """Who this node says it is. With NAME_ME among the flags it asks its peer for a name instead of `name`."""

    name: str
    creation: int
    flags: DistFlags


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """What the handshake found out."""

    name: str
    creation: int
    """0 when a peer of version 5 did not tell."""
    flags: DistFlags
    """In use: what both sides have."""
    their_flags: DistFlags
    hidden: bool
    own_name: str
    """Differs from the name we came with when the peer gave us one."""
    own_creation: int


@dataclass(frozen=True, slots=True)
class Established:
    """The handshake is done; `leftover()` holds the bytes that came after it."""

    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class AliveConfirmed:
    """The peer proved to be who it says, and means to replace the connection that we hold to it.

    End that one, wait until it is gone, then call `Acceptor.confirm`.
    """

    peer_name: str


Event = Established | AliveConfirmed


class State(Enum):
    WAIT_STATUS = "its status"
    WAIT_CHALLENGE = "its challenge"
    WAIT_ACK = "its proof of the cookie"
    WAIT_NAME = "its name"
    WAIT_ALIVE = "its answer to `alive`"
    WAIT_COMPLEMENT = "the second half of its flags"
    WAIT_REPLY = "its answer to our challenge"
    REPLACING = "the old connection to end"
    DONE = "nothing"
    FAILED = "nothing any more"


_TLS_RECORDS = (0x1503, 0x1603)
"""How an alert and a handshake of TLS begin: read as a length, more than any message of a handshake here has."""

Table = dict[State, dict[int, str]]
"""In which state which message is taken, and by which method."""


def simultaneous(my_name: str, peer_name: str) -> Status:
    """Both nodes dialled each other: the attempt of the one with the greater name lives on.

    Asked by the side that accepts while its own attempt is under way; after OK_SIMULTANEOUS it drops that.
    """
    return Status.NOK if my_name > peer_name else Status.OK_SIMULTANEOUS


class _Handshake:
    """What both sides share: cutting messages, the table, the deadline."""

    __slots__ = (
        "_buffer",
        "_cookie",
        "_deadline",
        "_event",
        "_header",
        "_limit",
        "_out",
        "_setup_time",
        "challenge",
        "own",
        "peer_name",
        "required",
        "state",
    )
    TABLE: ClassVar[Table]

    def __init__(
        self,
        own: OwnIdentity,
        challenge: int,
        *,
        now: float,
        setup_time: float,
        length_bytes: int,
        required: DistFlags,
        limit: int,
    ) -> None:
        if length_bytes not in (2, 4):
            raise UsageError("a handshake message has a length of 2 bytes (TCP) or 4 (TLS)")
        self.own = own
        self.challenge = challenge
        self.required = required
        self.peer_name = ""
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._event: Event | None = None
        self._cookie = ""
        self._header = length_bytes
        self._limit = limit
        self._setup_time = setup_time
        self._deadline = now + setup_time

    # --- the words that all machines share -----------------------------------------------------
    def receive_data(self, data: bytes, now: float = 0.0) -> None:
        """Take what came from the socket at the time `now`.

        Raises:
            HandshakeError: it is over; write what `data_to_send()` still holds, and close.
        """
        self._buffer += data
        try:
            while self._event is None and (message := self._cut()) is not None:
                self._deadline = now + self._setup_time
                self._take(message)
        except HandshakeError:
            self.state = State.FAILED
            raise

    def next_event(self) -> Event | None:
        event, self._event = self._event, None
        return event

    def data_to_send(self) -> bytes:
        """The bytes to write now; each byte is given once."""
        return b"".join(self.messages_to_send())

    def messages_to_send(self) -> list[bytes]:
        """The same message by message, each to be written by itself: readers of captures take a segment for one."""
        messages, self._out = self._out, []
        return messages

    def next_deadline(self) -> float | None:
        return None if self.state in (State.DONE, State.FAILED) else self._deadline

    def handle_timer(self, now: float) -> None:
        """Raises `HandshakeError` with the reason `timeout` when the deadline has passed."""
        deadline = self.next_deadline()
        if deadline is not None and now >= deadline:
            waited = self.state.value
            self.state = State.FAILED
            raise HandshakeError(
                f"{self._who()} did not answer within {self._setup_time:g} s (we waited for {waited})", "timeout"
            )

    def receive_eof(self) -> None:
        """The peer closed the socket: always the end, with the reason that the state suggests."""
        waited, self.state = self.state, State.FAILED
        raise self._closed(waited)

    def leftover(self) -> bytes:
        """What came after the handshake: the first packets of the connection."""
        return bytes(self._buffer) if self.state is State.DONE else b""

    # --- cutting and choosing ------------------------------------------------------------------
    def _cut(self) -> bytes | None:
        if self.state not in self.TABLE or len(self._buffer) < self._header:
            return None
        size = int.from_bytes(self._buffer[: self._header], "big")
        if self._header == 2 and size in _TLS_RECORDS:
            raise HandshakeError(
                f"{self._who()} speaks TLS, and this node does not: give it tls=…, or start the peer without "
                "-proto_dist inet_tls",
                "tls",
            )
        if not 1 <= size <= self._limit:
            raise self._protocol(f"a message of {size} bytes, which no handshake has")
        end = self._header + size
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[self._header : end])
        del self._buffer[:end]
        return message

    def _take(self, message: bytes) -> None:
        method = self.TABLE[self.state].get(message[0])
        if method is None:
            raise self._protocol(f"a message {chr(message[0])!r} when {self.state.value} was due")
        getattr(self, method)(message)

    def _say(self, message: bytes) -> None:
        self._out.append(len(message).to_bytes(self._header, "big") + message)

    def _established(
        self, creation: int, their_flags: DistFlags, own: OwnIdentity, own_flags: DistFlags | None = None
    ) -> None:
        in_use = their_flags & (own.flags if own_flags is None else own_flags)
        hidden = DistFlags.PUBLISHED not in their_flags
        self.state = State.DONE
        self._event = Established(
            PeerInfo(self.peer_name, creation, in_use, their_flags, hidden, own.name, own.creation)
        )

    # --- words of failure ----------------------------------------------------------------------
    def _who(self) -> str:
        return self.peer_name or "the peer"

    def _protocol(self, what: str) -> HandshakeError:
        return HandshakeError(f"{self._who()} sent {what}: is it an Erlang node of the same transport?", "protocol")

    def _closed(self, waited: State) -> HandshakeError:
        return HandshakeError(f"{self._who()} closed the connection while we waited for {waited.value}", "closed")

    def _lacking(self, missing: DistFlags) -> HandshakeError:
        return FlagsMissing(
            f"{self._who()} lacks mandatory distribution flags ({dist_flags.names(missing)}): it is older than OTP 25"
        )


class Initiator(_Handshake):
    """The side that connects. What it has to say first is in `data_to_send()` at once.

    `still_wanted` is asked when the peer says that it holds a connection to us already: True replaces it.
    """

    __slots__ = ("_dialled", "_still_wanted", "version")
    TABLE: ClassVar[Table] = {
        State.WAIT_STATUS: {STATUS: "_status"},
        State.WAIT_CHALLENGE: {NAME_6: "_challenge", NAME_5: "_challenge"},
        State.WAIT_ACK: {ACK: "_ack"},
    }

    def __init__(
        self,
        own: OwnIdentity,
        peer_name: str,
        cookie: str,
        challenge: int,
        *,
        version: int = 6,
        now: float = 0.0,
        setup_time: float = SETUP_TIME,
        length_bytes: int = 2,
        required: DistFlags = MANDATORY,
        limit: int = DEFAULT_LIMITS.handshake_message,
        still_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(
            own,
            challenge,
            now=now,
            setup_time=setup_time,
            length_bytes=length_bytes,
            required=required,
            limit=limit,
        )
        self.peer_name = peer_name
        self.version = version
        self.state = State.WAIT_STATUS
        self._cookie = cookie
        self._still_wanted = still_wanted
        name, creation, offered = own.name, own.creation, own.flags
        if DistFlags.NAME_ME in offered:
            if version < 6:
                raise UsageError("only a handshake of version 6 can ask the peer for a name")
            name, creation, offered = name.rpartition("@")[2], 0, offered & ~DistFlags.PUBLISHED
        self._say(SendName(version, offered, creation, name).encode())

    def _status(self, message: bytes) -> None:
        answer = StatusMessage.decode(message)
        asked = DistFlags.NAME_ME in self.own.flags
        match answer.status:
            case Status.NAMED if asked:
                self.own = OwnIdentity(answer.name, answer.creation, self.own.flags & ~DistFlags.PUBLISHED)
            case Status.OK | Status.OK_SIMULTANEOUS if not asked:
                pass
            case Status.ALIVE if not asked:
                self._answer_alive()
            case Status.NOK:
                raise HandshakeError(f"{self.peer_name} is connecting to us itself, and its attempt goes first", "nok")
            case Status.NOT_ALLOWED:
                raise HandshakeError(
                    f"{self.peer_name} does not allow {self.own.name} to connect: "
                    f"it is not on its list, or lacks a flag that it demands",
                    "not_allowed",
                )
            case other:
                raise self._protocol(f"the status {other.value!r}, which does not answer what we asked")
        self.state = State.WAIT_CHALLENGE

    def _answer_alive(self) -> None:
        if self._still_wanted():
            self._say(StatusMessage(Status.TRUE).encode())
            return
        self._say(StatusMessage(Status.FALSE).encode())
        raise HandshakeError(f"{self.peer_name} holds a connection to us already", "nok")

    def _challenge(self, message: bytes) -> None:
        theirs = Challenge.decode(message)
        if theirs.name != self.peer_name:
            raise AnotherNode(
                f"the node that answered for {self.peer_name} is {theirs.name!r}: wrong port or stale EPMD entry",
                theirs.name,
            )
        if theirs.version == 5 and self.version >= 6:
            raise self._protocol("a challenge of version 5 to a handshake of version 6")
        missing = missing_mandatory(theirs.flags, self.required)
        if missing:
            raise self._lacking(missing)
        if theirs.version > self.version:
            self._say(Complement(self.own.flags >> 32, self.own.creation).encode())
        self._say(ChallengeReply(self.challenge, digest(self._cookie, theirs.challenge)).encode())
        self._dialled = theirs
        self.state = State.WAIT_ACK

    def _ack(self, message: bytes) -> None:
        if not digest_is_right(ChallengeAck.decode(message).digest, self._cookie, self.challenge):
            raise HandshakeError(
                f"{self.peer_name} signed our challenge with another cookie: give cookie=… or --cookie", "bad_cookie"
            )
        own_flags = self.own.flags if self.version >= 6 or self._dialled.version >= 6 else self.own.flags & LOW_WORD
        self._established(self._dialled.creation, expand(self._dialled.flags), self.own, own_flags)

    def _closed(self, waited: State) -> HandshakeError:
        if waited is State.WAIT_ACK:
            return HandshakeError(
                f"{self.peer_name} closed the connection during the cookie check: "
                f"its cookie differs from ours (give cookie=… or --cookie)",
                "bad_cookie",
            )
        return super()._closed(waited)


Decide = Callable[[str, DistFlags], Status]
"""Asked with the peer's name and its flags: OK, OK_SIMULTANEOUS, NOK, NOT_ALLOWED or ALIVE."""
GiveName = Callable[[str], "tuple[str, int] | None"]
"""Asked with a host part: the full name and the creation for a nameless peer, or None to refuse it."""


Prove = Callable[[str, bool], bool]
"""Told the name of a peer that has proved the cookie, and whether it replaces its connection, before it learns that it
may come in; False refuses it."""


def _give_none(_host: str) -> None:
    return None


def _believe(_name: str, _replaces: bool) -> bool:
    return True


class Acceptor(_Handshake):
    """The side that is connected to. `decide` is asked once, after the flags were found sufficient."""

    __slots__ = (
        "_cookie_for",
        "_creation",
        "_decide",
        "_give_name",
        "_offered",
        "_prove",
        "_replaces",
        "_reply_ack",
        "_theirs",
        "_version",
    )
    TABLE: ClassVar[Table] = {
        State.WAIT_NAME: {NAME_6: "_name", NAME_5: "_name"},
        State.WAIT_ALIVE: {STATUS: "_alive"},
        State.WAIT_COMPLEMENT: {COMPLEMENT: "_complement"},
        State.WAIT_REPLY: {REPLY: "_reply"},
    }

    def __init__(
        self,
        own: OwnIdentity,
        decide: Decide,
        cookie_for: Callable[[str], str],
        challenge: int,
        *,
        give_name: GiveName = _give_none,
        prove: Prove = _believe,
        now: float = 0.0,
        setup_time: float = SETUP_TIME,
        length_bytes: int = 2,
        required: DistFlags = MANDATORY,
        limit: int = DEFAULT_LIMITS.handshake_message,
    ) -> None:
        super().__init__(
            own,
            challenge,
            now=now,
            setup_time=setup_time,
            length_bytes=length_bytes,
            required=required,
            limit=limit,
        )
        self.state = State.WAIT_NAME
        self._decide = decide
        self._cookie_for = cookie_for
        self._give_name = give_name
        self._prove = prove
        self._offered = own.flags & ~DistFlags.NAME_ME
        self._replaces = False
        self._reply_ack = b""

    def confirm(self, now: float = 0.0) -> None:
        """The old connection is gone: say yes to the new one. To be called after `AliveConfirmed`."""
        if self.state is not State.REPLACING:
            raise UsageError("confirm() answers the event AliveConfirmed and nothing else")
        self._deadline = now + self._setup_time
        self._finish()

    # --- steps ---------------------------------------------------------------------------------
    def _name(self, message: bytes) -> None:
        hello = SendName.decode(message)
        self._version = hello.version
        self._theirs = hello.flags
        self._creation = hello.creation
        if DistFlags.NAME_ME in hello.flags:
            self._named(hello.name)
            return
        self.peer_name = self._checked(hello.name)
        known = self.required if hello.version >= 6 else self.required & LOW_WORD
        missing = missing_mandatory(hello.flags, known)
        if missing:
            self._say(StatusMessage(Status.NOT_ALLOWED).encode())
            raise self._lacking(missing)
        if self.peer_name == self.own.name:
            self._refuse(Status.NOT_ALLOWED, "has the name of this node")
        self._answer(self._decide(self.peer_name, expand(hello.flags)))

    def _answer(self, status: Status) -> None:
        match status:
            case Status.OK | Status.OK_SIMULTANEOUS:
                self._say(StatusMessage(status).encode())
                self._send_challenge()
            case Status.ALIVE:
                self._say(StatusMessage(status).encode())
                self._replaces = True
                self.state = State.WAIT_ALIVE
            case Status.NOK:
                self._refuse(status, "was refused: our own attempt to reach it goes first")
            case _:
                self._refuse(Status.NOT_ALLOWED, "is not allowed to connect")

    def _named(self, host: str) -> None:
        """A peer without a name: it is hidden, whatever it says, and learns its name from the status."""
        if "@" in host:
            raise self._protocol("a whole name together with the wish for one")
        self._checked(f"name@{host}")  # what is given is shown in errors and logs: no peer chooses its characters
        missing = missing_mandatory(self._theirs, self.required)
        given = None if missing else self._give_name(host)
        if given is None:
            self._say(StatusMessage(Status.NOT_ALLOWED).encode())
            raise (
                self._lacking(missing)
                if missing
                else HandshakeError("a peer asked for a name, and this node gives none", "not_allowed")
            )
        self.peer_name, self._creation = given
        self._theirs &= ~DistFlags.PUBLISHED
        # OTP's client dies on a challenge without NAME_ME or with PUBLISHED
        self._offered = (self._offered | DistFlags.NAME_ME) & ~DistFlags.PUBLISHED
        self._say(StatusMessage(Status.NAMED, *given).encode())
        self._send_challenge()

    def _alive(self, message: bytes) -> None:
        if StatusMessage.decode(message).status is not Status.TRUE:
            raise HandshakeError(f"{self.peer_name} keeps the connection that it has", "nok")
        self._send_challenge()

    def _send_challenge(self) -> None:
        version = 6 if self._version >= 6 or DistFlags.HANDSHAKE_23 in expand(self._theirs) else 5
        self._say(Challenge(version, self._offered, self.challenge, self.own.creation, self.own.name).encode())
        if version == 5:
            self._offered &= LOW_WORD
        self.state = State.WAIT_COMPLEMENT if version > self._version else State.WAIT_REPLY

    def _complement(self, message: bytes) -> None:
        rest = Complement.decode(message)
        self._theirs |= DistFlags(rest.flags_high << 32)
        self._creation = rest.creation
        missing = missing_mandatory(self._theirs, self.required)
        if missing:
            raise self._lacking(missing)
        self.state = State.WAIT_REPLY

    def _reply(self, message: bytes) -> None:
        reply = ChallengeReply.decode(message)
        cookie = self._cookie_for(self.peer_name)
        if not digest_is_right(reply.digest, cookie, self.challenge):
            raise HandshakeError(f"{self.peer_name} was refused: its cookie differs from ours", "bad_cookie")
        if not self._prove(self.peer_name, self._replaces):
            raise HandshakeError(f"{self.peer_name} was refused: it has come in by another connection", "nok")
        self._reply_ack = ChallengeAck(digest(cookie, reply.challenge)).encode()
        if self._replaces:
            self.state = State.REPLACING
            self._event = AliveConfirmed(self.peer_name)
        else:
            self._finish()

    def _closed(self, waited: State) -> HandshakeError:
        if waited is State.WAIT_ALIVE:  # a BEAM ends its dial so when ours has become the connection meanwhile
            return HandshakeError(
                f"{self.peer_name} has ended its attempt, and keeps the connection that it has", "nok"
            )
        return super()._closed(waited)

    def _finish(self) -> None:
        self._say(self._reply_ack)
        self._established(self._creation, expand(self._theirs), self.own, self._offered)

    # --- refusals ------------------------------------------------------------------------------
    def _checked(self, name: str) -> str:
        try:
            return str(parse_peer(name))
        except BadName as error:
            raise HandshakeError(f"the peer's name can not be used: {error}", "protocol") from None

    def _refuse(self, status: Status, why: str) -> None:
        self._say(StatusMessage(status).encode())
        raise HandshakeError(f"{self.peer_name} {why}", status.value)
