"""gen_fsm's messages on top of `GenStatem`, for Erlang clients that still speak them.

    message                                    kind of the event
    {'$gen_event', E}                          A.event
    {'$gen_sync_event', From, E}               (A.sync_event, from_)
    {'$gen_all_state_event', E}                A.all_state_event
    {'$gen_sync_all_state_event', From, E}     (A.sync_all_state_event, from_)

Everything else is as in `gen_statem`; a sync event is answered by ``ReplyTo(from_, value)``. The functions below are
the client's side, towards a gen_fsm anywhere.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from pyerlnode.otp import gen
from pyerlnode.otp.gen_statem import GenStatem, start
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom

_EVENTS: Final = {A["$gen_event"]: A.event, A["$gen_all_state_event"]: A.all_state_event}
_SYNC: Final = {A["$gen_sync_event"]: A.sync_event, A["$gen_sync_all_state_event"]: A.sync_all_state_event}


class GenFsm(GenStatem):
    """A state machine that old clients of gen_fsm can use."""

    __slots__ = ()
    otp_module: ClassVar[Atom] = A.gen_fsm

    def event_of(self, message: Any) -> tuple[Any, Any]:
        if type(message) is tuple and message and type(message[0]) is Atom:
            if len(message) == 2 and message[0] in _EVENTS:
                return _EVENTS[message[0]], message[1]
            if len(message) == 3 and message[0] in _SYNC:
                return (_SYNC[message[0]], message[1]), message[2]
        return super().event_of(message)


def send_event(system: System, dest: Any, event: Any) -> None:
    """``gen_fsm:send_event``."""
    system.send(dest, (A["$gen_event"], event))


def send_all_state_event(system: System, dest: Any, event: Any) -> None:
    """``gen_fsm:send_all_state_event``."""
    system.send(dest, (A["$gen_all_state_event"], event))


def sync_send_event(system: System, dest: Any, event: Any, timeout: float | None = 5.0) -> Any:
    """``gen_fsm:sync_send_event``; raises what `gen.call` raises."""
    return gen.call(system, dest, event, timeout, A["$gen_sync_event"])


def sync_send_all_state_event(system: System, dest: Any, event: Any, timeout: float | None = 5.0) -> Any:
    """``gen_fsm:sync_send_all_state_event``."""
    return gen.call(system, dest, event, timeout, A["$gen_sync_all_state_event"])


__all__ = ["GenFsm", "send_all_state_event", "send_event", "start", "sync_send_all_state_event", "sync_send_event"]
