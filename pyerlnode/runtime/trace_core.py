"""The arithmetic of sequential trace tokens, as OTP's `seq_trace` has it.

A token is ``{Flags, Label, Serial, Sender, PreviousSerial}``. It comes with a message, becomes that of the process
which receives it, and leaves with all that this one sends, until a message without one is received. Serial counts
the messages of the trace as far as a process knows them; PreviousSerial is that of the message it received last.
Reference: seq_trace(3), and what two processes of a BEAM show each other (interop_tests/test_trace_tokens.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyerlnode.signal import Token

MOST = 2**59 - 1
"""The largest small integer of a BEAM."""


def is_token(value: Any) -> bool:
    """Whether a peer's `value` has the shape of a token; anything else is not handed on."""
    if type(value) is not tuple or len(value) != 5:
        return False
    return type(value[2]) is int and 0 <= value[2] < MOST


@dataclass(slots=True)
class TokenState:
    """What one process knows of the trace that it takes part in."""

    token: Token = None
    clock: int = 0
    """The largest serial that it has seen or given."""
    last: int = 0
    """Of the message it received last."""

    def received(self, token: Token) -> None:
        """It takes a message that carries `token`, or None."""
        self.token = token
        if token is not None:
            self.last = token[2]
            self.clock = max(self.clock, self.last)

    def sent(self, pid: Any) -> Token:
        """The token of what it, `pid`, sends now; None when it has none."""
        token = self.token
        if token is not None:
            self.clock += 1
            self.token = token = (token[0], token[1], self.clock, pid, self.last)
        return token
