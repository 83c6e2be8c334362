"""The processes behind a stream: one that knows who reads it (`core`), and what runs the generator.

A generator of plain Python runs in a process of its own, which may wait, and is ended where it waits: what it raises
there, `GreenletExit`, runs its ``finally``. One of coroutines is run by `looped` in the program's asyncio loop.
Either is closed when the first process ends, however that comes about.
"""

from __future__ import annotations

from contextlib import suppress
from types import AsyncGeneratorType
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import AlreadyStarted, Error, NotAProcess, StartFailed, UsageError
from pyerlnode.kernel.streams.core import Effect, End, Flow, Run, Tell, Watch
from pyerlnode.kernel.streams.handle import DEMAND, GENERATORS, Stream
from pyerlnode.kernel.streams.source import DONE, FAILED, ITEM, Pulled, Source
from pyerlnode.otp import gen_server
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.results import Stop
from pyerlnode.otp.service import Service
from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.process import Process, current
from pyerlnode.runtime.reason_core import caught_class
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference

ASK: Final = A["$pyerlnode_ask"]
CLOSE: Final = A["$pyerlnode_close"]
SUPERVISOR: Final = A.pyerlnode_streams
MOST: Final = 10_000
"""Streams of one node that are open; a call whose answer would be one more fails with `system_limit`."""


class StreamServer(Service):
    """Who reads a generator, and how much of it."""

    def init(self, generator: Any, owner: Pid, leader: Pid | None) -> None:
        process = self.process
        process.group_leader = leader
        self.flow = Flow(owner)
        self.watched: dict[Reference, Pid] = {}
        self.source = source_of(process, generator)
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[self.source] = self.source
        self.carry_out(self.flow.begin())

    def handle_info(self, message: Any) -> Any:
        flow = self.flow
        match message:
            case (tag, value) if tag is ITEM:
                return self.carry_out(flow.item(value))
            case (tag, failure) if tag is FAILED:
                return self.carry_out(flow.failed(*failure))
            case tag if tag is DONE:
                return self.carry_out(flow.finished())
            case (tag, (Pid() as who, Reference() as ref), int(count)) if tag is ASK and count > 0:
                return self.carry_out(flow.asked(who, ref, count))
            case (tag, (Pid(), Reference() as ref)) if tag is CLOSE:
                return self.carry_out(flow.closed(ref))
            case (A.DOWN, Reference() as ref, _, _, _) if ref in self.watched:
                return self.carry_out(flow.gone(self.watched.pop(ref)))
        return None

    def carry_out(self, effects: list[Effect]) -> Any:
        system = self.process.system
        for effect in effects:
            if isinstance(effect, Run):
                self.source.run(effect.count)
            elif isinstance(effect, Watch):
                self.watched[system.monitor_connected(self.process, effect.who)] = effect.who
            elif isinstance(effect, End):
                return Stop(A.normal)
            elif system.is_connected(effect.ref.node):
                try:
                    system.send(effect.ref, (effect.ref, effect.what))
                except BaseException as error:  # `EncodeError`, or whatever a method of the item raised
                    caught(error)
                    return self.carry_out([Tell(effect.ref, caught_class(error)), End()])
        return None


def source_of(process: Process, generator: Any) -> Source:
    if isinstance(generator, AsyncGeneratorType):
        from pyerlnode.kernel.streams.looped import Looped  # brings asyncio, which such a program has

        return Looped(process, generator)
    return Pulled(process, generator)


def streamed(generator: Any, from_: Any, *, demand: int = DEMAND) -> Stream:
    """A generator as the answer to a call: ``return Reply(streamed(rows(), from_))``.

    Elixir gets an `Enumerable` (with the companion `Pyerlnode`), Python what `node.stream` reads. It runs by the demand
    of who reads it, and is closed when that one stops, or ends, or its node is lost; until somebody reads it the same
    is true of the caller. What an exported function gives as a generator becomes this by itself.

    Args:
        from_: the caller, as `handle_call` has it. demand: how many items may be made ahead.

    Raises:
        Error: `system_limit`, there are too many.
    """
    process = current()
    if process is None:
        raise NotAProcess("streamed is for a callback of a server: this greenlet is no process")
    owner = from_[0] if type(from_) is tuple and len(from_) == 2 else from_
    return stream_for(process, generator, owner, demand)


def stream_for(process: Process, generator: Any, owner: Any, demand: int = DEMAND) -> Stream:
    """The same, made by `process` for the process or pid `owner`."""
    if type(generator) not in GENERATORS:
        raise UsageError(f"a stream is made of a generator, not of {short(generator)}")
    if type(demand) is not int or demand < 1:
        raise UsageError("demand is a number of items, 1 or more")
    system = process.system
    if isinstance(generator, AsyncGeneratorType) and system.beside is None:
        raise UsageError(f"{system.node} runs beside no asyncio loop: answer what has coroutines by aio.Cluster")
    pid = owner.pid if isinstance(owner, Process) else owner
    spec = child_spec(StreamServer, generator, pid, process.group_leader, restart="temporary", shutdown="brutal_kill")
    try:
        child = DynamicSupervisor.start_child(_supervisor(system), spec, on=system)
    except StartFailed as error:
        raise Error(A.system_limit if error.reason is A.max_children else error.reason) from error
    assert child is not None  # its `init` does not ignore
    return Stream(child, demand)


def _supervisor(system: System) -> Any:
    """The supervisor of a node's streams; there is none before the first one."""
    if system.whereis(SUPERVISOR) is None:
        with suppress(AlreadyStarted):  # by somebody else, meanwhile
            gen_server.start(system, DynamicSupervisor, (), {"max_children": MOST}, name=SUPERVISOR)
    return SUPERVISOR


__all__ = ["Stream", "StreamServer", "stream_for", "streamed"]
