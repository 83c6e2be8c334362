"""Sessions: one process per key somewhere in the cluster, reached from every node by its key (docs/sessions.md).

    carts = Sessions(node, "carts", Cart)                        # on each of the nodes that share the keys
    carts.call("user-7", (A.add, "apples"))                      # the session is started on the node that owns the key
    GenServer.call({:carts, :"py1@host"}, {:session, "user-7", :get})    # the same from Elixir, by any of these nodes

The nodes that run a service of one name share its keys by a ring (`ring_core`); `pg` tells them of each other. When one
comes or goes in order, sessions whose owner changes are handed over with their state, and requests wait meanwhile;
when one dies its keys start afresh at the next owner. `core` says how two are kept from serving one key.

A request is carried out at most once. Its caller gets the session's answer, or an exit whose reason says what happened:

    the reason of the session's end          it crashed, or stopped without answering
    {session_node_down, Node}                the node where the request was is gone
    {session_limit, Node, Number}            that many sessions run on the owner
    {session_overload, Node, Number}         that many requests wait there
    {session_no_owner, Node, Hops}           the nodes do not agree on an owner, or there is none
    {session_can_not_answer, Node, Caller}   the owner's node can not connect to the caller's
    session_lost                             the session's state has no form on the wire and could not be handed over
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

from pyerlnode.cluster.sessions.messages import known_as
from pyerlnode.cluster.sessions.moves import Router
from pyerlnode.cluster.sessions.router import Options
from pyerlnode.cluster.sessions.session import Session
from pyerlnode.errors import NoProc, ServerExit
from pyerlnode.otp import gen
from pyerlnode.otp.host import Host
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid

_SESSION = A.session


class Sessions:
    """The sessions `name` as seen from one node, which serves its share of the keys. Use it in a ``with`` block.

    Args:
        host: a node that is open; connect it to one of the others first, or name one in `seeds`.
        name: of the service: the registered name of the routers, and the group in `pg`.
        cls: a subclass of `Session`.
        partitions: of the ring, a power of two; the same on all nodes (one that differs is refused, and stops).
        weight: this node's share compared with others', 1..16.
        idle: seconds without a request after which a session ends with ``{shutdown, idle}``; None: never.
        max_sessions: that run here; one more is refused with ``{session_limit, Node, Number}``.
        max_waiting: requests that wait here for a hand-over; one more is refused with ``{session_overload, …}``.
        handoff_timeout: seconds that a session has to give up, and another node to answer a claim.
        settle_timeout: seconds to learn of the other members at the start; requests wait meanwhile.
        seeds: nodes to connect to, also later when they are not connected.
        scope: of `pg`.
    """

    def __init__(self, host: Host, name: str, cls: type[Session], *, seeds: Iterable[str] = (), **options: Any) -> None:
        self._system = host.system
        self.options = Options(name, cls, seeds=tuple(seeds), **options)
        self.name = name
        self.pid: Pid = host.start(Router, host, self.options, name=name)
        """The router of this node."""

    def __enter__(self) -> Sessions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def call(self, key: Any, request: Any, timeout: float | None = 5.0) -> Any:
        """``GenServer.call`` of the session of `key`, started when it does not run.

        Raises `ServerExit` with the reasons above, `CallTimeout`, `NodeDown`, `NoProc` when the service has stopped.
        """
        router = self._router()
        entry = router.sessions.get(known_as(key))
        if entry is not None and entry.open and entry.process.alive:  # here: no need to ask the router
            entry.used = router.sweeps
            return gen.call(self._system, entry.process.pid, request, timeout)
        return gen.call(self._system, self._nearest(router, key), (_SESSION, key, request), timeout)

    def cast(self, key: Any, request: Any) -> None:
        """``GenServer.cast`` to the session of `key`. What becomes of it is not told."""
        gen.cast(self._system, self.pid, (_SESSION, key, request))

    def whereis(self, key: Any, timeout: float | None = 5.0) -> Pid | None:
        """The process of `key`; None when it does not run now."""
        pid: Pid | None = gen.call(self._system, self.pid, (A.whereis, key), timeout)
        return pid

    def partition(self, key: Any) -> int:
        return phash2(key, self.options.partitions)

    def owner(self, key: Any) -> str | None:
        """The node that owns `key`, as this node sees it; None before it knows any member."""
        return self._router().own.ring.owner_of(key)

    def stats(self) -> dict[str, Any]:
        """What is so now, and what was counted since the start.

        settled, members; partitions: owned, held, awaited (from others), moving (to others); sessions, queued
        (requests), outgoing (calls on other nodes). Counted: sessions started, ended, crashed, passivated, handed_over,
        taken_over, merged, lost; requests forwarded, refused; partitions served late; garbage.
        """
        return self._router().stats()

    def stop(self, timeout: float | None = None) -> None:
        """Leave: hand every session over, forward what still comes until it is quiet, then stop.

        Takes `handoff_timeout` at most. May be called twice.
        """
        if self._system.process(self.pid) is None:
            return
        limit = self.options.handoff_timeout + 5.0 if timeout is None else timeout
        try:
            gen.call(self._system, self.pid, A.session_leave, limit)
        except (NoProc, ServerExit) as ended:  # it has ended meanwhile
            if ended.reason[0] not in (A.noproc, A.shutdown):
                raise

    def _router(self) -> Router:
        process = self._system.process(self.pid)
        handler = None if process is None else behaviour_of(process)
        if not isinstance(handler, Router):
            raise NoProc(
                (A.noproc, (A.session, Atom(self.name))), f"the sessions {self.name} of this node have stopped"
            )
        return handler

    def _nearest(self, router: Router, key: Any) -> Pid:
        """The owner's router when it can be asked without a detour, else that of this node."""
        where = router.own.where(phash2(key, self.options.partitions))
        if type(where) is Pid and self._system.is_connected(where.node):
            return where
        return self.pid


__all__ = ["Session", "Sessions"]
