"""What can go wrong between a test and its BEAM. None of it is about the protocol under test."""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import PyerlnodeError


class BeamError(PyerlnodeError):
    """Source that the BEAM was given ended by an exception: `kind` is `error`, `exit` or `throw`.

    `reason` is the reason as a value, `stack` the BEAM's stack as a term of Erlang. The text is that of the BEAM's own
    shell, whole and with the stack: Erlang's begins with the reason as it stands, Elixir's with ``** (RuntimeError)``.
    """

    def __init__(self, kind: str, reason: Any, stack: str, text: str) -> None:
        super().__init__(f"{kind} on the BEAM: {text}")
        self.kind = kind
        self.reason = reason
        self.stack = stack


class BeamDown(PyerlnodeError):
    """The BEAM is not running (any more); the text ends with its last lines of output."""


class BeamTimeout(PyerlnodeError, TimeoutError):
    """The BEAM did not answer the control channel in time."""


class BeamUnavailable(PyerlnodeError):
    """No BEAM can be started here; the text says what was looked for and how to get one."""
