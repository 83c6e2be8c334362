"""The rules of exits and links, as decisions over plain values (protocol.md C.6; OTP's "Processes" chapter).

An exit signal meets a process in one of two forms: the end of a link (`link_exit`), or ``exit(Pid, Reason)``
(`exit2`). What happens is one of three outcomes: the process ignores it, it dies with a reason, or it gets
``{'EXIT', From, Reason}`` as a message.

    reason      link, not trapping   link, trapping    exit/2, not trapping    exit/2, trapping
    normal      ignored              message           ignored (dies if self)  message
    kill        dies with kill       message           dies with killed        dies with killed
    other       dies with it         message           dies with it            message

A link to a process of another node has two ends that can disagree for as long as a signal travels. `LinkEnd` is
the state of ours; the unlink protocol (an id per unlink, an acknowledgement) settles the races.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.term.atom import A

ALIVE: Final = object()
"""The exit reason of a process that has none."""

IGNORE: Final = 0
DIE: Final = 1
MESSAGE: Final = 2


def link_exit(trap_exit: bool, reason: Any) -> tuple[int, Any]:
    """Outcome of the end of an active link. The link is gone in each case."""
    if trap_exit:
        return MESSAGE, reason
    return (IGNORE, None) if reason is A.normal else (DIE, reason)


def exit2(trap_exit: bool, reason: Any, *, from_self: bool) -> tuple[int, Any]:
    """Outcome of ``exit(Pid, Reason)``; it needs no link."""
    if reason is A.kill:
        return DIE, A.killed
    if trap_exit:
        return MESSAGE, reason
    if reason is A.normal and not from_self:
        return IGNORE, None
    return DIE, reason


@dataclass(slots=True)
class LinkEnd:
    """Our end of a link to a remote process: is it `active`, and which unlink still wants its acknowledgement."""

    active: bool = True
    unlink_id: int = 0

    def link(self) -> bool:
        """We link (again). True when a LINK must be sent."""
        fresh = not self.active
        self.active = True
        return fresh

    def unlink(self, new_id: int) -> bool:
        """We unlink. True when UNLINK_ID with `new_id` must be sent."""
        if not self.active:
            return False
        self.active = False
        self.unlink_id = new_id
        return True

    def link_received(self) -> None:
        """The peer links. While our unlink travels its LINK is older than what we want: ignored."""
        if not self.unlink_id:
            self.active = True

    def unlink_received(self) -> bool:
        """The peer unlinks (we always acknowledge). True when the entry can be forgotten."""
        self.active = False
        return not self.unlink_id

    def ack_received(self, id: int) -> bool:
        """True when the entry can be forgotten: the unlink is settled and nobody linked again meanwhile."""
        if id == self.unlink_id:
            self.unlink_id = 0
        return not self.active and not self.unlink_id

    def exit_received(self) -> bool:
        """True when the exit counts; an exit over a link that we have cut is ignored."""
        return self.active
