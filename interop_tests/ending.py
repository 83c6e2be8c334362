"""Python servers and functions that end in every way, for `test_exceptions.py`."""

import asyncio
import sys
from typing import Any

import gevent

from pyerlnode import A, GenServer, NoReply, Reply
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_statem import GenStatem, KeepState, ReplyTo


class Panic(BaseException):
    """As a Rust extension raises it."""


KINDS = {
    "panic": Panic,
    "system_exit": SystemExit,
    "keyboard_interrupt": KeyboardInterrupt,
    "generator_exit": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "timeout": gevent.Timeout,
    "greenlet_exit": gevent.GreenletExit,
    "value_error": ValueError,
}


def raise_(kind: Any) -> None:
    raise KINDS[str(kind)]


def leave() -> None:
    sys.exit(2)


class Thing:
    """No term."""


def thing(*_: Any) -> Any:
    return [1, Thing()]


class Ending(GenServer):
    """Has attributes with names that our own code uses; ends as it is told."""

    def init(self) -> None:
        self.server = self._timer = self._parent = self._sys = Thing()
        self.count = 0

    def handle_call(self, request: Any, from_: Any) -> Any:
        self.count += 1
        match request:
            case (A.raise_, kind):
                raise_(kind)
            case A.thing:
                return Reply(Thing())
            case A.early:
                self.reply(from_, Thing())
                return NoReply()
        return Reply(self.count)

    def handle_cast(self, request: Any) -> None:
        raise_(request)

    handle_info = handle_cast


class Machine(GenStatem):
    def init(self) -> Any:
        return A.open

    def open(self, kind: Any, content: Any) -> Any:
        return KeepState(ReplyTo(kind[1], Thing() if content is A.thing else 1))


class Handler(EventHandler):
    def handle_call(self, request: Any) -> Any:
        return Reply(Thing() if request is A.thing else 1)

    def handle_event(self, event: Any) -> None:
        raise_(event)
