"""`shell`: a Python prompt with a connected node in the background.

The node's hub lives in a thread of its own, so greenlets, ticks and calls from the cluster go on while the prompt
waits or computes. IPython where it is installed (`pip install 'pyerlnode[repl]'`), else Python's own prompt.
"""

from __future__ import annotations

import argparse
from typing import Any

from pyerlnode.term.atom import A
from pyerlnode.term.text import Style, format_term, parse_term
from pyerlnode.tools.output import Output
from pyerlnode.tools.remote import connected

BANNER = """\
{node} is connected. At hand:
  cluster             call, cast, send, rpc, ping, nodes, peer: cluster.ping("{node}")
  app                 the functions of {node}: app.lists.reverse([1, 2, 3])
  A                   atoms: A.ok, A["weird one"], A.Elixir.String
  t("{{ok, [1]}}")      a term from Erlang text        show(term)   a term as Erlang or Elixir text
Ctrl-D ends the shell."""


SHOWN = 1_000
"""What `show` prints of a term unless asked for another limit: a mailbox may hold half a million messages."""


def shell(args: argparse.Namespace) -> int:
    """Connect, then read until the end of input."""
    style: Style = "elixir" if args.elixir else "erlang"
    with connected(args) as cluster:
        names: dict[str, Any] = {
            "cluster": cluster,
            "app": cluster.peer(args.node),
            "A": A,
            "t": lambda text: parse_term(text, style=style),
            "show": lambda term, limit=SHOWN: Output().line(format_term(term, style=style, limit=limit)),
        }
        _prompt(BANNER.format(node=args.node), names)
    return 0


def _prompt(banner: str, names: dict[str, Any]) -> None:
    try:
        from IPython.terminal.embed import InteractiveShellEmbed
        from traitlets.config import Config
    except ImportError:
        _plain(banner + "\n(Python's own prompt; pip install 'pyerlnode[repl]' gives IPython)", names)
        return
    config = Config()
    config.TerminalInteractiveShell.confirm_exit = False
    prompt: Any = InteractiveShellEmbed  # its own signature has no types
    prompt(config=config, banner1=banner + "\n", user_ns=names)()


def _plain(banner: str, names: dict[str, Any]) -> None:
    import code

    code.interact(banner=banner, local=names, exitmsg="")
