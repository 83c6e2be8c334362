"""The session of the tests with a BEAM: counts and keeps what it is told."""

from typing import Any

from pyerlnode import A, Exit, NoReply, Reply
from pyerlnode.cluster.sessions.sessions import Session


class Cart(Session):
    def init(self, key: Any) -> None:
        self.key = key
        self.items: list[Any] = []
        self.owed = 0

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.add, item):
                self.items.append(item)
                return Reply(len(self.items))
            case A.get:
                return Reply((self.process.system.node, self.items))
            case (A.crash, reason):
                raise Exit(reason, "as asked")
            case A.owed:
                return Reply(self.owed)
        self.owed += 1
        return NoReply()

    def handle_cast(self, request: Any) -> None:
        self.items.append(request)

    def handoff(self) -> Any:
        return self.items

    def resume(self, state: Any) -> None:
        self.items = list(state)
