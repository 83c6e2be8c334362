"""IPython beside a node: completion, results as terms, short errors, and lines of Erlang and Elixir."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.paths import get_ipython_dir
from IPython.terminal.embed import InteractiveShellEmbed
from traitlets.config import Config

from pyerlnode.errors import PyerlnodeError
from pyerlnode.facade import whole
from pyerlnode.inspect.process_core import Some
from pyerlnode.kernel.remote.peer import Peer
from pyerlnode.tools.shell import display_core
from pyerlnode.tools.shell.node import documentation
from pyerlnode.tools.shell.prompt import Prompt, history


def run(prompt: Prompt, banner: str) -> None:
    """Read until the end of input."""
    config = Config()
    config.TerminalInteractiveShell.confirm_exit = False
    config.HistoryManager.hist_file = os.path.join(get_ipython_dir(), f"pyerlnode_{history(prompt.node)}.sqlite")
    banner += "\n%erl X = 1.   %%elixir   %node NODE   %pid 0.85.0   app.lists.reverse? shows its documents"
    make: Any = InteractiveShellEmbed  # its own signature has no types
    shell = make(config=config, banner1=banner + "\n", user_ns=prompt.names)
    install(shell, prompt)
    shell()


def install(shell: Any, prompt: Prompt) -> None:
    """Make an IPython shell one that is beside a node."""
    formatter = shell.display_formatter.formatters["text/plain"]
    for kind in display_core.TERMS:
        formatter.for_type(kind, _printer(kind, prompt))
    shell.set_custom_exc((PyerlnodeError, KeyboardInterrupt), _on_error)
    _complete(shell, prompt)
    _magics(shell, prompt)


def _printer(kind: type, prompt: Prompt) -> Any:
    def show(value: Any, printer: Any, cycle: bool) -> None:
        known = type(value) is kind and not cycle
        printer.text(display_core.shown(value, prompt.style, prompt.names["app"]._name) if known else repr(value))

    return show


def _on_error(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, **_: Any) -> None:
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    line = next((line for line in shell.history_manager.input_hist_raw[-1].strip().splitlines()[:1]), "")
    print(display_core.error(kind.__name__, str(error) or "what was waited for is ended", line), file=sys.stderr)


def _complete(shell: Any, prompt: Prompt) -> None:
    @context_matcher()  # type: ignore[untyped-decorator]
    def names_of_the_node(context: Any) -> dict[str, Any]:
        line = context.line_with_cursor[: context.cursor_position]
        begun, found = prompt.offers(line, shell.user_ns)
        items = [SimpleCompletion(name, type=arities or "name") for name, arities in found.items()]
        return {"completions": items, "matched_fragment": begun, "suppress": bool(items)}

    shell.Completer.custom_matchers.append(names_of_the_node)


def _magics(shell: Any, prompt: Prompt) -> None:
    names = prompt.names

    def erl(line: str, cell: str | None = None) -> Any:
        return names["erl"](cell if cell is not None else line)

    def elixir(line: str, cell: str | None = None) -> Any:
        return names["elixir"](cell if cell is not None else line)

    def node(line: str) -> None:
        if line.strip():
            prompt.turn(whole(line.strip()))
            shell.user_ns.update(names)
        print(prompt.node)

    def pid(line: str) -> None:
        told = names["look"].process(line.strip()).info()
        for field in fields(told):
            value = getattr(told, field.name)
            text = (
                value if isinstance(value, str) else display_core.shown(_bare(value), prompt.style, names["app"]._name)
            )
            print(f"{field.name:17} {text}")

    for function in (erl, elixir):
        shell.register_magic_function(function, "line_cell", function.__name__)
    for line_magic in (node, pid, _pinfo(shell)):
        shell.register_magic_function(line_magic, "line", line_magic.__name__)


def _bare(value: Any) -> Any:
    """The items of what was cut, as a term."""
    return list(value.items) if isinstance(value, Some) else value


def _pinfo(shell: Any) -> Any:
    """``app.lists.reverse?``; of anything else as before."""
    find = shell.find_line_magic("pinfo")

    def pinfo(line: str, **options: Any) -> None:
        try:
            value = eval(line, shell.user_ns) if "(" not in line else None  # noqa: S307
        except Exception:  # what it means is told by IPython's own
            value = None
        if isinstance(value, Peer):
            print(documentation(value) or f"{value!r} has no documents on {value._name}")
        else:
            find(line, **options)

    return pinfo
