"""ConsumerSupervisor: a process of its own for each event, and no more of them at once than `max_demand`.

    def fetch(url): ...                                      # runs as a process; it may block, and it may crash

    node.start(ConsumerSupervisor, fetch, [(producer, {"max_demand": 10})])

As Elixir's `ConsumerSupervisor` with ``restart: :temporary``: an event is done when its process has ended, however that
came; then another is asked for, `min_demand` of them at a time. The processes are linked to the supervisor, whose end
is theirs.

    call which_children     [{undefined, Pid, worker, dynamic}]
    call count_children     #{specs => 1, active => N, supervisors => 0, workers => N}
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pyerlnode.bridges.gen_stage.core import demands_of
from pyerlnode.bridges.gen_stage.stage import Consumer, Options
from pyerlnode.errors import StartFailed
from pyerlnode.otp.results import Reply
from pyerlnode.otp.where import start_class
from pyerlnode.term.atom import A
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.gen_stage")


class _Share:
    """What one subscription has: `pending` events are done and not yet asked for again."""

    __slots__ = ("from_", "least", "pending")

    def __init__(self, from_: tuple[Any, Any], least: int) -> None:
        self.from_ = from_
        self.least = least
        self.pending = 0


class ConsumerSupervisor(Consumer):
    """``init(child, subscribe_to)``: `child` is a function of an event, or a behaviour whose `init` takes one."""

    __slots__ = ()

    def init(self, child: Callable[[Any], object] | type, subscribe_to: Sequence[Any] = ()) -> Options:
        self.child = child
        self.children: dict[Pid, Any] = {}
        self.shares: ExactDict[_Share] = ExactDict()
        self.process.trap_exit = True
        return Options(subscribe_to=subscribe_to)

    def handle_subscribe(self, kind: Any, options: list[Any], from_: tuple[Any, Any]) -> Any:
        del kind
        most, least, _ = demands_of(options)
        self.shares[from_[1]] = _Share(from_, least)
        self.ask(from_, most)
        return A.manual

    def handle_cancel(self, reason: Any, from_: tuple[Any, Any]) -> None:
        del reason
        self.shares.pop(from_[1], None)

    def handle_events(self, events: list[Any], from_: tuple[Any, Any]) -> None:
        for event in events:
            pid = self._start(event)
            if pid is None:
                self._done(from_[1])
            else:
                self.children[pid] = from_[1]

    def _start(self, event: Any) -> Pid | None:
        me = self.process
        if not isinstance(self.child, type):
            pid: Pid = me.system.spawn_function(self.child, (event,), {}, link=me).pid
            return pid
        try:
            return start_class(me, self.child, (event,), {})
        except StartFailed as error:
            log.error("%s could not start a child: %s", self._who(), error)
            return None

    def _done(self, tag: Any) -> None:
        share = self.shares.get(tag)
        if share is None:
            return
        share.pending += 1
        if share.pending >= share.least:
            count, share.pending = share.pending, 0
            self.ask(share.from_, count)

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.EXIT, Pid() as pid, _):
                if pid in self.children:
                    self._done(self.children.pop(pid))
                return None
        return super().handle_info(message)

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        if request is A.which_children:
            return Reply([(A.undefined, pid, A.worker, A.dynamic) for pid in self.children])
        if request is A.count_children:
            count = len(self.children)
            return Reply({A.specs: 1, A.active: count, A.supervisors: 0, A.workers: count})
        return Reply((A.error, (A.unknown_call, request)))

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def terminate(self, reason: Any) -> None:
        del reason
        for pid in self.children:
            self.process.system.exit(pid, A.shutdown)
