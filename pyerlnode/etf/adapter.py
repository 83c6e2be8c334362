"""Values of erlang-py (`OtpErlangAtom`, `OtpErlangBinary`, …) as terms, and back.

For programs that already hold such values: nothing else of the library makes or needs them. Both ways go
through the bytes, which both sides define the same way, so nothing of erlang-py's insides is relied upon:

    >>> import erlang
    >>> from pyerlnode.etf.adapter import from_otp, to_otp
    >>> from_otp((erlang.OtpErlangAtom("ok"), erlang.OtpErlangBinary(b"data")))
    (A.ok, b'data')
    >>> to_otp(b"data")
    OtpErlangBinary(b'data',bits=8)

`from_otp` reads a value as erlang-py would send it: there a `str` or `bytes` is a charlist. In a term that
pyerlnode sends they are binaries, as everywhere; `install` lets `OtpErlang*` values stand in such a term.
`to_otp` loses what erlang-py loses: keys that Python finds equal are one key there, and a list in a map that is a key
itself is a tuple. A key that it can not hold at all, as a map with lists in tuples, is a `UsageError`.

erlang-py is asked for when a function is called, not when this module is imported: the codec stands on the
standard library alone.
"""

from __future__ import annotations

import importlib
from typing import Any

from pyerlnode.errors import EncodeError, UsageError
from pyerlnode.etf import decode, encode
from pyerlnode.term.hooks import register_encoder

_CLASSES = (
    "OtpErlangAtom",
    "OtpErlangBinary",
    "OtpErlangList",
    "OtpErlangPid",
    "OtpErlangPort",
    "OtpErlangReference",
    "OtpErlangFunction",
)


def _erlang() -> Any:
    return importlib.import_module("erlang")


def from_otp(value: Any) -> Any:
    """The term for what erlang-py has. Raises `EncodeError` for what erlang-py itself could not send."""
    erlang = _erlang()
    try:
        data = erlang.term_to_binary(value)
    except (erlang.OutputException, TypeError, AttributeError, RecursionError) as error:
        raise EncodeError(f"erlang-py can not send this: {type(error).__name__}") from error
    return decode(data)


def to_otp(term: Any) -> Any:
    """What erlang-py has for a term. Raises `EncodeError`; `UsageError` for a term that erlang-py does not know."""
    erlang = _erlang()
    data = encode(term)
    try:
        return erlang.binary_to_term(data)
    except (erlang.ParseException, TypeError, ValueError, RecursionError) as error:  # of what its keys can not be
        raise UsageError(f"erlang-py has nothing for this term: {type(error).__name__}") from error


def _encode_otp(value: Any) -> Any:
    return decode(b"\x83" + value.binary())


def install() -> None:
    """Let `OtpErlang*` values stand in any term that is sent. Once a program is enough."""
    erlang = _erlang()
    for name in _CLASSES:
        register_encoder(getattr(erlang, name), _encode_otp)
