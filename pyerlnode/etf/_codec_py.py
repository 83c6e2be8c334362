"""The readable codec, which is the specification of the compiled one (`_codec_c.pyx`): the same names, the same law.

`_decode_py` reads and `_encode_py` writes terms without the leading 131; here it is put before them, and what
only a term that stands alone may be is handled: compressed, and followed by nothing.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import DecodeError, LimitExceeded
from pyerlnode.etf import tags
from pyerlnode.etf._decode_py import decode_packet, decode_term
from pyerlnode.etf._encode_py import encode_packet, encode_term, encode_term_buffers
from pyerlnode.etf._packets_py import PacketReader, PacketWriter
from pyerlnode.etf.common import (
    ELIXIR,
    NO_ATOMS,
    AtomBudget,
    Atoms,
    Buffer,
    Data,
    Profile,
    deflate,
    inflate,
)
from pyerlnode.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "PacketReader",
    "PacketWriter",
    "decode",
    "decode_packet",
    "decode_prefix",
    "decode_term",
    "encode",
    "encode_buffers",
    "encode_packet",
    "encode_term",
    "encode_term_buffers",
]


def encode(term: Any, *, profile: Profile = ELIXIR, compressed: bool | int = False) -> bytes:
    """`term` in the External Term Format, as OTP 26 and later write it.

    `compressed` is a level of zlib (True means 6); what would not get shorter is left as it is.
    Raises `EncodeError`, whose `path` says where in the term the value stands that has no form.
    """
    body = encode_term(term, profile)
    if compressed is False:
        return b"\x83" + body
    return deflate(body, 6 if compressed is True else compressed)


def encode_buffers(term: Any, *, profile: Profile = ELIXIR) -> list[Buffer]:
    """The same as buffers to be sent one after the other; binaries of 64 KB and more are not copied."""
    return encode_term_buffers(term, profile, b"\x83")


def decode(data: Data, *, profile: Profile = ELIXIR, atoms: Atoms = "new", limits: Limits = DEFAULT_LIMITS) -> Any:
    """The term that `data` is, from its 131 to its last byte.

    ``atoms="existing"`` refuses atoms that nobody has used yet: give it for bytes that are not trusted.
    Raises `DecodeError` with the offset; `LimitExceeded`, which is one, for claims beyond `limits`.
    """
    term, end = decode_prefix(data, profile=profile, atoms=atoms, limits=limits)
    if end != len(data):
        raise DecodeError("bytes after the term", end)
    return term


def decode_prefix(
    data: Data,
    offset: int = 0,
    *,
    profile: Profile = ELIXIR,
    atoms: Atoms = "new",
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[Any, int]:
    """The term whose 131 is at `offset`, and the offset after it: what follows is not looked at."""
    if not 0 <= offset < len(data) or data[offset] != tags.VERSION:
        raise DecodeError("no term in the External Term Format: 131 expected", max(0, min(offset, len(data))))
    budget = AtomBudget(limits.atoms) if atoms == "new" else NO_ATOMS
    offset += 1
    if offset < len(data) and data[offset] == tags.COMPRESSED:
        return _decode_compressed(data, offset, budget, limits, profile)
    return decode_term(data, offset, None, budget, limits, profile)


def _decode_compressed(
    data: Data, offset: int, budget: AtomBudget, limits: Limits, profile: Profile
) -> tuple[Any, int]:
    """A compressed term; an error in what was inflated is told of its tag, the only offset the caller can find."""
    body, end = inflate(data, offset, limits)
    try:
        term, used = decode_term(body, 0, None, budget, limits, profile)
    except LimitExceeded as error:
        raise LimitExceeded(f"within a compressed term, {error}, in the term", offset) from None
    except DecodeError as error:
        raise DecodeError(f"within a compressed term, {error}, in the term", offset) from None
    if used != len(body):
        raise DecodeError("bytes after a term that was compressed", offset)
    return term, end
