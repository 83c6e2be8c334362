"""What both prompts have: the names at hand, and what Tab offers."""

from __future__ import annotations

from typing import Any

from pyerlnode.facade import Cluster
from pyerlnode.inspect import Cluster as Inspector
from pyerlnode.kernel.remote.peer import Peer
from pyerlnode.term.atom import A
from pyerlnode.term.text import Style, format_term, parse_term
from pyerlnode.tools.output import Output
from pyerlnode.tools.shell.complete_core import attributes, dotted, quoted
from pyerlnode.tools.shell.node import Asked, Evaluator

SHOWN = 1_000
"""What `show` prints of a term unless asked for another limit: a mailbox may hold half a million messages."""


class Patient(Cluster):
    """The connection, whose calls wait as long as ``--timeout`` says unless they are told otherwise."""

    def __init__(self, cluster: Cluster, timeout: float) -> None:
        super().__init__(cluster._hub, cluster.node, cluster.default)
        self._patience = timeout

    def call(self, dest: Any, request: Any, timeout: Any = ..., **options: Any) -> Any:
        return super().call(dest, request, self._patience if timeout is ... else timeout, **options)

    def rpc(self, name: Any, module: Any, function: Any, args: Any = (), timeout: Any = ..., **options: Any) -> Any:
        return super().rpc(name, module, function, args, self._patience if timeout is ... else timeout, **options)

    def peer(self, name: str | None = None, timeout: Any = ...) -> Peer:
        return super().peer(name, self._patience if timeout is ... else timeout)


class Prompt:
    """The namespace of a prompt beside `node`, which `turn` makes another."""

    def __init__(self, cluster: Cluster, inspector: Inspector, node: str, timeout: float, style: Style) -> None:
        self.cluster = cluster
        self.inspector = inspector
        self.timeout = timeout
        self.style: Style = style
        self.asked = Asked(cluster)
        self.names: dict[str, Any] = {
            "cluster": Patient(cluster, timeout),
            "A": A,
            "t": lambda text: parse_term(text, style=style),
            "show": lambda term, limit=SHOWN: Output().line(format_term(term, style=style, limit=limit)),
        }
        self.turn(node)

    def turn(self, node: str) -> None:
        """Have `app`, `look`, `erl` and `elixir` mean another node."""
        self.node = node
        evaluate = Evaluator(self.inspector, node, self.timeout)
        self.names["app"] = self.cluster.peer(node, self.timeout)
        self.names["look"] = self.inspector.node(node)
        self.names["erl"] = lambda source: evaluate("erlang", source if source.rstrip().endswith(".") else f"{source}.")
        self.names["elixir"] = lambda source: evaluate("elixir", source)

    def offers(self, line: str, names: dict[str, Any]) -> tuple[str, dict[str, str]]:
        """What Tab offers at the end of `line`, each with its arities, and what of it is typed already."""
        text = quoted(line)
        if text is not None:
            every = {*self.asked.nodes(self.node), *self.asked.registered(self.node)}
            return text, {name: "" for name in sorted(every) if name.startswith(text)}
        first, *path = dotted(line) or [""]
        peer = names.get(first)
        if not isinstance(peer, Peer) or not path:
            return "", {}
        node = peer._name.name
        whole = [*peer._path, *path[:-1]]
        exports = lambda module: self.asked.exports(node, module)  # noqa: E731
        return path[-1], attributes(whole, path[-1], self.asked.modules(node), exports)


def history(node: str) -> str:
    """A part of a file's name: each cluster has its own history, told by the node that is asked."""
    return "".join(c if c.isalnum() or c in "@.-" else "_" for c in node)
