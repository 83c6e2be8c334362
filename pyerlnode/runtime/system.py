"""The actor system of one node: it makes processes and carries every signal between them.

Local and remote are one code: a send, a link, a monitor goes through the same method here, which knows whether the
other side is a `Process` of this system or a pid of another node. A system knows its node's name and creation and
nothing of sockets: `connector` (installed by `kernel.net_kernel`) brings a `Route` to a node when one is needed.

What it keeps is in `tables`, what binds processes to each other in `relations`; here they begin, and here all ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from pyerlnode.errors import UsageError
from pyerlnode.runtime.bounded import MailboxLimit
from pyerlnode.runtime.forks import made_before, ours
from pyerlnode.runtime.offload import in_own_thread
from pyerlnode.runtime.process import Process, adopt, context_now
from pyerlnode.runtime.relations import Relations, link_local
from pyerlnode.runtime.shutdown import Ending, StopReport
from pyerlnode.runtime.threads import end_jobs, run_in
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid

T = TypeVar("T")


class System(Relations):
    """The processes of one node: `tables` keeps them, `relations` binds them, here they begin and end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ours(self)

    def forsake(self) -> None:
        """In a fork: nothing runs, and whoever uses it any more is told why that can not be."""
        self.timers.close()
        self.scheduler.forsake()
        self.__class__ = Forsaken  # type: ignore[assignment]  # so nobody else has to ask, ever

    # --- spawning ------------------------------------------------------------------------------
    def spawn(self, fn: Callable[..., object], *args: Any, **kwargs: Any) -> Pid:
        return self.spawn_function(fn, args, kwargs).pid

    def spawn_function(
        self,
        fn: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        link: Process | None = None,
        mailbox: MailboxLimit | None = None,
    ) -> Process:
        """A process with a function body; linked to `link` before it runs."""
        if not callable(fn):
            raise UsageError(f"spawn wants a function, not {type(fn).__name__}")
        parent = self.myself()
        process = self.new_process(parent.group_leader, mailbox)
        process.ancestors = parent.family()
        if link is not None:
            link_local(process, link)
        process.start_function(fn, args, kwargs)
        return process

    def spawn_handler(
        self, handler: Any, *, link: Process | None = None, mailbox: MailboxLimit | None = None
    ) -> Process:
        """A process with a handler body, idle until a message arrives."""
        parent = self.myself()
        process = self.new_process(parent.group_leader, mailbox)
        process.ancestors = parent.family()
        process.context = context_now()
        process.handler = handler
        process.parked = True
        if link is not None:
            link_local(process, link)
        return process

    def adopt(self) -> Process:
        return adopt(self)

    def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `function` in the hub and wait for it: the way in for other threads (`runtime.threads`)."""
        return run_in(self, partial(function, *args, **kwargs))

    # --- the end -------------------------------------------------------------------------------
    def shut_down(self, timeout: float, keep: Iterable[Pid] = (), *, hurry: bool = False) -> StopReport:
        """Ask every process to end and wait for it, at most `timeout` seconds; but those of `keep`, and the caller.

        `hurry`: each is asked before it takes another message of its mailbox.
        """
        return Ending(self, frozenset(keep), hurry=hurry).run(timeout)

    def offload(self, function: Callable[..., T], *args: Any, in_process: bool = False, **kwargs: Any) -> T:
        """Run `function` beside the hub, in a thread or in an OS process, and wait for what it gives."""
        run = self.os_processes.run if in_process else in_own_thread
        return run(function, *args, **kwargs)

    def stop(self) -> None:
        """End every process with reason `shutdown`, `kill` for nobody: their links and monitors are told first."""
        self.stopped = True
        end_jobs(self)
        for process in list(self.processes.values()):
            process.exit(A.shutdown)
        self.timers.close()
        self.scheduler.close()
        self.aliases.clear()
        self.aliases_of.clear()
        self.ahead.clear()
        self.timer_refs.clear()
        self.os_processes.close()


class Forsaken:
    """What a `System` is in a fork of its OS process."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return object.__getattribute__(self, name)
        raise made_before(object.__getattribute__(self, "__dict__")["node"].name)
