"""`rex`, the server behind the older forms of `rpc` (protocol.md E.6).

Each function runs in a process of its own, so one that blocks keeps nobody else waiting; ``block_call`` is the one that
is meant to block, and runs in the server. A value that has no form on the wire is an error of its call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pyerlnode.errors import EncodeError
from pyerlnode.kernel.remote.spawn_server import SpawnServer, not_encodable
from pyerlnode.otp import gen
from pyerlnode.otp.results import NoReply
from pyerlnode.otp.service import Service
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid


class Rex(Service):
    """Registered as `rex`."""

    def init(self, server: SpawnServer) -> None:
        self.server = server

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.call, module, function, args, leader):
                self._spawn(self._replier(from_), leader, from_[0], module, function, args)
            case (A.block_call, module, function, args, leader):
                me = self.process
                own, me.group_leader = me.group_leader, self._leader(leader)
                try:
                    self._answer(self._replier(from_), from_[0], module, function, args)
                finally:
                    me.group_leader = own
        return NoReply()  # an unknown request stays unanswered, as with OTP's

    def handle_cast(self, request: Any) -> Any:
        match request:
            case (A.cast, module, function, args, leader):
                self._spawn(_nobody, leader, self.pid, module, function, args)

    def handle_info(self, message: Any) -> Any:
        system = self.process.system
        match message:
            case (Pid() as from_, (A.call, module, function, args, leader)):  # of a C node
                answer = partial(self._tell, from_)
                self._spawn(answer, leader, from_, module, function, args)
            case (Pid() as from_, A.features_request):
                system.send_connected(from_, (A.features_reply, system.node, [A.erpc]))
            case (Pid() as from_, (A.sbcast, name, text)):
                process = system.find(name) if type(name) is Atom else None
                known = process is not None
                if process is not None:
                    process.deliver(text)
                system.send_connected(from_, (A.rex, system.node, system.node if known else (A.nonexisting_name, name)))

    def _replier(self, from_: Any) -> Callable[[Any], None]:
        system = self.process.system
        return lambda value: gen.reply(system, from_, value, _raise)

    def _tell(self, pid: Pid, value: Any) -> None:
        self.process.system.send_connected(pid, (A.rex, value))

    def _leader(self, given: Any) -> Pid | None:
        """The group leader of a call: the one that it names, else `user`, as for C nodes, which have none."""
        leader: Pid | None = given if type(given) is Pid else self.process.system.root.group_leader
        return leader

    def _spawn(
        self, answer: Callable[[Any], None], leader: Any, caller: Pid, module: Any, function: Any, args: Any
    ) -> None:
        process = self.process.system.new_process(self._leader(leader))
        process.start_function(self._answer, (answer, caller, module, function, args), {})

    def _answer(self, answer: Callable[[Any], None], caller: Pid, module: Any, function: Any, args: Any) -> None:
        value = self.server.call(caller, module, function, args)
        try:
            answer(value)
        except EncodeError as error:
            count = len(args) if type(args) is list else 0
            _, reason, stack = not_encodable(error, (module, function, count))
            answer((A.badrpc, (A.EXIT, (reason, stack))))


def _raise(system: Any, from_: Any, error: EncodeError) -> None:
    del system, from_
    raise error


def _nobody(value: Any) -> None:
    """A cast's value."""
