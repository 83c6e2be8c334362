"""Calls whose answer is fetched later: `send_request` and its kin, collections of them, `multi_call`, `abcast`.

    request = send_request(system, dest, A.get)
    ...
    value = receive_response(request, timeout=1.0)

The answer goes where OTP has it. Somebody who waits in `receive_response` or `wait_response` is woken with it; when
nobody waits it is a message in the mailbox of the process that asked, ``{[alias|Ref], Reply}`` or a DOWN, which
`check_response` knows again in a `handle_info`. (In a greenlet that is no process it is kept in the request.)

    receive_response   waits; a time-out gives the request up: a late answer is dropped
    wait_response      waits; after a time-out one may wait again
    check_response     looks at a message

    all three          the answer; raises what `call` raises when the server ended instead
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import CallTimeout, ConnectError, Exit, NodeDown
from pyerlnode.otp import gen
from pyerlnode.runtime.mailbox import DOWN, PENDING, REPLY, TIMEOUT, Waiter
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import ImproperList

PENDING_RESPONSE: Final = object()
"""What `wait_response` gives after its time-out: OTP's ``timeout``, which no answer can be taken for."""
NO_REPLY: Final = object()
"""What `check_response` gives for a message that is no answer to the request."""
NO_REQUEST: Final = object()
"""What the functions give for a collection without requests."""


class Request(Waiter):
    """One request under way."""

    __slots__ = ("_caller", "_handle", "_message", "collection", "dest", "label", "ref", "request", "system")

    def __init__(self, system: System, dest: Any, request: Any) -> None:
        super().__init__(system.scheduler, system.timers)
        self.system = system
        self.dest = dest
        self.request = request
        self.ref = system.new_ref()
        self.label: Any = None
        self.collection: RequestIds | None = None
        self._caller = system.myself()
        self._handle: Any = None
        self._message: Any = None

    def send(self, tag: Atom) -> None:
        system = self.system
        system.aliases[self.ref.words] = self
        alias = ImproperList((A.alias,), self.ref)
        try:
            self._handle = system.watch(self, self.ref, self.dest)
            if self.state == PENDING:
                system.send(self.dest, (tag, (self._caller.pid, alias), self.request))
        except ConnectError as error:
            self.settle(DOWN, NodeDown((A.nodedown, Atom(error.node)), str(error)))
        except BaseException:
            system.unwatch(self.ref, self._handle)
            raise

    def settle(self, state: int, value: Any) -> None:
        if self.state != PENDING or state == TIMEOUT:
            super().settle(state, value)
            return
        self.system.unwatch(self.ref, self._handle)
        waited_for = self.resumable or (self.collection is not None and self.collection.waited_for)
        super().settle(state, value)
        if self.collection is not None:
            self.collection.settled(self)
        if not waited_for and self._caller is not self.system.root:
            self._message = self._as_message(state, value)
            self._caller.deliver(self._message)

    def _as_message(self, state: int, value: Any) -> Any:
        if state == REPLY:
            return ImproperList((A.alias,), self.ref), value
        return A.DOWN, self.ref, A.process, self.dest, getattr(value, "reason", value)

    def is_answer(self, message: Any) -> bool:
        return message is self._message and message is not None

    def taken(self) -> Any:
        """The outcome, for the one who waited; its message leaves the mailbox."""
        if self._message is not None and self._caller.queue:
            for index, message in enumerate(self._caller.queue):
                if message is self._message:
                    self._caller.take_at(index)
                    break
        self._message = None
        return self.outcome()

    def outcome(self) -> Any:
        if self.state == REPLY:
            return self.value
        if isinstance(self.value, Exit):
            raise self.value
        node = None if self._handle is None or not isinstance(self._handle, tuple) else self._handle[0]
        peer = None if node is None else self.system.peers.get(node)
        raise gen.failure(self.state, self.value, self.dest, self.request, None, None if peer is None else peer.refusal)

    def abandon(self) -> None:
        """Nobody wants the answer any more; a late one is dropped."""
        self.state = DOWN
        self.system.unwatch(self.ref, self._handle)

    def again(self) -> None:
        if self.state == TIMEOUT:
            self.state = PENDING


