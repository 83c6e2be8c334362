"""What the callbacks of a behaviour give back: OTP's tuples as small types, without the state.

    {reply, Value, S}            Reply(value)                  {stop, Reason, S}         Stop(reason)
    {reply, Value, S, 500}       Reply(value, timeout=0.5)     {stop, Reason, Value, S}  Stop(reason, reply=value)
    {noreply, S}                 NoReply()                     ignore                    Ignore()
    {noreply, S, {continue, C}}  NoReply(continue_=c)          {error, Reason}           Fail(reason)
    {ok, S, {continue, C}}       Continue(c)                   {ok, S, 500}              Timeout(0.5)
    {noreply, S, {timeout, 500, M}}                            NoReply(timeout=Timeout(0.5, m))

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
    """The server gets `timeout` as an info message when nothing else arrives within `seconds`.

    With a `message` it is OTP 28's ``{timeout, Time, Message}``: that is what it gets, as if somebody had sent it; a
    system message does not begin the wait anew, and one of 0 seconds comes before all that is in the mailbox.
    """

    __slots__ = ("message", "seconds")
    __match_args__ = ("seconds", "message")

    def __init__(self, seconds: float, message: Any = UNSET) -> None:
        self.seconds = seconds
        self.message = message

    def __repr__(self) -> str:
        told = "" if self.message is UNSET else f", {short(self.message)}"
        return f"Timeout({short(self.seconds)}{told})"


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

    def __init__(
        self, *, timeout: float | Timeout | None = None, continue_: Any = UNSET, hibernate: bool = False
    ) -> None:
        self.then = _then(timeout, continue_, hibernate)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.then or ''})"


class Reply:
    """Answer the caller with `value` and go on."""

    __slots__ = ("then", "value")
    __match_args__ = ("value",)

    def __init__(
        self, value: Any, *, timeout: float | Timeout | None = None, continue_: Any = UNSET, hibernate: bool = False
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


class Fail:
    """From `init`: give up, and ``start`` raises `StartFailed` with `reason`; the process ends with `normal`.

    OTP 26's ``{error, Reason}``: an end that is expected, which the log is not told and by which no parent ends.
    """

    __slots__ = ("reason",)
    __match_args__ = ("reason",)

    def __init__(self, reason: Any) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Fail({short(self.reason)})"


def _then(timeout: float | Timeout | None, continue_: Any, hibernate: bool) -> Timeout | Continue | None:
    # `hibernate` is accepted as OTP has it; there is no heap of a process to compact.
    del hibernate
    if continue_ is not UNSET:
        return Continue(continue_)
    return timeout if timeout is None or type(timeout) is Timeout else Timeout(timeout)  # type: ignore[arg-type]
