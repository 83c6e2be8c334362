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
