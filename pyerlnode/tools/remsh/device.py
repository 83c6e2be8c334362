"""The group leader of a shell that runs on a peer.

Such a shell asks its group leader for input by ``{get_until, _, Prompt, Module, Function, Args}``, and the group leader
reads lines until ``Module:Function(Continuation, Chars, …Args)`` says that it is done: `erl_scan:tokens` for Erlang, a
function of IEx for Elixir. Those functions are on the peer, so it is asked, and its continuations go back to it as they
came. Our own reader of terms knows no variables.

The end of the input is never told: at `eof` an Erlang shell would halt its whole node. Who leaves ends the shell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.errors import PyerlnodeError
from pyerlnode.kernel.io.group_leader import GroupLeader, text_of
from pyerlnode.term.atom import A, Atom

Ask = Callable[[Any, Any, list[Any]], Any]
"""Calls a function on the peer."""
TERMINATED = (A.error, A.terminated)


class ShellDevice(GroupLeader):
    """Its `files` are a `Terminal`; `ask` calls the peer."""

    def init(self, files: Any, ask: Ask, binary: bool) -> None:  # type: ignore[override]  # more arguments
        super().init(files)
        self.binary = binary
        self.ask = ask
        self.rest = ""

    def perform(self, request: Any, nesting: int = 8) -> Any:
        try:
            match request:
                case (A.get_until, Atom(), prompt, module, function, list() as args):
                    return self._read_until(prompt, module, function, args)
                case (A.get_line, Atom(), _) | (A.get_line, _) if self.rest:  # of a line with an error
                    text, self.rest = self.rest, ""
                    return text.encode() if self.binary else [ord(c) for c in text]
        except PyerlnodeError:  # the peer, whose shell this is, does not answer
            return TERMINATED
        except (OSError, EOFError):  # the terminal has ended
            return TERMINATED
        return super().perform(request, nesting)

    def _read_until(self, prompt: Any, module: Any, function: Any, args: list[Any]) -> Any:
        text = text_of(prompt)
        continuation: Any = []
        while True:
            line, self.rest = self.rest or self.files.line(text), ""
            match self.ask(module, function, [continuation, [ord(c) for c in line], *args]):
                case (A.done, result, rest):
                    self.rest = "" if rest is A.eof else text_of(rest)
                    if not self.rest.strip():
                        self.rest = ""
                    return result
                case (A.more, continuation):
                    continue
                case other:
                    return A.error, other

    def _put_made(self, encoding: Atom, module: Any, function: Any, args: list[Any]) -> Any:
        """Its own node makes the text: it knows all directives, and how its pids look."""
        return self._put(text_of(self.ask(module, function, args)))

    def _get(self, encoding: Atom, prompt: Any, enough: Callable[[str], int]) -> Any:
        self.files.prompt = text_of(prompt)
        return super()._get(encoding, b"", enough)
