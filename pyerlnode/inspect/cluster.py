"""The objects of an inspection: a cluster, its nodes, their processes. See `docs/inspecting.md`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.inspect import node_core, process_core, rank_core
from pyerlnode.inspect.session import Link, NoSuchProcess, Refused, Session
from pyerlnode.inspect.target_core import read_target, told
from pyerlnode.runtime.api import receive
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid

TIMEOUT = 5.0


def _own() -> None:
    """What the sessions watch: they end when this process does."""
    while receive() is not A.stop:
        pass


class Cluster:
    """An inspector: one process of ours, and one on each node that is asked. Close it, or use it in a `with` block.

    Args:
        link: a `Node`, or what `pyerlnode.connect` gives.
        timeout: seconds that a question may take unless it has its own.
    """

    def __init__(self, link: Link, *, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._link = link
        self._owner: Pid | None = link.spawn(_own)
        self._nodes: dict[str, RemoteNode] = {}

    def node(self, name: str) -> RemoteNode:
        """A node of the cluster, by its whole name. Nothing is sent before something is asked."""
        if self._owner is None:
            raise UsageError("this inspector is closed")
        if name not in self._nodes:
            self._nodes[name] = RemoteNode(Session(self._link, name, self._owner), self.timeout)
        return self._nodes[name]

    def close(self) -> None:
        """End the inspector and all that it has started anywhere. May be called twice."""
        if self._owner is not None:
            self._link.send(self._owner, A.stop)
            self._owner = None
            self._nodes.clear()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RemoteNode:
    """A node that is asked. What it answers is a page; it says how much more there is."""

    def __init__(self, session: Session, timeout: float) -> None:
        self.session = session
        self.timeout = timeout

    @property
    def name(self) -> str:
        return self.session.node

    def __repr__(self) -> str:
        return f"<RemoteNode {self.name}>"

    def ask(self, name: str, arg: Any, timeout: float | None = None) -> Any:
        return self.session.ask(name, arg, self.timeout if timeout is None else timeout)

    def info(self, *, timeout: float | None = None) -> node_core.NodeInfo:
        """Versions, uptime, limits, memory, run queue."""
        return node_core.node_info(self.ask("info", {}, timeout))

    def nodes(self, *, limit: int = 1000, timeout: float | None = None) -> node_core.ClusterMap:
        """The cluster as this node sees it, and as each visible node sees the others."""
        seconds = self.timeout if timeout is None else timeout
        question = {A.time: max(1, round(seconds * 800)), A.limit: limit}
        return node_core.cluster(self.ask("nodes", question, seconds))

    def top(
        self,
        by: str = "memory",
        *,
        window: float = 0.0,
        limit: int = 20,
        skip: int = 0,
        match: str = "",
        timeout: float | None = None,
    ) -> rank_core.Ranking:
        """The processes with the most of `by`, or whose `by` grows the most within `window` seconds.

        Args:
            by: memory, reductions, queue, binary, heap or stack.
            match: leave only those of an application, module, registered name or label that contains this text.
        """
        mode = (A.window, round(window * 1000)) if window else A.page
        question = rank_core.question(by, mode, limit, skip, match)
        seconds = self.timeout if timeout is None else timeout
        answer = self.ask("rank", question, seconds + window)
        return rank_core.ranking(answer, self.name, by, window, skip)

    @contextmanager
    def watch_top(self, by: str = "reductions", *, limit: int = 20, match: str = "") -> Iterator[Watch]:
        """A view that stays: each `next()` of it ranks by what was added since the last."""
        watch = Watch(self, by, limit, match)
        try:
            yield watch
        finally:
            watch.close()

    def process(self, what: Any) -> RemoteProcess:
        """A process by its pid, by its text here (``<0.858.0>``) or by its name."""
        return RemoteProcess(self, what)


class Watch:
    """A ranking that goes on; the last figures are kept on the peer."""

    def __init__(self, node: RemoteNode, by: str, limit: int, match: str) -> None:
        self.node = node
        self.by = by
        question = rank_core.question(by, A.live, limit, 0, match)
        self._pid = node.session.open("rank", question, node.timeout)

    def next(self, per: float = 0.0) -> rank_core.Ranking:
        """What was added since the last time; `per` is the seconds that were between, for the answer to carry."""
        answer = self.node.session.next("rank", self._pid, A.next, self.node.timeout)
        return rank_core.ranking(answer, self.node.name, self.by, per, 0)

    def close(self) -> None:
        self.node.session.close(self._pid, self.node.timeout)


class RemoteProcess:
    """A process of a node; each question says whether it is there still."""

    def __init__(self, node: RemoteNode, what: Any) -> None:
        self.node = node
        self.what = what
        self._who = read_target(what, node.name)

    def __repr__(self) -> str:
        return f"<RemoteProcess {told(self.what)} on {self.node.name}>"

    def info(self, *, limit: int = 50, timeout: float | None = None) -> process_core.ProcessInfo:
        """What it is and does. Raises `NoSuchProcess`."""
        question = {A.limit: limit, A.huge: rank_core.HUGE}
        return process_core.process_info(self._ask("proc", question, timeout))

    def mailbox(self, *, limit: int = 10, force: bool = False, timeout: float | None = None) -> process_core.Mailbox:
        """Its first messages and their shapes.

        Raises:
            NoSuchProcess: it is not there.
            Refused: it has more than 10,000 messages, which would all be copied; `force` does it.
        """
        question = {A.limit: limit, A.most: process_core.COPIED, A.force: force, A.shapes: process_core.LOOKED}
        answer = self._ask("mailbox", question, timeout)
        if isinstance(answer, tuple):
            raise Refused(
                f"{told(self.what)} has {answer[1]} messages, and to look at them copies them all: "
                f"more than {process_core.COPIED} are copied with --force only"
            )
        return process_core.mailbox(answer)

    def _ask(self, name: str, question: dict[Any, Any], timeout: float | None) -> Any:
        answer = self.node.ask(name, {**question, A.who: self._who}, timeout)
        if answer is A.none or answer is None:
            raise NoSuchProcess(f"there is no process {told(self.what)} on {self.node.name}")
        return answer
