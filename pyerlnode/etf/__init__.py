"""The External Term Format: terms to bytes and back. The only place that chooses between the two codecs.

`IMPLEMENTATION` says which one runs: "c" (`_codec_c`, compiled) or "python" (`_codec_py`, the specification).
``PYERLNODE_PUREPYTHON=1`` forces the pure one; ``PYERLNODE_REQUIRE_C=1`` makes the absence of the compiled one
an `ImportError`, so that a deployment is not slow without saying so.

    >>> from pyerlnode.etf import decode, encode
    >>> decode(encode([1, 2.5, b"three", {b"four": None}]))
    [1, 2.5, b'three', {b'four': None}]

With the leading 131: `encode`, `encode_buffers`, `decode`, `decode_prefix`. Without, for distribution packets
with a header: `encode_term`, `encode_term_buffers`, `decode_term`, where ATOM_CACHE_REF indexes `atoms`; and a whole
packet at once: `encode_packet`, `decode_packet`. Packets of the usual signals, from and to the signals themselves:
`PacketReader`, `PacketWriter`.
Encoding raises `EncodeError` only, decoding `DecodeError` only, whatever the input.
"""

from __future__ import annotations

import os

from pyerlnode.etf.common import ELIXIR, ERLANG, AtomBudget, Atoms, AtomValue, Buffer, Data, Profile, atom_value

if os.environ.get("PYERLNODE_PUREPYTHON") == "1":
    from pyerlnode.etf._codec_py import (
        PacketReader,
        PacketWriter,
        decode,
        decode_packet,
        decode_prefix,
        decode_term,
        encode,
        encode_buffers,
        encode_packet,
        encode_term,
        encode_term_buffers,
    )

    IMPLEMENTATION = "python"
else:
    try:
        from pyerlnode.etf._codec_c import (  # type: ignore[assignment]  # classes of one shape
            PacketReader,
            PacketWriter,
            decode,
            decode_packet,
            decode_prefix,
            decode_term,
            encode,
            encode_buffers,
            encode_packet,
            encode_term,
            encode_term_buffers,
        )

        IMPLEMENTATION = "c"
    except ImportError as error:
        if os.environ.get("PYERLNODE_REQUIRE_C") == "1":
            raise ImportError("PYERLNODE_REQUIRE_C=1, but the compiled codec is not there") from error
        from pyerlnode.etf._codec_py import (
            PacketReader,
            PacketWriter,
            decode,
            decode_packet,
            decode_prefix,
            decode_term,
            encode,
            encode_buffers,
            encode_packet,
            encode_term,
            encode_term_buffers,
        )

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
    "PacketReader",
    "PacketWriter",
    "Profile",
    "atom_value",
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
