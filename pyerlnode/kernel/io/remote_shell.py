"""What a remote shell meets here: an answer that says what this node is, instead of a crash or a silence.

``erl -remsh`` and ``iex --remsh`` (protocol.md E.12) ask the target for a handful of functions before they start a
shell on it. A Python node answers those truthfully, and its ``shell:start()`` is a process that prints one line at the
caller's terminal, through its group leader, and ends. No expression is ever evaluated.

    code:ensure_loaded(M)       {module, M} when functions of M are exported (or M is `shell`), else {error, nofile}
    net_kernel:get_net_ticktime, erlang:system_info(system_version | otp_release), application:get_env(_, _, Default)
    shell:start()               the process with the line

`iex` finds no IEx and says so by itself. What a program exported under one of these names goes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.errors import ConnectError, Error
from pyerlnode.kernel.inspection import Inspection
from pyerlnode.kernel.polite import Polite
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

PRINT_TIME = 2.0
"""Seconds for the terminal of the caller to take the line."""
OTP_RELEASE = "26"
"""What shells are told: with less they speak to the older completion of an Erlang shell."""


class RemoteShell:
    """The functions of one node that shells ask for."""

    def __init__(
        self, system: System, exports: Exports, ticktime: Callable[[], Any], nodes: Callable[[list[str]], list[Atom]]
    ) -> None:
        self.system = system
        self.nodes = nodes
        self.exports = exports
        self.ticktime = ticktime

    def install(self) -> None:
        """Add them, and what observer asks, to the exports, where the program has none of its own."""
        inspection = Inspection(self.system, self.nodes)
        inspection.install(self.exports)
        Polite(inspection).install(self.exports)
        functions: tuple[tuple[str, str, int, Callable[..., Any]], ...] = (
            ("code", "ensure_loaded", 1, self.ensure_loaded),
            ("net_kernel", "get_net_ticktime", 0, self.get_net_ticktime),
            ("erlang", "system_info", 1, self.system_info),
            ("application", "get_env", 3, self.get_env),
            ("shell", "start", 0, self.start),
        )
        for module, name, count, function in functions:
            if self.exports.find(Atom(module), Atom(name), count) is None:
                self.exports.add(module, function, name)

    def ensure_loaded(self, module: Any) -> tuple[Atom, Any]:
        if module is A.shell or self.exports.functions(module):
            return A.module, module
        return A.error, A.nofile

    def get_net_ticktime(self) -> Any:
        match self.ticktime():
            case (what, seconds):
                return what, round(seconds)
            case seconds:
                return round(seconds)

    def system_info(self, item: Any) -> Any:
        match item:
            case A.system_version:
                return list(b"Python node (pyerlnode)\n")
            case A.otp_release:
                return list(OTP_RELEASE.encode())
        raise Error(A.badarg)

    def get_env(self, _application: Any, _key: Any, default: Any) -> Any:
        return default

    def start(self) -> Pid:
        """A shell that says why it is none, and ends."""
        return self.system.spawn(self._explain)

    def _explain(self) -> None:
        node = self.system.node.name
        line = (
            f"{node} is a Python node (pyerlnode): it has no Erlang shell.\n"
            f"Call what it exports from a node of your own: erpc:call('{node}', Module, Function, Arguments).\n"
        )
        me = self.system.myself()
        leader = me.group_leader
        if leader is None or self.system.is_local(leader):
            return
        ref = self.system.new_ref()
        try:
            self.system.send(leader, (A.io_request, me.pid, ref, (A.put_chars, A.unicode, line.encode())))
        except ConnectError:
            return  # nobody is at the terminal any more
        # the shell must not end before its line is out
        me.receive(lambda message: type(message) is tuple and message[:2] == (A.io_reply, ref), PRINT_TIME)
