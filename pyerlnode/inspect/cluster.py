"""The objects of an inspection: a cluster, its nodes, their processes. See `docs/inspecting.md`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.inspect import node_core, process_core, rank_core, snapshot_core, things_core, trace_core, tree_core
from pyerlnode.inspect.session import InspectError, Late, Link, NoSuchProcess, Refused, Session, brief
from pyerlnode.inspect.target_core import read_target, told
from pyerlnode.inspect.text_core import mfa
from pyerlnode.inspect.trace import Trace
from pyerlnode.runtime.api import receive
from pyerlnode.term.atom import A, Atom
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
        read_only: False to change something as well: `trace`, `eval`, `kill`, `garbage_collect`.
    """

    def __init__(self, link: Link, *, timeout: float = TIMEOUT, read_only: bool = True) -> None:
        self.timeout = timeout
        self.read_only = read_only
        self._link = link
        self._owner: Pid | None = link.spawn(_own)
        self._nodes: dict[str, RemoteNode] = {}

    def node(self, name: str) -> RemoteNode:
        """A node of the cluster, by its whole name. Nothing is sent before something is asked."""
        if self._owner is None:
            raise UsageError("this inspector is closed")
        if name not in self._nodes:
            self._nodes[name] = RemoteNode(Session(self._link, name, self._owner), self.timeout, self.read_only)
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

    def __init__(self, session: Session, timeout: float, read_only: bool = True) -> None:
        self.session = session
        self.timeout = timeout
        self.read_only = read_only

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

    def ets(
        self, by: str = "memory", *, limit: int = 20, match: str = "", timeout: float | None = None
    ) -> things_core.Page[things_core.Ets]:
        """The tables with the most memory, or the largest size."""
        key = things_core.key(by, things_core.ETS_KEYS, "tables")
        question = {A.key: key, A.limit: limit, A.match: match}
        return things_core.tables(self.ask("ets", question, timeout), self.name)

    def ports(
        self, by: str = "queue", *, limit: int = 20, timeout: float | None = None
    ) -> things_core.Page[things_core.RemotePort]:
        """The ports with the most that waits to be written, that came in, that went out, or memory."""
        question = {A.key: things_core.key(by, things_core.PORT_KEYS, "ports"), A.limit: limit}
        return things_core.ports(self.ask("ports", question, timeout), self.name)

    def applications(self, *, timeout: float | None = None) -> tuple[things_core.LoadedApplication, ...]:
        """All that are loaded, whether they run, and how many processes each has."""
        return things_core.loaded(self.ask("apps", {A.time: self._ms(timeout)}, timeout))

    def schedulers(self, *, window: float = 1.0, timeout: float | None = None) -> things_core.Schedulers:
        """How busy they were in `window` seconds."""
        seconds = self.timeout if timeout is None else timeout
        return things_core.schedulers(self.ask("sched", {A.window: round(window * 1000)}, seconds + window))

    def stuck(
        self, *, window: float = 1.0, limit: int = 20, timeout: float | None = None
    ) -> things_core.Page[things_core.Stuck]:
        """Processes that did not move in `window` seconds, though messages wait at them or they wait in a call."""
        seconds = self.timeout if timeout is None else timeout
        question = {A.window: round(window * 1000), A.limit: limit}
        return things_core.stuck(self.ask("stuck", question, seconds + window), self.name)

    def tree(
        self, app: str | None = None, *, limit: int = 100, depth: int = 20, timeout: float | None = None
    ) -> tuple[tree_core.Application, ...]:
        """The supervision trees of the applications that run, or of one.

        Supervisors are asked in parallel; one that does not answer within a quarter of the time says so in its place.
        """
        root = A.all if app is None else (A.app, Atom(app))
        return tree_core.applications(self.ask("tree", self._tree(root, limit, depth, timeout), timeout)[1])

    def _tree(self, root: Any, limit: int, depth: int, timeout: float | None) -> dict[Atom, Any]:
        each = max(1, self._ms(timeout) // 4)
        return {A.root: root, A.limit: limit, A.depth: depth, A.time: each, A.most: tree_core.SUPERVISED}

    def _ms(self, timeout: float | None) -> int:
        """A part of the time of a question, in ms, for what it asks itself."""
        return max(1, round((self.timeout if timeout is None else timeout) * 800))

    def snapshot(self, *, timeout: float | None = None) -> snapshot_core.Snapshot:
        """Its memory, and its processes, messages and tables in sums, to be compared with those of another moment."""
        question = {A.huge: rank_core.HUGE, A.most: snapshot_core.KINDS}
        return snapshot_core.snapshot(self.ask("snapshot", question, timeout), time.time())

    def trace(
        self,
        mfa: str,
        *,
        process: Any = None,
        count: int = 100,
        rate: int = 100,
        seconds: float = 10.0,
        size: int = 400,
        returns: bool = False,
    ) -> Trace:
        """Calls of `mfa` (``lists:reverse/1``), by all processes or by one; use it in a `with` block.

        It ends after `count` events, when more than `rate` come in one second, or after `seconds`; of each at most
        `size` characters come. Not for a cluster that is `read_only`.
        """
        if self.read_only:
            raise UsageError("this inspector only reads; Cluster(…, read_only=False) may trace")
        who = A.all if process is None else read_target(process, self.name)
        question = trace_core.question(mfa, who, count=count, rate=rate, seconds=seconds, size=size, returns=returns)
        return Trace(self.session, question, self.timeout)

    def eval(self, source: str, *, timeout: float | None = None) -> Any:
        """What Erlang expressions give there: they may do anything, so not for a cluster that is `read_only`."""
        return self.change({A.what: A.eval, A.source: source}, timeout)

    def change(self, question: dict[Atom, Any], timeout: float | None) -> Any:
        if self.read_only:
            raise UsageError(f"this inspector only reads; Cluster(…, read_only=False) may {question[A.what]}")
        match self.ask("change", question, timeout):
            case (A.value, value):
                return value
            case (A.syntax, bytes(why)):
                raise InspectError(f"that is no Erlang: {why.decode()}")
        raise NoSuchProcess(f"there is no such process on {self.name}")

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

    def state(self, *, status: bool = False, force: bool = False, timeout: float | None = None) -> things_core.State:
        """``sys:get_state/2``, or with `status` ``sys:get_status/2``.

        Raises:
            Late: the process gave no answer; the text says what it does.
            Refused: 1000 messages wait at it, or it is not known to be one of OTP's: `force` asks all the same, and
                the question then stays in the mailbox of a process that does not know it.
        """
        question = {A.time: self.node._ms(timeout), A.status: status, A.force: force, A.most: things_core.STATE_BYTES}
        where = f"{told(self.what)} on {self.node.name}"
        match self._ask("state", question, timeout):
            case (A.state, facts, term):
                return things_core.state(facts, term)
            case (A.refused, A.queue, (queue, _, current)):
                raise Refused(f"{where} has {queue} messages and is in {mfa(current)}: only --force asks it")
            case (A.refused, _, (_, _, current)):
                raise Refused(
                    f"{where} is not known to be an OTP process, it is in {mfa(current)}: only --force asks it"
                )
            case (A.late, (queue, now, current)):
                raise Late(f"{where} does not answer: it is {now.name} in {mfa(current)}, with {queue} messages")
            case (A.ended, reason):
                raise InspectError(f"{where} refused: {brief(reason)}")
        raise InspectError(f"{where} gave no usable answer")

    def tree(self, *, limit: int = 100, depth: int = 20, timeout: float | None = None) -> tree_core.Child:
        """What this supervisor supervises."""
        question = self.node._tree((A.process, self._who), limit, depth, timeout)
        return tree_core.child(self._ask("tree", question, timeout)[1])

    def kill(self, *, timeout: float | None = None) -> None:
        """``exit(Pid, kill)``; not for a cluster that is `read_only`."""
        self.node.change({A.what: A.kill, A.who: self._who}, timeout)

    def garbage_collect(self, *, timeout: float | None = None) -> tuple[int, int]:
        """Its bytes before and after; not for a cluster that is `read_only`."""
        before, after = self.node.change({A.what: A.garbage_collect, A.who: self._who}, timeout)
        return before, after

    def _ask(self, name: str, question: dict[Any, Any], timeout: float | None) -> Any:
        answer = self.node.ask(name, {**question, A.who: self._who}, timeout)
        if answer is A.none or answer is None:
            raise NoSuchProcess(f"there is no process {told(self.what)} on {self.node.name}")
        return answer
