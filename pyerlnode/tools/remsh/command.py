"""The command: which shell is started, and how it ends."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyerlnode.errors import PyerlnodeError, RemoteError, UsageError
from pyerlnode.otp import gen_server
from pyerlnode.runtime.api import exit_, monitor, receive
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid
from pyerlnode.tools.output import complain
from pyerlnode.tools.remote import asked, connected
from pyerlnode.tools.remsh.completion_core import candidates
from pyerlnode.tools.remsh.device import ShellDevice
from pyerlnode.tools.remsh.terminal import Terminal, edited

if TYPE_CHECKING:
    from pyerlnode.facade import Cluster
    from pyerlnode.node import Node

IEX = A["Elixir.IEx.Server"]
COMPLETION = 2.0
"""Seconds for the peer to complete a word."""
LEAVING = 2.0
"""Seconds for its node to end the shell when the user leaves it."""
BANNER = "{node} by pyerlnode: Ctrl-D leaves this shell, Ctrl-C interrupts what runs; {ends} would end the node"


def remsh(args: argparse.Namespace) -> int:
    """Start a shell there and serve it until it, the node or the user ends it; status 1 when the node was lost."""
    if args.json:
        raise UsageError("remsh is a shell for a person, and has no --json: see eval")
    with connected(args) as link:
        return Remote(link, args).serve()


class Remote:
    """A shell on a node, and this terminal."""

    def __init__(self, link: Cluster, args: argparse.Namespace) -> None:
        self.link = link
        self.node: str = args.node
        self.timeout: float = args.timeout
        self.terminal = Terminal(link.run)
        self.why: Any = None
        self.iex: bool = asked(lambda: self._has_iex(args), f"a shell on {self.node}", self.timeout)[0]
        link.run(self._lead)
        self.pid: Pid = asked(self._start, f"a shell on {self.node}", self.timeout)[0]
        link.spawn(self._watch)

    def serve(self) -> int:
        print(BANNER.format(node=self.node, ends="System.halt()" if self.iex else "q() and halt()"), flush=True)
        with edited(self._complete, history(os.environ)):
            ended = self.terminal.serve(self._interrupt)
        if not ended:
            self._leave()
        if ended and self.why is A.noconnection:
            complain(f"the connection to {self.node} was lost")
            return 1
        return 0

    def _lead(self, node: Node) -> None:
        """Make our device the group leader of what is started from here."""

        def ask(module: Any, function: Any, args: list[Any]) -> Any:
            return node.rpc(self.node, module, function, args, None)

        node.system.root.group_leader = gen_server.start(node.system, ShellDevice, (self.terminal, ask, self.iex))

    def _has_iex(self, args: argparse.Namespace) -> bool:
        if args.erlang:
            return False
        runs = self._rpc("erlang", "whereis", A.elixir_sup) is not A.undefined
        there = (args.elixir or runs) and self._rpc("code", "ensure_loaded", IEX)[0] is A.module
        if args.elixir and not there:
            raise UsageError(f"{self.node} has no IEx")
        return bool(there)

    def _start(self) -> Pid:
        if not self.iex:
            pid: Pid = self._rpc("shell", "start")
            return pid
        self._rpc("application", "ensure_all_started", A.iex)
        started: Pid = self._rpc("erlang", "spawn", IEX, A.run, [[]])
        return started

    def _rpc(self, module: str, function: str, *args: Any) -> Any:
        return self.link.rpc(self.node, module, function, args, self.timeout)

    def _watch(self) -> None:
        monitor(self.pid)
        match receive():
            case (A.DOWN, _, _, _, reason):
                self.why = reason
        self.terminal.end()

    def _interrupt(self, times: int) -> bool:
        """The first Ctrl-C ends what the shell evaluates; where that does not help, the second leaves it."""
        if times > 1:
            return False
        self.link.spawn(exit_, self.pid, A.interrupt)
        return True

    def _leave(self) -> None:
        """End the shell, and what it evaluates with it, which an `IEx.Evaluator` else outlives."""
        with suppress(PyerlnodeError):  # it has ended already, or its node answers no more
            told = self.link.rpc(self.node, "erlang", "process_info", [self.pid, A.dictionary], LEAVING)
            words = told[1] if isinstance(told, tuple) else []  # undefined of one that has ended
            for pid in (*(value for key, value in words if key is A.evaluator), self.pid):
                self.link.rpc(self.node, "erlang", "exit", [pid, A.kill], LEAVING)

    def _complete(self, word: str, before: str) -> list[str]:
        typed = [ord(c) for c in reversed(before)]
        try:
            return candidates(word, self._expanded(typed))
        except PyerlnodeError:  # no completion, and no trouble in the middle of a line
            return []

    def _expanded(self, typed: list[int]) -> Any:
        if self.iex:
            return self.link.rpc(self.node, "Elixir.IEx.Autocomplete", "expand", [typed, self.pid], COMPLETION)
        try:
            return self.link.rpc(self.node, "edlin_expand", "expand", [typed, []], COMPLETION)
        except RemoteError:  # before OTP 26
            return self.link.rpc(self.node, "edlin_expand", "expand", [typed], COMPLETION)


def history(env: Any) -> Path:
    """``$XDG_STATE_HOME/pyerlnode/remsh_history``."""
    state = env.get("XDG_STATE_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return Path(state) / "pyerlnode" / "remsh_history"
