"""System messages: what `sys`, supervisors and observer ask of any OTP process (protocol.md E.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyerlnode.otp import gen
from pyerlnode.otp.results import Continue
from pyerlnode.term.atom import A, Atom


@dataclass(slots=True)
class SysState:
    """What `sys` has switched on for one process; made on first use."""

    suspended: bool = False


def handle_system_message(server: Any, from_: Any, request: Any) -> None:
    """Carry out one ``{system, From, Request}`` for a behaviour's handler."""
    if from_ is None and isinstance(request, Continue):  # our own: what init asked to run before any message
        server.continue_(request.value)
        return
    system = server.process.system
    match request:
        case A.get_state:
            gen.reply(system, from_, (A.ok, {Atom(key): value for key, value in vars(server).items()}))
        case (A.terminate, reason):
            gen.reply(system, from_, A.ok)
            server._stop(reason)
        case _:
            gen.reply(system, from_, (A.error, (A.unknown_system_msg, request)))
