"""The six messages of the distribution handshake, as values and as bytes (without their length prefix).

Reference: Erlang distribution protocol, "Distribution Handshake".

    initiator                              acceptor
    SendName    'N' (or 'n')       ->
                                   <-      StatusMessage 's'
    StatusMessage 's' true|false   ->              only after the status `alive`
                                   <-      Challenge 'N' (or 'n')
    Complement  'c'                ->              only when 'n' was answered with 'N'
    ChallengeReply 'r'             ->
                                   <-      ChallengeAck 'a'

Version 6 writes 'N' with 64 flags and the creation, version 5 writes 'n' with the low 32 flags. Every `decode` takes a
whole message and raises `HandshakeError` with the reason `protocol` for one that is not well formed.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pyerlnode.dist.flags import LOW_WORD, DistFlags
from pyerlnode.errors import CookieError, HandshakeError

NAME_6 = 0x4E
NAME_5 = 0x6E
STATUS = 0x73
COMPLEMENT = 0x63
REPLY = 0x72
ACK = 0x61

_NAME_6 = struct.Struct(">BQIH")
_NAME_5 = struct.Struct(">BHI")
_CHALLENGE_6 = struct.Struct(">BQIIH")
_CHALLENGE_5 = struct.Struct(">BHII")
_COMPLEMENT = struct.Struct(">BII")
_REPLY = struct.Struct(">BI16s")
_ACK = struct.Struct(">B16s")


class Status(Enum):
    """The acceptor's first answer; each says by its consequence what it means."""

    OK = "ok"
    """Go on."""
    OK_SIMULTANEOUS = "ok_simultaneous"
    """Go on; the acceptor drops the attempt that it had under way itself."""
    NOK = "nok"
    """The acceptor's own attempt wins: give up and expect its connection."""
    NOT_ALLOWED = "not_allowed"
    """A mandatory flag is missing, or the name is not on the list. Do not try again by yourself."""
    ALIVE = "alive"
    """The acceptor still holds a connection to this name: answer `true` to replace it, `false` to leave."""
    NAMED = "named:"
    """The answer to a node that asked for a name: here it is."""
    TRUE = "true"
    """The initiator's answer to `alive`."""
    FALSE = "false"


def digest(cookie: str, challenge: int) -> bytes:
    """MD5 of the cookie and of the other side's challenge in decimal: 16 bytes."""
    try:
        text = cookie.encode("latin-1")
    except UnicodeEncodeError:
        raise CookieError("a cookie is made of the characters from space to ~") from None
    return hashlib.md5(text + str(challenge).encode(), usedforsecurity=False).digest()


def digest_is_right(given: bytes, cookie: str, challenge: int) -> bool:
    """Compared in constant time, so that the answer's timing tells nothing about the cookie."""
    return hmac.compare_digest(given, digest(cookie, challenge))


@dataclass(frozen=True, slots=True)
class SendName:
    """Who the initiator is. With NAME_ME among the flags, `name` is its host part only."""

    version: int
    flags: DistFlags
    creation: int
    name: str

    def encode(self) -> bytes:
        text = self.name.encode()
        if self.version >= 6:
            return _NAME_6.pack(NAME_6, self.flags, self.creation, len(text)) + text
        return _NAME_5.pack(NAME_5, 5, self.flags & LOW_WORD) + text

    @classmethod
    def decode(cls, message: bytes) -> SendName:
        if message[0] == NAME_6:
            _, flags, creation, size = _unpack(_NAME_6, message)
            return cls(6, DistFlags(flags), creation, _name(message, _NAME_6.size, size))
        _, version, flags = _unpack(_NAME_5, message)
        _check_version(version)
        return cls(5, DistFlags(flags), 0, _name(message, _NAME_5.size))


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A status; `name` and `creation` belong to `NAMED` only."""

    status: Status
    name: str = ""
    creation: int = 0

    def encode(self) -> bytes:
        text = bytes([STATUS]) + self.status.value.encode()
        if self.status is not Status.NAMED:
            return text
        name = self.name.encode()
        return text + struct.pack(">H", len(name)) + name + struct.pack(">I", self.creation)

    @classmethod
    def decode(cls, message: bytes) -> StatusMessage:
        text = message[1:]
        if not text.startswith(b"named:"):
            try:
                return cls(Status(text.decode("ascii")))
            except ValueError:
                raise _broken("an unknown status") from None
        size = int.from_bytes(text[6:8], "big")
        if len(text) < 8 + size + 4:
            raise _broken("a status cut short")
        return cls(Status.NAMED, _name(text, 8, size), int.from_bytes(text[8 + size : 12 + size], "big"))


@dataclass(frozen=True, slots=True)
class Challenge:
    """Who the acceptor is, and the number that the initiator has to sign with the cookie."""

    version: int
    flags: DistFlags
    challenge: int
    creation: int
    name: str

    def encode(self) -> bytes:
        text = self.name.encode()
        if self.version >= 6:
            return _CHALLENGE_6.pack(NAME_6, self.flags, self.challenge, self.creation, len(text)) + text
        return _CHALLENGE_5.pack(NAME_5, 5, self.flags & LOW_WORD, self.challenge) + text

    @classmethod
    def decode(cls, message: bytes) -> Challenge:
        if message[0] == NAME_6:
            _, flags, number, creation, size = _unpack(_CHALLENGE_6, message)
            return cls(6, DistFlags(flags), number, creation, _name(message, _CHALLENGE_6.size, size))
        _, version, flags, number = _unpack(_CHALLENGE_5, message)
        _check_version(version)
        return cls(5, DistFlags(flags), number, 0, _name(message, _CHALLENGE_5.size))


@dataclass(frozen=True, slots=True)
class Complement:
    """What a SendName of version 5 had no room for."""

    flags_high: int
    creation: int

    def encode(self) -> bytes:
        return _COMPLEMENT.pack(COMPLEMENT, self.flags_high, self.creation)

    @classmethod
    def decode(cls, message: bytes) -> Complement:
        _, high, creation = _unpack(_COMPLEMENT, message)
        return cls(high, creation)


@dataclass(frozen=True, slots=True)
class ChallengeReply:
    """The initiator's own challenge, and its signature of the acceptor's."""

    challenge: int
    digest: bytes

    def encode(self) -> bytes:
        return _REPLY.pack(REPLY, self.challenge, self.digest)

    @classmethod
    def decode(cls, message: bytes) -> ChallengeReply:
        _, number, signed = _unpack(_REPLY, message)
        return cls(number, signed)


@dataclass(frozen=True, slots=True)
class ChallengeAck:
    """The acceptor's signature of the initiator's challenge."""

    digest: bytes

    def encode(self) -> bytes:
        return _ACK.pack(ACK, self.digest)

    @classmethod
    def decode(cls, message: bytes) -> ChallengeAck:
        return cls(_unpack(_ACK, message)[1])


def _unpack(form: struct.Struct, message: bytes) -> tuple[Any, ...]:
    if len(message) < form.size:
        raise _broken("a message cut short")
    return form.unpack_from(message)


def _check_version(version: int) -> None:
    if version != 5:
        raise _broken(f"version {version} of the handshake")


def _name(message: bytes, start: int, size: int | None = None) -> str:
    """A name of `size` bytes, or of all that follow. Bytes after it are for later versions and ignored."""
    end = len(message) if size is None else start + size
    if end > len(message):
        raise _broken("a name cut short")
    text = message[start:end]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _broken(what: str) -> HandshakeError:
    return HandshakeError(f"the peer sent {what} in the handshake", "protocol")