class RequestIds:
    """A collection of requests, each with a label (``gen_server:reqids_*``)."""

    def __init__(self, requests: Iterable[tuple[Request, Any]] = ()) -> None:
        self._open: dict[Request, None] = {}
        self._ready: deque[Request] = deque()
        self._waiter: Waiter | None = None
        for request, label in requests:
            self.add(request, label)

    def add(self, request: Request, label: Any) -> None:
        request.label, request.collection = label, self
        self._open[request] = None
        if request.state != PENDING:
            self._ready.append(request)

    def __len__(self) -> int:
        return len(self._open)

    def to_list(self) -> list[tuple[Request, Any]]:
        return [(request, request.label) for request in self._open]

    @property
    def waited_for(self) -> bool:
        return self._waiter is not None and self._waiter.state == PENDING

    def settled(self, request: Request) -> None:
        self._ready.append(request)
        if self._waiter is not None:
            self._waiter.settle(REPLY, None)

    def next(self, timeout: float | None) -> Request | None:
        """The next request that has an outcome; None after the time-out."""
        if not self._ready:
            first = next(iter(self._open))
            self._waiter = Waiter(first.scheduler, first.timers)
            try:
                self._waiter.wait(timeout)
            finally:
                self._waiter = None
        return self._ready.popleft() if self._ready else None

    def remove(self, request: Request) -> None:
        self._open.pop(request, None)
        request.collection = None


def send_request(system: System, dest: Any, request: Any, tag: Atom = gen.CALL) -> Request:
    """Send a call and do not wait. Raises `EncodeError` only: what else fails is the request's outcome."""
    made = Request(system, dest, request)
    made.send(tag)
    return made


def receive_response(what: Request | RequestIds, timeout: float | None = None, *, delete: bool = True) -> Any:
    """Wait for the answer; after `timeout` seconds raise `CallTimeout` and give the request up.

    For a collection: ``(answer, label, collection)`` of the first that is there, or `NO_REQUEST`; after the time-out
    all of its requests are given up.
    """
    if isinstance(what, RequestIds):
        return _first(what, timeout, give_up=True, delete=delete)
    what.again()
    if what.wait(timeout) == TIMEOUT:
        what.abandon()
        raise CallTimeout(A.timeout, f"{short(what.dest)} did not answer within {timeout} s")
    return what.taken()


def wait_response(what: Request | RequestIds, timeout: float | None = 0.0, *, delete: bool = True) -> Any:
    """As `receive_response`; after the time-out it gives `PENDING_RESPONSE`, and one may wait again."""
    if isinstance(what, RequestIds):
        return _first(what, timeout, give_up=False, delete=delete)
    what.again()
    if what.wait(timeout) == TIMEOUT:
        what.again()
        return PENDING_RESPONSE
    return what.taken()


def check_response(message: Any, what: Request | RequestIds, *, delete: bool = True) -> Any:
    """The answer that `message` carries, or `NO_REPLY`; of a collection ``(answer, label, collection)``."""
    if isinstance(what, Request):
        return what.outcome() if what.is_answer(message) else NO_REPLY
    if not len(what):
        return NO_REQUEST
    for request, label in what.to_list():
        if request.is_answer(message):
            if delete:
                what.remove(request)
            return request.outcome(), label, what
    return NO_REPLY


def _first(what: RequestIds, timeout: float | None, *, give_up: bool, delete: bool) -> Any:
    if not len(what):
        return NO_REQUEST
    request = what.next(timeout)
    if request is None:
        if not give_up:
            return PENDING_RESPONSE
        for late, _ in what.to_list():
            what.remove(late)
            late.abandon()
        raise CallTimeout(A.timeout, f"none of the requests was answered within {timeout} s")
    label = request.label
    if delete:
        what.remove(request)
    return request.taken(), label, what


def multi_call(
    system: System, nodes: Iterable[str | Atom], name: Any, request: Any, timeout: float | None = None
) -> tuple[dict[Atom, Any], list[Atom]]:
    """Call the server `name` on each of `nodes` at once: (answers by node, nodes that gave none).

    Never raises for a node that is down, has no such server, or does not answer within `timeout` seconds.
    """
    asked = [Atom(str(node)) for node in nodes]
    deadline = None if timeout is None else system.timers.now() + timeout
    requests = [(node, send_request(system, (name, node), request)) for node in dict.fromkeys(asked)]
    replies: dict[Atom, Any] = {}
    bad: list[Atom] = []
    for node, waiting in requests:
        left = None if deadline is None else max(0.0, deadline - system.timers.now())
        if _answered(waiting, left):
            replies[node] = waiting.value
        else:
            bad.append(node)
    return replies, bad


def _answered(request: Request, timeout: float | None) -> bool:
    try:
        receive_response(request, timeout)
    except Exit:
        return False
    return True


def abcast(system: System, nodes: Iterable[str | Atom], name: Any, message: Any) -> None:
    """Cast to the server `name` on each of `nodes`; nodes that can not be reached are passed over."""
    for node in nodes:
        _cast_if_there(system, (name, Atom(str(node))), message)


def _cast_if_there(system: System, dest: Any, message: Any) -> None:
    try:
        gen.cast(system, dest, message)
    except ConnectError:
        return
