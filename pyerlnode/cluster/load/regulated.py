"""Regulated: a GenServer that answers ``{error, overload}``, without running, to calls that it has no time for.

    class Model(Regulated):
        regulation = Regulation(max_wait=0.5, mailbox=100)

        def handle_call(self, request, from_): ...

A call is looked at when its turn comes, before `handle_call`, and is one of these:

    its caller has ended or given up                    dropped: nobody waits for the answer
    it has waited longer than `max_wait`                refused: its caller will soon give up, and younger ones will not
    more than `mailbox` messages wait behind it         refused, the oldest first, until the mailbox is short again
    the `queue` of the regulator gives no permit        refused; else it runs with the permit, until it returns

So a server that was overrun works off its mailbox at once, and what it runs is still wanted. How long a call has waited
is known to within the time of handling one message (`regulated_core`). Casts and other messages are not looked at.
A server that shall refuse while it is busy stands behind a `Pool` of size 1: the pool's process answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pyerlnode.cluster.load import callers
from pyerlnode.cluster.load.regulated_core import Arrivals
from pyerlnode.cluster.load.regulator import Permit, Regulator, RemotePermit
from pyerlnode.errors import Exit
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.term.atom import A

OVERLOAD = (A.error, A.overload)


@dataclass(frozen=True, slots=True)
class Regulation:
    """What calls a `Regulated` server runs.

    Args:
        max_wait: seconds that a call may have waited; None: any time.
        mailbox: messages that may wait behind it; None: any number.
        regulator, queue: the regulator (name or pid) and its queue that give each call a permit; None: none is needed.
        timeout: seconds that the server waits for the permit.
        forwarded: calls may have been handed on by a server of another node. Their callers monitor that one, so it is
            not seen here whether they have given up; unless this is said, such calls are refused.
    """

    max_wait: float | None = 1.0
    mailbox: int | None = 1000
    regulator: Any = "regulator"
    queue: str | None = None
    timeout: float = 0.0
    forwarded: bool = False


class Regulated(GenServer):
    """The base of a server, instead of `GenServer`.

    Attributes:
        regulation: the limits.
        regulated: how many calls were ``refused``, and how many ``dropped`` because nobody waited for them.
    """

    __slots__ = ("_arrivals", "regulated")  # no part of the state that `sys` shows
    regulation: ClassVar[Regulation] = Regulation()
    _arrivals: Arrivals
    regulated: dict[str, int]

    def handle(self, message: Any) -> None:
        self._regulate(message, super().handle)

    def handle_debugged(self, message: Any, note: Callable[[Any], None]) -> None:
        self._regulate(message, lambda message: super(Regulated, self).handle_debugged(message, note))

    def _regulate(self, message: Any, go_on: Callable[[Any], None]) -> None:
        arrivals = getattr(self, "_arrivals", None)
        if arrivals is None:
            arrivals = self._arrivals = Arrivals()
            self.regulated = {"refused": 0, "dropped": 0}
        process = self.process
        left = len(process.queue or ())
        waited = arrivals.taken(left, process.system.timers.now())
        if not (type(message) is tuple and len(message) == 3 and message[0] is gen.CALL):
            go_on(message)
            return
        from_ = message[1]
        rules = self.regulation
        if not callers.is_from(from_) or callers.has_ended(process.system, from_):
            self.regulated["dropped"] += 1
        elif not (rules.forwarded or callers.is_watched(process.system, from_)):
            self.regulated["dropped"] += 1
            gen.reply(process.system, from_, OVERLOAD)  # should somebody wait for it after all
        elif (rules.max_wait is not None and waited > rules.max_wait) or (
            rules.mailbox is not None and left > rules.mailbox
        ):
            self._refuse(from_)
        elif rules.queue is None:
            go_on(message)
        else:
            self._with_permit(rules, from_, message, go_on)

    def _with_permit(self, rules: Regulation, from_: Any, message: Any, go_on: Callable[[Any], None]) -> None:
        try:
            permit: Permit | RemotePermit = Regulator(rules.regulator, on=self.process.system).permit(
                rules.queue, timeout=rules.timeout
            )
        except Exit:  # without a regulator there are no permits
            self._refuse(from_)
            return
        try:
            go_on(message)
        finally:
            permit.done()

    def _refuse(self, from_: Any) -> None:
        self.regulated["refused"] += 1
        gen.reply(self.process.system, from_, OVERLOAD)


__all__ = ["Regulated", "Regulation"]
