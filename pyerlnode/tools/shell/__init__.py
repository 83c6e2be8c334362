"""`shell`: a Python prompt with a connected node in the background.

The node's hub lives in a thread of its own, so greenlets, ticks and calls from the cluster go on while the prompt
waits or computes. IPython where it is installed (`pip install 'pyerlnode[repl]'`), else Python's own prompt; both
complete names of the live node.
"""

from __future__ import annotations

import argparse
import importlib.util

from pyerlnode.inspect import Cluster as Inspector
from pyerlnode.term.text import Style
from pyerlnode.tools.remote import connected
from pyerlnode.tools.shell.prompt import Prompt

BANNER = """\
{node} is connected. At hand, with Tab for its names:
  cluster             call, cast, send, rpc, ping, nodes, peer: cluster.ping("{node}")
  app                 the functions of {node}: app.lists.reverse([1, 2, 3])
  look                its inspector: look.info(), look.top("queue"), look.process("kernel_sup").info()
  A                   atoms: A.ok, A["weird one"], A.Elixir.String
  erl("X = 1.")       Erlang on {node}, elixir("x = 1") Elixir; variables stay
  t("{{ok, [1]}}")      a term from Erlang text        show(term)   a term as Erlang or Elixir text
Ctrl-D ends the shell."""


def shell(args: argparse.Namespace) -> int:
    """Connect, then read until the end of input."""
    style: Style = "elixir" if args.elixir else "erlang"
    with connected(args) as cluster, Inspector(cluster, timeout=args.timeout, read_only=False) as inspector:
        prompt = Prompt(cluster, inspector, args.node, args.timeout, style)
        banner = BANNER.format(node=args.node)
        if importlib.util.find_spec("IPython") is not None:
            from pyerlnode.tools.shell.ipython import run
        else:
            from pyerlnode.tools.shell.plain import run

            banner += "\n(Python's own prompt; pip install 'pyerlnode[repl]' gives IPython)"
        run(prompt, banner)
    return 0
