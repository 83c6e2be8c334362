"""The node that a prompt is beside: what Tab asks it, and what it evaluates."""

from __future__ import annotations

import time
from typing import Any

from pyerlnode.errors import PyerlnodeError
from pyerlnode.facade import Cluster
from pyerlnode.inspect import Cluster as Inspector
from pyerlnode.inspect import InspectError
from pyerlnode.inspect.session import brief
from pyerlnode.kernel.remote.peer import Peer
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

FRESH = 10.0
"""Seconds for which an answer to Tab is taken for true."""
QUICK = 1.0
"""Seconds that Tab waits for one."""
ENDING = 10.0
"""Seconds to wait until it is known that an expression has been ended."""


class Asked:
    """The names on a node, by rpc; nothing where the node gives no answer: Tab is not to trouble anybody."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[str, ...], tuple[float, list[Any]]] = {}

    def modules(self, node: str) -> list[str]:
        return [module.name for module, _ in self._ask(node, "code", "all_loaded")]

    def exports(self, node: str, module: str) -> list[tuple[str, int]]:
        asked = self._ask(node, "erlang", "get_module_info", Atom(module), A.exports)
        return [(name.name, arity) for name, arity in asked if name is not A.module_info]

    def registered(self, node: str) -> list[str]:
        return [name.name for name in self._ask(node, "erlang", "registered")]

    def nodes(self, node: str) -> list[str]:
        return sorted({node, *self._cluster.nodes(), *(name.name for name in self._ask(node, "erlang", "nodes"))})

    def _ask(self, node: str, module: str, function: str, *args: Any) -> list[Any]:
        key = (node, module, function, *map(str, args))
        at, known = self._known.get(key, (0.0, []))
        if key not in self._known or time.monotonic() - at > FRESH:
            try:
                known = list(self._cluster.rpc(node, module, function, args, QUICK))
            except PyerlnodeError:
                known = []
            self._known[key] = (time.monotonic(), known)
        return known


class Evaluator:
    """Erlang and Elixir on a node, with variables that stay from one expression to the next."""

    def __init__(self, inspector: Inspector, node: str, timeout: float) -> None:
        self._session = inspector.node(node).session
        self._timeout = timeout
        self._pid: Pid | None = None

    def __call__(self, language: str, source: str) -> Any:
        """The value of `source`.

        Raises:
            InspectError: it is not of that language, it failed there, or gave no answer in time: then it was ended.
        """
        if self._pid is None:
            self._pid = self._session.open("shell", A.none, self._timeout)
        try:
            answer = self._session.next("shell", self._pid, (Atom(language), source.encode()), self._timeout)
        except BaseException as error:
            self._stop(error)
            raise
        match answer:
            case (A.value, value):
                return value
            case (A.syntax, bytes(why)):
                raise InspectError(f"that is no {language.capitalize()}: {why.decode('utf-8', 'replace')}")
            case (A.raised, kind, reason, stack):
                where = f" in {brief(stack[0][:3])}" if stack else ""
                raise InspectError(f"{kind} {brief(reason)}{where}")
        raise InspectError(f"no usable answer: {brief(answer)}")

    def _stop(self, error: BaseException) -> None:
        """Nobody waits for it any more, so it is ended there; the variables stay unless the node has gone."""
        try:
            if self._pid is not None:
                self._session.next("shell", self._pid, A.stop, ENDING)
        except PyerlnodeError:
            self._pid = None
        if not isinstance(error, (InspectError, KeyboardInterrupt)):
            self._pid = None


def documentation(peer: Peer) -> str | None:
    """What the peer's EEP-48 chunk tells of a module or a function; None where it has none."""
    module, function = ".".join(peer._path[:-1]), peer._path[-1] if peer._path else ""
    whole = ".".join(peer._path)
    for name, part in ((module, function), (whole, "")):
        if not name:
            continue
        try:
            answer = peer._rpc(peer._name, "code", "get_doc", [Atom(name)], QUICK)
        except PyerlnodeError:
            return None
        match answer:
            case (A.ok, (A.docs_v1, _, _, _, about, _, functions)):
                return _text(about) if not part else _functions(part, functions)
    return None


def _functions(name: str, functions: list[Any]) -> str | None:
    told = []
    for entry in functions:
        match entry:
            case ((A.function, Atom() as called, int()), _, signature, about, _) if called.name == name:
                head = "\n".join(line.decode("utf-8", "replace") for line in signature)
                told.append(f"{head}\n\n{_text(about) or ''}".rstrip())
    return "\n\n".join(told) or None


def _text(about: Any) -> str | None:
    match about:
        case {b"en": bytes(text)}:
            return text.decode("utf-8", "replace")
        case {b"en": list(parts)}:
            return "".join(_plain(part) for part in parts)
    return None


def _plain(part: Any) -> str:
    """Text of the elements that OTP's own documents are made of."""
    match part:
        case bytes():
            return part.decode("utf-8", "replace")
        case (Atom() as kind, _, inner):
            text = "".join(map(_plain, inner)) if isinstance(inner, list) else _plain(inner)
            return f"{text}\n" if kind.name in ("p", "pre", "li", "h1", "h2", "h3", "div", "dd", "dt") else text
    return ""
