"""A process: a pid, a mailbox, links and monitors, and one of two kinds of body.

A *function body* is a greenlet of its own that calls `receive`. A *handler body* (every OTP behaviour) is an
object with ``handle(message)``; it has no greenlet while it is idle. Both are the same `Process`: what arrives, who is
told of its end and how it dies does not depend on the kind. What the runtime has to know of a body lies in slots of
the process: an attribute of a user's object, whatever its name, is never looked at.

How a process ends: `exit` records the reason, takes it out of every table and tells its links and monitors, all in
one go and whoever causes it; only then is its greenlet, if it has one that is not running just now, unwound by
`ProcessKilled`. So nothing that a dying body does (or catches) can delay or alter what others see. Whatever a body
lets escape, `KeyboardInterrupt` and `SystemExit` among it, ends its process and nothing else (see `edges`); the log is
told afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from types import CoroutineType
from typing import Any, Final

from gevent import getcurrent
from greenlet import greenlet

from pyerlnode.brief import told
from pyerlnode.errors import Exit, MadeBeforeFork, NotAProcess, UsageError
from pyerlnode.runtime.edges import ProcessKilled, edge, escaped, stop_program, stops_program
from pyerlnode.runtime.mailbox_core import (
    NOTHING,
    Place,
    add_place,
    behind,
    find,
    inserted,
    is_constant,
    place_of,
    removed,
)
from pyerlnode.runtime.process_core import ALIVE, DIE, MESSAGE, LinkEnd, exit2, link_exit
from pyerlnode.runtime.reason_core import exit_reason, is_exit
from pyerlnode.runtime.threads import get_ident, wrong_thread
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pattern import ANY, compile_pattern
from pyerlnode.term.pid import Pid, Reference

FLOODED: Final = 10_000
"""Messages in a mailbox from which on system messages overtake the others."""


class Body(greenlet):  # type: ignore[misc]  # greenlet has no types
    """The greenlet of a function body."""

    erl_process: Process
    call: tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]] | None
    function: Callable[..., object]


class _Flag:
    """A flag that few processes have, among those who watch them: it goes with the process."""

    def down(self, reason: Any) -> None:
        """The process has ended."""


ASYNC_DIST: Final = _Flag()


class Process:
    """One process of a `System`. Made by `System.spawn` and its kin, not directly."""

    __slots__ = (
        "adopted",
        "ancestors",
        "asks",
        "children_ancestors",
        "context",
        "dictionary",
        "exit_reason",
        "greenlet",
        "group_leader",
        "handler",
        "links",
        "monitored_by",
        "monitors",
        "name",
        "parent",
        "parked",
        "pid",
        "places",
        "queue",
        "resumable",
        "sys",
        "system",
        "timer",
        "trap_exit",
    )

    def __init__(self, system: Any, pid: Pid, group_leader: Pid | None) -> None:
        self.system = system
        self.pid = pid
        self.group_leader = group_leader
        self.exit_reason: Any = ALIVE
        self.queue: deque[Any] | None = None
        self.places: list[Place] | None = None
        """How far patterns were looked for (`mailbox_core`); None until a function body receives selectively."""
        self.handler: Any = None
        self.asks = True
        """A behaviour: whether its callbacks' None may say that no case took the message (`otp.unmatched`)."""
        self.greenlet: Any = None
        self.adopted = False
        self.parked = False
        """Wants to be woken by the next message: an idle handler body, or a greenlet in `receive`."""
        self.resumable = False
        """Its greenlet waits in a switch of ours, so the scheduler may switch to it."""
        self.trap_exit = False
        # The tables stay None until they are used: a million idle processes have none of them.
        self.links: dict[Process | Pid, LinkEnd | None] | None = None
        self.monitors: dict[tuple[int, ...], tuple[Reference, Process | Pid | tuple[Any, Any]]] | None = None
        self.monitored_by: dict[Any, Any] | None = None
        self.name: Atom | None = None
        self.dictionary: ExactDict[Any] | None = None
        self.ancestors: list[Pid | Atom] | None = None
        """`$ancestors`: who started it, and who started that one, each by name or pid; shared by siblings."""
        self.context: Context | None = None
        """The context variables of a handler body, as they were where it was started; None when there were none."""
        self.children_ancestors: list[Pid | Atom] | None = None
        self.parent: Pid | None = None
        """Of a behaviour: who started it linked. Its exit ends the behaviour, also one that traps exits."""
        self.sys: Any = None
        """Of a behaviour: the `otp.sys.SysState`, once `sys` has switched something on."""
        self.timer: Any = None
        """Of a server: the time-out that runs until its next message."""

    def __repr__(self) -> str:
        state = "alive" if self.alive else f"exited {told(self.exit_reason)}"
        return f"<Process {self.pid} {state}>"

    @property
    def async_dist(self) -> bool:
        """Whether it sends on where a peer does not read; kept beside it, as few have the flag."""
        return self.monitored_by is not None and ASYNC_DIST in self.monitored_by

    @async_dist.setter
    def async_dist(self, flag: bool) -> None:
        if flag:
            self.monitored_by = self.monitored_by or {}
            self.monitored_by[ASYNC_DIST] = ASYNC_DIST
        elif self.monitored_by is not None:
            self.monitored_by.pop(ASYNC_DIST, None)

    @property
    def alive(self) -> bool:
        return self.exit_reason is ALIVE

    def family(self) -> list[Pid | Atom]:
        """What its children have as `ancestors`."""
        family, me = self.children_ancestors, self.name or self.pid
        if family is None or family[0] is not me:
            family = self.children_ancestors = [me, *(self.ancestors or ())]
        return family

    # --- mail ----------------------------------------------------------------------------------
    def deliver(self, message: Any) -> None:
        """Put `message` at the end of the mailbox and see that somebody looks at it."""
        queue = self.queue
        if queue is None:
            queue = self.queue = deque()
        queue.append(message)
        if self.parked:
            self.parked = False
            self.system.scheduler.wake(self)

    def deliver_urgent(self, message: Any) -> None:
        """A system message, or the exit of the parent: in a flooded mailbox it stands before everything else.

        Up to `FLOODED` messages it keeps its place, so who sends something and then asks `sys` for the state sees
        what it did.
        """
        self.deliver(message)
        queue = self.queue
        if queue is not None and len(queue) > FLOODED:
            queue.pop()
            self.put_at(_urgent_at_front(queue), message)

    def deliver_first(self, message: Any) -> None:
        """Put `message` before all others: a note to itself, or the order to end; never a peer's message."""
        self.deliver(message)
        if self.queue:
            self.put_at(0, self.queue.pop())

    def put_at(self, index: int, message: Any) -> None:
        """Put `message` at `index` of the mailbox, which is there: not at its end."""
        queue: Any = self.queue
        queue.insert(index, message)
        if self.places is not None:
            inserted(self.places, index)

    def receive(
        self, matches: Callable[[Any], Any] | None, timeout: float | None, *, since: Reference | None = None
    ) -> Any:
        """The next message that `matches`, or `NOTHING` after `timeout` seconds. Called by the body itself.

        With `since`, a reference that this process made, only messages that came after that are looked at.
        """
        if matches is None:
            if self.queue and self.places is None and self.exit_reason is ALIVE:
                scheduler = self.system.scheduler
                if scheduler.unlooked and scheduler.counted is scheduler.slice_began:  # the usual case, the short way
                    scheduler.unlooked -= 1
                    return self.queue.popleft()
            return self._receive(None, timeout)
        places = self._places()
        place = add_place(places, Place(None, matches, 0 if since is None else behind(places, since)))
        try:
            return self._receive(place, timeout)
        finally:
            if place in places:
                places.remove(place)  # a function may think otherwise of the same message next time

    def receive_pattern(self, pattern: Any, timeout: float | None, *, since: Reference | None = None) -> Any:
        """As `receive`, for a pattern; how far it was looked for is remembered, unless it has a function in it."""
        places = self._places()
        place = place_of(places, pattern)
        if place is None:
            if not is_constant(pattern):
                return self.receive(compile_pattern(pattern), timeout, since=since)
            place = add_place(places, Place(pattern, compile_pattern(pattern)))
        if place.has_reference:
            place.seen = max(place.seen, behind(places, pattern))
        if since is not None:
            place.seen = max(place.seen, behind(places, since))
        return self._receive(place, timeout)

    def _places(self) -> list[Place]:
        places = self.places
        if places is None or self.handler is not None:  # whose messages are taken by the scheduler
            places = self.places = []
        return places

    def mark(self, ref: Reference) -> None:
        """`ref` was made just now: no message that is here already can hold it."""
        if self.queue and self.handler is None:
            add_place(self._places(), Place(ref, None, len(self.queue)))

    def _receive(self, place: Place | None, timeout: float | None) -> Any:
        if self.queue:  # else it waits, and a new slice begins
            self.system.scheduler.breathe()
        timer = None
        timed_out: list[bool] | None = None
        try:
            while True:
                if self.exit_reason is not ALIVE:
                    self.check_alive()
                if self.queue:
                    if place is None and self.places is None:
                        return self.queue.popleft()
                    message = self._take(place)
                    if message is not NOTHING:
                        return message
                if timed_out or timeout == 0:
                    return NOTHING
                if timer is None and timeout is not None:
                    timed_out = []
                    timer = self.system.timers.start(timeout, self._receive_timed_out, timed_out)
                self._park(getcurrent())
        finally:
            if timer is not None:
                timer.cancel()

    def _take(self, place: Place | None) -> Any:
        """The first message, or the first that matches at `place`, out of the mailbox, which is not empty."""
        if place is None:
            return self.take_at(0)
        queue: Any = self.queue
        matches: Any = place.matches
        length = len(queue)
        index = find(queue, matches, place.seen)
        if len(queue) != length:
            raise RuntimeError("the mailbox changed while a matcher looked at it: it must not wait, nor send to itself")
        if index < 0:
            place.seen = length
            return NOTHING
        place.seen = index
        return self.take_at(index)

    def take_down(self, ref: Reference) -> None:
        """Remove the DOWN of the monitor `ref`, if it is there: behind what was here when that was made."""
        start = 0 if self.places is None else behind(self.places, ref)
        index = find(self.queue or deque(), compile_pattern((ANY, ref, ANY, ANY, ANY)), start)
        if index >= 0:
            self.take_at(index)

    def take_at(self, index: int) -> Any:
        """The message at `index`, out of the mailbox."""
        queue: Any = self.queue
        if self.places is not None:
            removed(self.places, index)
        if not index:
            return queue.popleft()
        message = queue[index]
        del queue[index]
        return message

    def _receive_timed_out(self, timed_out: list[bool]) -> None:
        timed_out.append(True)
        if self.parked:
            self.parked = False
            self.system.scheduler.wake(self)

    def _park(self, me: Any) -> None:
        self.greenlet = me
        self.parked = self.resumable = True
        try:
            self.system.scheduler.switch()
        finally:
            self.parked = self.resumable = False

    def check_alive(self) -> None:
        if self.exit_reason is not ALIVE:
            if self.adopted:  # the greenlet belongs to the program: it gets an error that it can handle
                raise Exit(self.exit_reason, f"this process was ended by an exit signal: {told(self.exit_reason)}")
            raise ProcessKilled

    # --- the body ------------------------------------------------------------------------------
    def start_function(self, fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Give it a function body; it runs when the scheduler comes to it."""
        body = Body(self._run_function, self.system.scheduler.hub)
        body.erl_process = self
        body.gr_context = copy_context()
        self.greenlet = body
        self.resumable = True
        body.call = (fn, args, kwargs)
        body.function = fn
        self.system.scheduler.wake(self)

    def _run_function(self) -> None:
        self.resumable = False
        if self.exit_reason is not ALIVE:  # killed before its first turn
            return
        fn, args, kwargs = self.greenlet.call
        self.greenlet.call = None  # what it was given lives as long as the body uses it
        try:
            if type(fn(*args, **kwargs)) is CoroutineType:
                raise UsageError(f"{getattr(fn, '__qualname__', fn)} is `async def`, and a process awaits nothing")
        except BaseException as error:
            self.crashed(error)
        else:
            self.finish(A.normal)

    def crashed(self, error: BaseException) -> None:
        """The body let `error` escape: end by it, then report it, unless it is an exit."""
        if isinstance(error, MadeBeforeFork):
            escaped("a process of the parent, in a fork,", error)
            return
        if self.exit_reason is ALIVE:
            tell = None if is_exit(error) else self.system.crash_report(self, error)
            self.finish(exit_reason(error))
            if tell is not None:
                tell()
        if stops_program(error):
            stop_program(error)

    def initial_call(self) -> tuple[Atom, Atom, int]:
        """``{Module, Function, Arity}`` of a function body."""
        fn: Any = getattr(self.greenlet, "function", None)
        fn = getattr(fn, "func", fn)  # of a partial
        code = getattr(fn, "__code__", None)
        module, name = getattr(fn, "__module__", None) or "?", getattr(fn, "__qualname__", "?")
        return Atom(str(module)[-255:]), Atom(name[-255:]), 0 if code is None else code.co_argcount

    # --- the end -------------------------------------------------------------------------------
    def exit(self, reason: Any) -> None:
        """End with `reason`: tell links and monitors, leave every table, unwind the body."""
        if self.exit_reason is not ALIVE:
            return
        self.exit_reason = reason
        self.system.bury(self)
        target = self.greenlet
        if self.adopted:
            if self.resumable:
                self.system.scheduler.wake(self)
        elif target is not None:  # a body that runs just now is unwound where it next waits
            self.system.scheduler.throw(self, target)

    def finish(self, reason: Any) -> None:
        """End with `reason`, by the body itself: what it does after that, as reporting, is not unwound."""
        if not self.adopted:
            self.greenlet = None
        self.exit(reason)

    def exit_signal(self, from_: Pid, reason: Any) -> None:
        """``exit(Pid, Reason)`` from `from_`."""
        self._decide(exit2(self.trap_exit, reason, from_self=from_ == self.pid), from_)

    def link_broken(self, from_: Pid, reason: Any) -> None:
        """The other end of an active link, already removed, has ended with `reason`."""
        self._decide(link_exit(self.trap_exit, reason), from_)

    def _decide(self, outcome: tuple[int, Any], from_: Pid) -> None:
        what, reason = outcome
        if what == DIE:
            self.exit(reason)
        elif what == MESSAGE:
            deliver = self.deliver_urgent if self.parent is not None and self.parent == from_ else self.deliver
            deliver((A.EXIT, from_, reason))


def _urgent_at_front(queue: deque[Any]) -> int:
    for index, message in enumerate(queue):
        if type(message) is not tuple or len(message) != 3 or message[0] not in (A.system, A.EXIT):
            return index
    return len(queue)


def context_now() -> Context | None:
    """A copy of the current context variables; None when there are none, which costs nothing to keep."""
    context = copy_context()
    return context if len(context) else None


def current() -> Process | None:
    """The process that the current greenlet runs, if any."""
    return getattr(getcurrent(), "erl_process", None)


def acting(system: Any) -> Process:
    """The process in whose name the current greenlet acts in `system`: its own, else the root."""
    process: Process | None = getattr(getcurrent(), "erl_process", None)
    if process is not None and process.system is system and process.exit_reason is ALIVE:
        return process
    if get_ident() != system.scheduler.thread:
        raise wrong_thread(system)
    root: Process = system.root
    return root


def require_current() -> Process:
    process = current()
    if process is None:
        raise NotAProcess("this greenlet is no process: spawn one, or use the methods of the node")
    return process


def adopt(system: Any) -> Process:
    """The process of the current greenlet in `system`; made on first use, and again after it was ended by a signal."""
    me = getcurrent()
    process: Process | None = getattr(me, "erl_process", None)
    if process is not None and process.system is system and process.alive:
        return process
    if process is not None and not process.adopted and process.alive:
        raise NotAProcess("this greenlet is a process of another node")
    made: Process = system.new_process(None)
    made.adopted = True
    made.greenlet = me
    me.erl_process = made
    if hasattr(me, "rawlink"):  # a gevent Greenlet tells when it ends; the main greenlet lives as long as the program
        me.rawlink(edge(lambda _: made.exit(A.normal)))
    return made


def run_as(process: Process, fn: Callable[[], Any]) -> Any:
    """Run `fn` as `process` on the current greenlet; a kill of `process` meanwhile unwinds `fn` alone.

    The kill of a process that lends its greenlet unwinds `fn` too, and then what it does itself: that is its greenlet
    all the time.
    """
    me = getcurrent()
    before = getattr(me, "erl_process", None)
    me.erl_process = process
    process.greenlet = me
    try:
        return fn()
    finally:
        me.erl_process = before
        process.greenlet = None


def as_nobody(fn: Callable[[], Any]) -> Any:
    """Run `fn`, which must not wait, as if no process ran on this greenlet: it acts in the name of the root process."""
    me = getcurrent()
    before = getattr(me, "erl_process", None)
    me.erl_process = None
    try:
        return fn()
    finally:
        me.erl_process = before
