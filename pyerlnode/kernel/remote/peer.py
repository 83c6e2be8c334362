"""Another node as an object: ``peer.lists.reverse([1, 2, 3])`` is a remote call.

Attributes up to the last name the module, the last one the function: ``peer.Elixir.String.upcase("é")`` calls
``'Elixir.String':upcase/1``. Names that are no identifiers go in brackets: ``peer["my-module"].run()``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import Atom

Rpc = Callable[[Atom, str, str, list[Any], float | None], Any]


class Peer:
    """The node `name`; calls go through `rpc` and wait `timeout` seconds (None: for ever)."""

    __slots__ = ("_name", "_path", "_rpc", "_timeout")

    def __init__(self, name: Atom, rpc: Rpc, timeout: float | None = 5.0, path: tuple[str, ...] = ()) -> None:
        self._name = name
        self._rpc = rpc
        self._timeout = timeout
        self._path = path

    def __getattr__(self, part: str) -> Peer:
        if part.startswith("__"):
            raise AttributeError(part)
        return self[part]

    def __getitem__(self, part: str) -> Peer:
        return Peer(self._name, self._rpc, self._timeout, (*self._path, part))

    def __call__(self, *args: Any) -> Any:
        if len(self._path) < 2:
            raise UsageError(f"write module and function: peer.lists.reverse(…), not peer.{'.'.join(self._path)}(…)")
        return self._rpc(self._name, ".".join(self._path[:-1]), self._path[-1], list(args), self._timeout)

    def with_timeout(self, timeout: float | None) -> Peer:
        """The same peer with another time-out."""
        return Peer(self._name, self._rpc, timeout, self._path)

    def __repr__(self) -> str:
        return f"<Peer {self._name}{''.join('.' + part for part in self._path)}>"
