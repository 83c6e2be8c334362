"""Python's own prompt, with completion and a history where `readline` is there."""

from __future__ import annotations

import code
import os
import sys
from typing import Any

from pyerlnode.errors import PyerlnodeError
from pyerlnode.tools.shell import display_core
from pyerlnode.tools.shell.prompt import Prompt, history


class Console(code.InteractiveConsole):
    """Prints terms as the cluster writes them, and the library's errors in three lines."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__(prompt.names)
        self.prompt = prompt

    def display(self, value: Any) -> None:
        if value is not None and type(value) in display_core.TERMS:
            self.prompt.names["_"] = value
            self.write(display_core.shown(value, self.prompt.style, self.prompt.names["app"]._name) + "\n")
        else:
            sys.__displayhook__(value)

    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, PyerlnodeError):
            self.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        else:
            super().showtraceback()


def run(prompt: Prompt, banner: str) -> None:
    """Read until the end of input."""
    console, before = Console(prompt), sys.displayhook
    sys.displayhook = console.display
    try:
        with_history = _readline(prompt)
        console.interact(banner=banner, exitmsg="")
        with_history()
    finally:
        sys.displayhook = before


def _readline(prompt: Prompt) -> Any:
    """Let Tab complete; gives what saves the history."""
    try:
        import readline
    except ImportError:
        return lambda: None
    from rlcompleter import Completer

    python = Completer(prompt.names)
    offered: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_endidx()]
            begun, found = prompt.offers(line, prompt.names)
            kept = text[: len(text) - len(begun)]
            offered[:] = [kept + name for name in found]
        if offered:
            return offered[state] if state < len(offered) else None
        return python.complete(text, state)

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n`~!#$%^&*()-=+[{]}\\|;:'\",<>/?")
    readline.parse_and_bind("tab: complete")
    file = os.path.expanduser(f"~/.pyerlnode_history_{history(prompt.node)}")
    if os.path.exists(file):
        readline.read_history_file(file)
    return lambda: readline.write_history_file(file)
