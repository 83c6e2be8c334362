"""What an older release refuses, and drops the connection over: told at the sender, with its place.

- Before OTP 27 a map takes 0.0 and -0.0 for one key, so a map with two keys that differ in nothing else has one twice.
- Before OTP 29 there are no native records.

The flags of the handshake tell OTP 28 (ALTACT_SIG) and OTP 29 (NATIVE_RECORDS) from what was before; those of OTP 25,
26 and 27 are the same. So such maps go to no peer of which it is not known that it is newer.

Both encoders note that they have written a `TermMap` or a record, the only ones that can be concerned (a `dict` takes
the two zeros for one key itself), and only then, and only for an older peer, is the term looked through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from pyerlnode.etf.common import Refused
from pyerlnode.etf.locate import walk
from pyerlnode.term.containers import NativeRecord, Struct, TermMap

Check: TypeAlias = Callable[[Any], None]
"""Raises `EncodeError` for a term that a peer does not take."""


def check_for(*, zeros: bool, records: bool) -> Check | None:
    """The check for a peer that may not tell 0.0 from -0.0 as keys (`zeros`) or has no native records; else None."""
    if zeros and records:
        return None

    def check(term: Any) -> None:
        path = walk(term, lambda part, _leaf: not records and type(part) is NativeRecord)
        if path is not None:
            raise Refused("a native record, which this peer has not: OTP 29 and later have", path)
        path = walk(term, lambda part, _leaf: not zeros and _zero_twins(part))
        if path is not None:
            raise Refused("a map with two keys that differ in the sign of a zero: one key before OTP 27", path)

    return check


def _zero_twins(term: Any) -> bool:
    """Whether two keys of a map are written alike but for the sign of a zero."""
    if type(term) is TermMap:
        keys = [key for key, _ in term.pairs]
    elif type(term) is Struct and type(term.fields) is not dict:
        keys = list(term.fields)
    else:
        return False
    from pyerlnode.etf._encode_py import encode_term  # beside the compiled one it is for such maps alone

    negative, positive = encode_term(-0.0), encode_term(0.0)
    written = [encode_term(key) for key in keys]
    if not any(negative in key for key in written):
        return False
    return len({key.replace(negative, positive) for key in written}) != len(written)
