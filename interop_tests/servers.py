"""The Python servers of the interop tests, and the few words that the tests share."""

from typing import Any

from pyerlnode import A, GenServer, NoReply, Reply, Stop, receive
from pyerlnode.errors import Exit
from pyerlnode.testing.patience import patience


class Desk(GenServer):
    """The twin of `beam_src/desk.erl`: every way to answer, to be late and to end. Keeps casts and messages."""

    def init(self) -> None:
        self.kept: list[Any] = []
        self.owed: list[Any] = []

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: C901 - a table of requests
        match request:
            case (A.echo, term):
                return Reply(term)
            case A.kept:
                return Reply(self.kept)
            case A.never:
                self.owed.append(from_)
                return NoReply()
            case A.pay:
                for caller in self.owed:
                    self.reply(caller, A.late)
                return Reply(A.ok)
            case (A.stop, reason):
                return Stop(reason)
            case (A.stop, reason, reply):
                return Stop(reason, reply=reply)
            case A.fail:
                raise ValueError("not today")
            case (A.exit, reason):
                raise Exit(reason)
            case A.self:
                return Reply(self.pid)
            case A.from_:
                return Reply(from_[0])
        return Reply((A.unknown, request))

    def handle_cast(self, request: Any) -> Any:
        match request:
            case A.fail:
                raise ValueError("not today")
            case (A.stop, reason):
                return Stop(reason)
            case (A.exit, reason):
                raise Exit(reason)
            case A.compute:
                while True:
                    pass
        self.kept.append((A.cast, request))
        return NoReply()

    def handle_info(self, message: Any) -> Any:
        self.kept.append((A.info, message))
        return NoReply()


NOTHING = object()


def mailbox() -> list[Any]:
    """Every message that waits for the calling process, in order."""
    found = []
    while (message := receive(timeout=0, default=NOTHING)) is not NOTHING:
        found.append(message)
    return found


def next_message() -> Any:
    """The next message for the calling process; an error when none comes within 5 s."""
    return receive(timeout=patience())
