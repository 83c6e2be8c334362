"""The capabilities that two nodes tell each other in the handshake.

Reference: Erlang distribution protocol, "Distribution Flags" (OTP's names without the prefix DFLAG_).

Each side sends its set; in use on the connection is what both have. A node refuses a peer that lacks a
mandatory one. The set of OTP 25 may be abbreviated: a peer that sends MANDATORY_25_DIGEST (bit 26 in
the code, whatever the text of the documentation says) means all of `MANDATORY_25`, and the receiver
writes them out (`expand`) before it checks and before it forms the intersection. Bits that are not
known here are kept and ignored.
"""

from __future__ import annotations

from enum import IntFlag


class DistFlags(IntFlag):
    """What a node can do. A peer may send bits that have no name here."""

    PUBLISHED = 1 << 0
    """Visible: takes part in `nodes()`, in the mesh and in `global`."""
    ATOM_CACHE = 1 << 1
    EXTENDED_REFERENCES = 1 << 2
    DIST_MONITOR = 1 << 3
    FUN_TAGS = 1 << 4
    DIST_MONITOR_NAME = 1 << 5
    HIDDEN_ATOM_CACHE = 1 << 6
    NEW_FUN_TAGS = 1 << 7
    EXTENDED_PIDS_PORTS = 1 << 8
    EXPORT_PTR_TAG = 1 << 9
    BIT_BINARIES = 1 << 10
    NEW_FLOATS = 1 << 11
    UNICODE_IO = 1 << 12
    DIST_HDR_ATOM_CACHE = 1 << 13
    SMALL_ATOM_TAGS = 1 << 14
    UTF8_ATOMS = 1 << 16
    MAP_TAG = 1 << 17
    BIG_CREATION = 1 << 18
    SEND_SENDER = 1 << 19
    BIG_SEQTRACE_LABELS = 1 << 20
    EXIT_PAYLOAD = 1 << 22
    FRAGMENTS = 1 << 23
    HANDSHAKE_23 = 1 << 24
    UNLINK_ID = 1 << 25
    MANDATORY_25_DIGEST = 1 << 26
    SPAWN = 1 << 32
    NAME_ME = 1 << 33
    """The initiator has no name and asks the acceptor for one."""
    V4_NC = 1 << 34
    ALIAS = 1 << 35
    ALTACT_SIG = 1 << 37
    NATIVE_RECORDS = 1 << 38


LOW_WORD = DistFlags(0xFFFFFFFF)
"""What a handshake of version 5 can carry before the complement."""

MANDATORY_25 = (
    DistFlags.EXTENDED_REFERENCES
    | DistFlags.FUN_TAGS
    | DistFlags.NEW_FUN_TAGS
    | DistFlags.EXTENDED_PIDS_PORTS
    | DistFlags.EXPORT_PTR_TAG
    | DistFlags.BIT_BINARIES
    | DistFlags.NEW_FLOATS
    | DistFlags.UTF8_ATOMS
    | DistFlags.MAP_TAG
    | DistFlags.BIG_CREATION
    | DistFlags.HANDSHAKE_23
)
MANDATORY = MANDATORY_25 | DistFlags.UNLINK_ID | DistFlags.V4_NC
"""What OTP 26 and later demand of a peer, and so does this node; every node since OTP 24 has them."""

HIDDEN_FLAGS = DistFlags(0x6D07DF7FBC)
"""What a node of this library sends: the set of OTP 29 without PUBLISHED."""
VISIBLE_FLAGS = HIDDEN_FLAGS | DistFlags.PUBLISHED


def expand(flags: int) -> DistFlags:
    """`flags` with the abbreviation MANDATORY_25_DIGEST written out."""
    known = DistFlags(flags)
    return known | MANDATORY_25 if DistFlags.MANDATORY_25_DIGEST in known else known


def missing_mandatory(flags: int, required: DistFlags = MANDATORY) -> DistFlags:
    """Those of `required` that a peer which sent `flags` lacks; empty (false) when it may come in."""
    return required & ~expand(flags)


def names(flags: int) -> str:
    """The known flags as text, for errors and logs: ``UNLINK_ID, V4_NC``."""
    return ", ".join(str(member.name) for member in DistFlags if member & flags)
