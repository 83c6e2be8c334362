"""The type of a behaviour whose start always gives a pid: for the annotations of `Node.start` and its kind.

Only an `init` that is annotated with `Ignore` (``-> Ignore | None``) may start nothing, and only its start is
``Pid | None``: whoever never ignores need not ask each pid whether it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pyerlnode.otp.results import Continue, Fail, Stop, Timeout
from pyerlnode.term.atom import Atom


class Starts(Protocol):
    """A behaviour whose `init` gives what `GenServer`, `GenStatem` and `Supervisor` go on with, and never `Ignore`."""

    def init(self, *args: Any, **kwargs: Any) -> Continue | Timeout | Stop | Fail | Atom | str | Sequence[Any] | None:
        """As the behaviour has it."""
