"""The process behind a handle: it has the object, runs one method at a time, and ends with the object's owner.

It is asked by calls as `GenServer.call` makes them, so the caller is told when there is nobody to answer:

    {'$pyerlnode_method', Name, Args} → {return, Value} | {error, Reason, Stack} | {exit, Reason} | {throw, Value}
    '$pyerlnode_release'              → ok, when the object is released

A method that runs when the owner ends is run to its end, as a callback of a server is. Whatever ends the process, the
object is released once: by `terminate`, and when that was not let run, by a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import AlreadyStarted, Error, StartFailed, UsageError
from pyerlnode.kernel.objects.handle import METHOD, MODULE, RELEASE, ObjectHandle
from pyerlnode.kernel.remote.exports import by_keywords
from pyerlnode.kernel.remote.giving import register_giver
from pyerlnode.kernel.remote.spawn_server import execute, undef
from pyerlnode.otp import gen_server
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.dynamic_supervisor import Dynamic, DynamicSupervisor
from pyerlnode.otp.results import Reply, Stop
from pyerlnode.otp.service import Service
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

SUPERVISOR: Final = A.pyerlnode_objects
MOST: Final = 10_000
"""Objects of one node."""
EACH: Final = 100
"""Objects that one caller may have at a time, unless `Kept` says otherwise."""


class Kept:
    """What an exported function gives whose caller is to get a handle, and not a term.

        def load(path):
            return Kept(Model(path), ["predict"], release=Model.close)

    The object belongs to the caller. It is dropped when that one releases it or ends, or its node is lost. One method
    runs at a time.

    Args:
        object: any object.
        methods: the names of those that others may call, and nothing else.
        release: called with the object when it is dropped, once.
        keywords: the last argument of each method is a keyword list, as `Node.export` has it.
        most: objects that this caller may have at a time. One more is released at once: an error, `system_limit`.

    A server says whose it is: ``return Reply(keep(Kept(cursor, ["fetch"]), from_))``.

    Raises:
        UsageError: there is no such method, or its name begins with an underscore.
    """

    __slots__ = ("keywords", "methods", "most", "object", "release")

    def __init__(
        self,
        object: Any,
        methods: Iterable[str],
        *,
        release: Callable[[Any], Any] | None = None,
        keywords: bool = False,
        most: int = EACH,
    ) -> None:
        self.object = object
        self.methods = [methods] if isinstance(methods, str) else list(methods)
        self.release = release
        self.keywords = keywords
        self.most = most
        for name in self.methods:
            if not isinstance(name, str) or name.startswith("_") or not callable(getattr(object, name, None)):
                raise UsageError(f"{short(name)} is no method that others can call of {type(object).__qualname__}")
        if type(most) is not int or most < 1:
            raise UsageError("most is a number of objects, 1 or more")


class ObjectSupervisor(DynamicSupervisor):
    """Of all objects of a node; it knows how many each owner has."""

    __slots__ = ("owners",)
    owners: dict[Pid, int]

    def init(self) -> Dynamic:
        self.owners = {}
        return Dynamic(max_children=MOST)


class Holding:
    """One object's place among those of its owner; watches the object's process."""

    def __init__(self, process: Process, owners: dict[Pid, int], owner: Pid, kept: Kept) -> None:
        self.process = process
        self.owners = owners
        self.owner = owner
        self.kept: Kept | None = kept
        owners[owner] = owners.get(owner, 0) + 1

    def down(self, reason: Any) -> None:
        """The process has ended: when it was killed, nobody has released the object yet."""
        del reason
        left = self.owners[self.owner] = self.owners[self.owner] - 1
        if not left:
            del self.owners[self.owner]
        if self.kept is not None:
            self.process.system.new_process(self.process.group_leader).start_function(self.release, (), {})

    def release(self) -> None:
        kept, self.kept = self.kept, None
        if kept is not None:
            drop(kept)


def drop(kept: Kept) -> None:
    if kept.release is not None:
        kept.release(kept.object)


class ObjectServer(Service):
    """Has one object."""

    def init(self, kept: Kept, owner: Pid, leader: Pid | None, owners: dict[Pid, int]) -> Any:
        if owners.get(owner, 0) >= kept.most:
            return Stop(A.system_limit)
        process = self.process
        process.trap_exit = True  # so that an order to end comes by way of `terminate`
        process.group_leader = leader
        beside = process.system.beside
        self.methods = {}
        for name in kept.methods:
            method = getattr(kept.object, name)
            method = beside.awaitable(method) if beside is not None else method
            self.methods[Atom(name)] = by_keywords(method) if kept.keywords else method
        self.holding = Holding(process, owners, owner, kept)
        if process.monitored_by is None:
            process.monitored_by = {}
        process.monitored_by[self.holding] = self.holding
        self.owned = process.system.monitor_connected(process, owner)
        return None

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (tag, Atom() as name, [*args]) if tag is METHOD:
                method = self.methods.get(name)
                if method is None:
                    return Reply((A.error, A.undef, undef(MODULE, name, args)))
                return Reply(execute(None, method, args, lambda: from_[0])[1:])
            case tag if tag is RELEASE:
                return Stop(A.normal, reply=A.ok)
        return super().handle_call(request, from_)

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.DOWN, Reference() as ref, _, _, _) if ref == self.owned:
                return Stop(A.normal)
        return None

    def terminate(self, reason: Any) -> None:
        del reason
        self.holding.release()


def keep(kept: Kept, from_: Any) -> ObjectHandle:
    """The handle of `kept` for the caller `from_`, as `handle_call` has it; see `Kept`.

    Raises `Error`: `system_limit`, there are too many.
    """
    owner = from_[0] if type(from_) is tuple and len(from_) == 2 else from_
    return keep_for(require_current(), kept, owner)


def keep_for(process: Process, kept: Kept, owner: Process | Pid) -> ObjectHandle:
    """The handle of `kept`, which `process` has made for `owner`."""
    system = process.system
    if system.beside is None and any(iscoroutinefunction(getattr(kept.object, name)) for name in kept.methods):
        raise UsageError(f"a method of {type(kept.object).__qualname__} is `async def`: keep it by aio.Cluster")
    pid = owner.pid if isinstance(owner, Process) else owner
    supervisor = _supervisor(system)
    args = (kept, pid, process.group_leader, supervisor.owners)
    spec = child_spec(ObjectServer, *args, restart="temporary", shutdown=5.0)
    try:
        child = DynamicSupervisor.start_child(SUPERVISOR, spec, on=system)
    except StartFailed as error:
        drop(kept)
        raise Error(A.system_limit if error.reason is A.max_children else error.reason) from error
    assert child is not None  # its `init` does not ignore
    return ObjectHandle(child)


def _supervisor(system: System) -> ObjectSupervisor:
    """The supervisor of a node's objects; there is none before the first one."""
    process = system.registry.whereis(SUPERVISOR)
    if process is None:
        with suppress(AlreadyStarted):  # by somebody else, meanwhile
            gen_server.start(system, ObjectSupervisor, name=SUPERVISOR)
        process = system.registry.whereis(SUPERVISOR)
    found = None if process is None else behaviour_of(process)
    if not isinstance(found, ObjectSupervisor):
        raise UsageError(f"{SUPERVISOR} is registered by another process")
    return found


register_giver(Kept, keep_for)
