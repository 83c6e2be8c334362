"""Asks a node in a thread of its own, so that keys are answered while the node does not."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyerlnode.errors import PyerlnodeError
from pyerlnode.inspect import Cluster, RemoteNode, RemoteProcess, Watch
from pyerlnode.inspect.rank_core import Ranking
from pyerlnode.inspect.tree_core import Application, Child
from pyerlnode.runtime.edges import edge
from pyerlnode.term.pid import Pid
from pyerlnode.tools.inspector.live.asked_core import Killed, Looked, Question, Ranked, Supervised
from pyerlnode.tools.inspector.live.view_core import Answer


@dataclass(frozen=True, slots=True)
class Failure:
    """Why `question` has no answer; `error` is one that is a fault of ours."""

    question: Question
    why: str
    error: BaseException | None = None


class Asker:
    """One question at a time; `woken` is called when `answers` has another."""

    def __init__(self, cluster: Cluster, node: str, woken: Callable[[], None]) -> None:
        self.answers: queue.SimpleQueue[Answer | Failure] = queue.SimpleQueue()
        self._cluster = cluster
        self._node = cluster.node(node)
        self._woken = woken
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._watch: tuple[Ranked, Watch, float] | None = None
        # It may wait for a node that hangs: the program ends without it.
        self._thread = threading.Thread(target=edge(self._work), name="pyerlnode-live", daemon=True)
        self._thread.start()

    def ask(self, question: Question) -> None:
        self._questions.put(question)

    def close(self) -> None:
        """Ask nothing more."""
        self._questions.put(None)

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            self.answers.put(self._outcome(question))
            self._woken()

    def _outcome(self, question: Question) -> Answer | Failure:
        try:
            return self._answer(question)
        except PyerlnodeError as error:
            self._watch = None  # it has gone with what failed, or goes with the inspector
            return Failure(question, str(error))
        except BaseException as error:
            return Failure(question, str(error), error)

    def _answer(self, question: Question) -> Answer:
        match question:
            case Ranked():
                return Answer(question, self._ranked(question), self._node.info())
            case Supervised():
                return Answer(question, self._supervised(question), self._node.info())
            case Looked(pid, part):
                return Answer(question, _look(self._process(pid), part))
            case Killed(pid):
                self._process(pid).kill()
                return Answer(question, None)

    def _process(self, pid: Any) -> RemoteProcess:
        """A process of the node, or of another that it is tied to."""
        node = self._cluster.node(pid.node.name) if isinstance(pid, Pid) else self._node
        return node.process(pid)

    def _ranked(self, question: Ranked) -> Ranking | None:
        """None while there was but one look at what is added between two."""
        if not question.added:
            self._unwatched()
            return self._node.top(question.by, limit=question.limit, match=question.match)
        now = time.monotonic()
        if self._watch is None or self._watch[0] != question:
            self._unwatched()
            self._watch = (question, Watch(self._node, question.by, question.limit, question.match), now)
            return None
        _, watch, before = self._watch
        ranking = watch.next(now - before)
        self._watch = (question, watch, now)
        return ranking

    def _unwatched(self) -> None:
        if self._watch is not None:
            self._watch[1].close()
            self._watch = None

    def _supervised(self, question: Supervised) -> tuple[Application, ...] | Child:
        return supervised(self._node, question.root, question.limit, question.depth)


def supervised(node: RemoteNode, root: str | None, limit: int, depth: int) -> tuple[Application, ...] | Child:
    """The applications, or the one of that name, or else what the process of that name supervises."""
    told = node.tree(root, limit=limit, depth=depth) if root is None or root.isidentifier() else ()
    if root is not None and not any(application.top or application.late for application in told):
        return node.process(root).tree(limit=limit, depth=depth)  # no application of that name has processes
    return told


def _look(process: RemoteProcess, part: str) -> Any:
    match part:
        case "state":
            return process.state()
        case "mailbox":
            return process.mailbox()
    return process.info()
