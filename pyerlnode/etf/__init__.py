"""The External Term Format: terms to bytes and back. The only place that chooses between the two codecs.

`IMPLEMENTATION` says which one runs: "c" (`_codec_c`, compiled) or "python" (`_codec_py`, the specification).
``PYERLNODE_PUREPYTHON=1`` forces the pure one; ``PYERLNODE_REQUIRE_C=1`` makes the absence of the compiled one
an `ImportError`, so that a deployment is not slow without saying so.

    >>> from pyerlnode.etf import decode, encode
    >>> decode(encode([1, 2.5, b"three", {b"four": None}]))
    [1, 2.5, b'three', {b'four': None}]

With the leading 131: `encode`, `encode_buffers`, `decode`, `decode_prefix`. Without, for distribution packets
with a header: `encode_term`, `encode_term_buffers`, `decode_term`, where ATOM_CACHE_REF indexes `atoms`.
Encoding raises `EncodeError` only, decoding `DecodeError` only, whatever the input.
"""

from __future__ import annotations

import os
from typing import Any

from pyerlnode.errors import DecodeError, LimitExceeded
from pyerlnode.etf import tags
from pyerlnode.etf.common import (
    ELIXIR,
    ERLANG,
    NO_ATOMS,
    AtomBudget,
    Atoms,
    AtomValue,
    Buffer,
    Data,
    Profile,
    atom_value,
    deflate,
    inflate,
)
from pyerlnode.limits import DEFAULT_LIMITS, Limits

if os.environ.get("PYERLNODE_PUREPYTHON") == "1":
    from pyerlnode.etf._codec_py import decode_term, encode_term, encode_term_buffers

    IMPLEMENTATION = "python"
else:
    try:
        from pyerlnode.etf._codec_c import decode_term, encode_term, encode_term_buffers

        IMPLEMENTATION = "c"
    except ImportError as error:
        if os.environ.get("PYERLNODE_REQUIRE_C") == "1":
            raise ImportError("PYERLNODE_REQUIRE_C=1, but the compiled codec is not there") from error
        from pyerlnode.etf._codec_py import decode_term, encode_term, encode_term_buffers

        IMPLEMENTATION = "python"

__all__ = [
    "ELIXIR",
    "ERLANG",
    "IMPLEMENTATION",
    "AtomBudget",
    "AtomValue",
    "Atoms",
    "Buffer",
    "Data",
    "Profile",
    "atom_value",
    "decode",
    "decode_prefix",
    "decode_term",
    "encode",
    "encode_buffers",
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
