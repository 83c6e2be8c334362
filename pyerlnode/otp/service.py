"""Service: a server of this library that peers speak to, which no message ends.

A user's server ends by an exception of its own code, as in OTP. The servers of the kernel, supervisors and those of the
clusters and bridges take what any peer sends, and what one peer gets wrong must not cost all the others: an exception
costs the message that caused it and one line of the log with the stack; a caller is answered ``{error, Reason}``. It is
the last of three nets. What a message may look like is checked where it is taken apart; here ends what nobody thought
of; and a process that is killed is started again (`kernel.keeping`).
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer, shape
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.edges import caught, report
from pyerlnode.term.atom import A

log = logging.getLogger("pyerlnode.service")


class Service(GenServer):
    """Base class of servers whose messages come from everywhere."""

    __slots__ = ()
    unmatched: ClassVar[str] = "ignore"

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        """A call that is not known is answered so: its caller does not wait in vain."""
        return Reply((A.error, (A.unknown_call, request)))

    def handle_cast(self, request: Any) -> Any:
        """A cast that is not known is dropped."""

    def _crashed(self, error: BaseException, message: Any = None) -> None:
        reason = caught(error)
        if message is None or message_of_ours(message) or not self.process.alive:
            super()._crashed(error, message)
            return
        who = self.process.name or self.process.pid
        report(log, "%s could not handle a message (%s) and goes on", who, shape(message), exc_info=error)
        if type(message) is tuple and message[0] is gen.CALL:
            self.reply(message[1], (A.error, reason))


def message_of_ours(message: Any) -> bool:
    """What `init` asked to run first: without it the server is not what it must be, so it ends."""
    return type(message) is tuple and len(message) == 3 and message[0] is A.system and message[1] is None
