"""What the callbacks of a behaviour give back: OTP's tuples as small types, without the state.

    {reply, Value, S}            Reply(value)                  {stop, Reason, S}         Stop(reason)
    {reply, Value, S, 500}       Reply(value, timeout=0.5)     {stop, Reason, Value, S}  Stop(reason, reply=value)
    {noreply, S}                 NoReply()                     ignore                    Ignore()
    {noreply, S, {continue, C}}  NoReply(continue_=c)          {ok, S, {continue, C}}    Continue(c)

They are treated as frozen. `then` sums up what is to happen behind the answer, None in the common case, so that the
path of a message looks at one attribute.
"""

from __future__ import annotations

from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.term.atom import A

UNSET: Final = object()
"""No value was given; None is a value (`nil`)."""


class Timeout:
    """The server gets `timeout` as an info message when nothing else arrives within `seconds`."""

    __slots__ = ("seconds",)
    __match_args__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"Timeout({short(self.seconds)})"


class Continue:
    """``handle_continue(value)`` runs next, before any message. From `init`, or as `continue_=` of a result."""

    __slots__ = ("value",)
    __match_args__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Continue({short(self.value)})"


class NoReply:
    """Go on; a caller, if there is one, is answered later by `reply(from_, value)`."""

    __slots__ = ("then",)

    def __init__(self, *, timeout: float | None = None, continue_: Any = UNSET, hibernate: bool = False) -> None:
        self.then = _then(timeout, continue_, hibernate)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.then or ''})"


class Reply:
    """Answer the caller with `value` and go on."""

    __slots__ = ("then", "value")
    __match_args__ = ("value",)

    def __init__(
        self, value: Any, *, timeout: float | None = None, continue_: Any = UNSET, hibernate: bool = False
    ) -> None:
        self.value = value
        self.then = None if timeout is None and continue_ is UNSET else _then(timeout, continue_, hibernate)

    def __repr__(self) -> str:
        return f"Reply({short(self.value)})"


class Stop:
    """End with `reason`; with `reply`, the caller is answered first."""

    __slots__ = ("reason", "reply")
    __match_args__ = ("reason",)

    def __init__(self, reason: Any = A.normal, *, reply: Any = UNSET) -> None:
        self.reason = reason
        self.reply = reply

    def __repr__(self) -> str:
        return f"Stop({short(self.reason)})"


class Ignore:
    """From `init`: do not start, and that is no error."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Ignore()"


def _then(timeout: float | None, continue_: Any, hibernate: bool) -> Timeout | Continue | None:
    # `hibernate` is accepted as OTP has it; there is no heap of a process to compact.
    del hibernate
    if continue_ is not UNSET:
        return Continue(continue_)
    return None if timeout is None else Timeout(timeout)
