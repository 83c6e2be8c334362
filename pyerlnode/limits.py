"""Every bound that protects a node from its peers, in one place.

Erlang's distribution trusts a peer with the node's memory; Python must not. Each limit has a default
that a real cluster never meets; a program that needs another one builds its own `Limits`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a peer may make this node hold. Sizes are bytes unless said otherwise."""

    frame_size: int = 256 * 1024 * 1024
    """One packet of the distribution. OTP fragments payloads over 64 KiB, so real ones are smaller."""
    inflated_size: int = 256 * 1024 * 1024
    """What a compressed term may claim to inflate to."""
    decoded_size: int = 512 * 1024 * 1024
    """What the lists, tuples and maps of one term may take here: an empty list is a byte on the wire, and 64 here."""
    nesting: int = 1_000_000
    """Depth of a term. 100,000 nested lists are legal on a BEAM; both codecs keep the depth on the heap."""
    integer_digits: int = 16 * 1024 * 1024
    """Digits (base 256) of one integer; the BEAM's own limit is 4 MB."""
    atoms: int = 200_000
    """Atoms that one peer may add to this node's table, which never shrinks: by all its connections together."""
    all_atoms: int = 400_000
    """Atoms that all peers together may add, their names among them. A BEAM's whole table has a million."""
    relations: int = 500_000
    """Monitors that one peer may have of processes here, and links with them: one takes some 440 and 280 bytes."""
    pending_fragments: int = 1_024
    """Fragmented messages that one peer may have begun and not finished."""
    fragmented_size: int = 1024 * 1024 * 1024
    """The sum of what those hold."""
    pending_handshakes: int = 256
    """Accepted sockets that have not proved the cookie; for one more another one leaves (`net.admission_core`)."""
    handshake_message: int = 4_096
    """One message of the handshake; the longest legal one is below 1,100."""
    send_buffer: int = 8 * 1024 * 1024
    """Bytes queued to one peer before senders wait (OTP's `+zdbbl` is 1 MB)."""
    overflow: int = 16 * 1024 * 1024
    """Bytes that messages of one peer hold beyond mailbox limits (policy `suspend`) before it is read no further."""


DEFAULT_LIMITS = Limits()
