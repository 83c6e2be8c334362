"""`rex`, the server behind the older forms of `rpc` (protocol.md E.6).

Each function runs in a process of its own, so one that blocks keeps nobody else waiting; ``block_call`` is the one that
is meant to block, and runs in the server.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.kernel.erpc import SpawnServer
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid


class Rex(GenServer):
    """Registered as `rex`."""

    def init(self, server: SpawnServer) -> None:
        self.server = server

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.call, module, function, args, _):
                self._spawn(
                    lambda value: gen.reply(self.process.system, from_, value), from_[0], module, function, args
                )
                return NoReply()
            case (A.block_call, module, function, args, _):
                return Reply(self.server.call(from_[0].node, module, function, args))
        return NoReply()

    def handle_cast(self, request: Any) -> Any:
        match request:
            case (A.cast, module, function, args, _):
                self._spawn(lambda _: None, self.pid, module, function, args)

    def handle_info(self, message: Any) -> Any:
        system = self.process.system
        match message:
            case (Pid() as from_, (A.call, module, function, args, _)):
                self._spawn(lambda value: system.send(from_, (A.rex, value)), from_, module, function, args)
            case (Pid() as from_, A.features_request):
                system.send(from_, (A.features_reply, system.node, [A.erpc]))
            case (Pid() as from_, (A.sbcast, name, text)):
                known = system.whereis(name) is not None
                if known:
                    system.send(name, text)
                system.send(from_, (A.rex, system.node, system.node if known else (A.nonexisting_name, name)))

    def _spawn(self, answer: Any, caller: Pid, module: Any, function: Any, args: Any) -> None:
        self.process.system.spawn(lambda: answer(self.server.call(caller.node, module, function, args)))
