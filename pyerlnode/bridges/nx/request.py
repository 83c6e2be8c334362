"""One distributed `Nx.Serving.batched_run`, in the process that the caller's node had us spawn for it.

Reference: `Nx.Serving.__distributed_batched_run__/4`, `local_batched_run/3`, `receive_execute`, `receive_stream`.

The caller, on its own node, picks a member of the group and asks for ``spawn_monitor(Node, Nx.Serving,
:__distributed_batched_run__, [Client, Ref, Name, Input])``; what it then looks at is how that process ends:

    exit({Ref, Result})                          the result
    {Ref, :streaming} to Client, {Ref, Event} …  it gives a stream of the events, until exit({Ref, :streaming})
    exit(:noproc)                                it tries another member, three times in all
    exit(Reason)                                 it exits with {Reason, {Nx.Serving, :distributed_batched_run, Args}}

So the functions before and after the model, `client_preprocessing` and `client_postprocessing`, run *here*, on the
server's node, as on a BEAM: a caller sends its input as it is. The process hands a `Request` to the serving and waits
for its messages, or for its end. Of a stream of batches the next is handed over when the one before has come back.

    the serving's messages        (Ref, TAKEN, None)  (Ref, ROWS, (first, size, value, metadata))
                                  (Ref, HOOK, (name, value))  (Ref, FAILED, reason)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pyerlnode.bridges.nx.batch import BadBatch, Batch, batch_of, from_nx, has_donatable, is_batch, join, to_nx
from pyerlnode.bridges.nx.serving_core import Ordered
from pyerlnode.brief import told
from pyerlnode.errors import Exit
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid, Reference

NX_SERVING: Final = A["Elixir.Nx.Serving"]
STREAMING: Final = A.streaming
TAKEN, ROWS, HOOK, FAILED = "taken", "rows", "hook", "failed"
RUN: Final = "$nx_serving_run"

Preprocessing = Callable[[Any], tuple[Batch | Iterable[Batch], Any]]
Postprocessing = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Rows that a process of this node wants run. It is its own identity."""

    pid: Pid
    ref: Reference
    batch: Batch


@dataclass(slots=True)
class Client:
    """What the callers of one serving need to know of it (in Nx: the persistent term of its name)."""

    keys: ExactDict[Any]
    limit: int
    hooks: frozenset[Atom] | None
    """None: no streaming; none in it: of batches; else of what the handler yields under these names, too."""
    preprocessing: Preprocessing | None
    postprocessing: Postprocessing | None
    donatable: bool = field(default=False)
    """Whether callers' tensors have the field ``donatable?``, so that ours should; learnt from what they send."""


Find = Callable[[Atom], tuple[Pid, Client] | None]


def distributed_batched_run(find: Find, client_pid: Any, ref: Any, name: Any, given: Any) -> None:
    """The exported function: it always ends by `Exit`, which is its answer."""
    if type(client_pid) is not Pid or type(ref) is not Reference or type(name) is not Atom:
        raise Exit(A.badarg)
    found = find(name)
    if found is None:
        raise Exit(A.noproc, f"there is no serving {name} on this node")
    serving, client = found
    newer = has_donatable(given)
    if newer is not None:
        client.donatable = newer
    batches, info = prepared(client, given)
    run = Run(require_current(), serving, client)
    if client.hooks is None:
        output = run.whole(batches)
        result = output[0] if client.postprocessing is None else client.postprocessing(output, info)
        raise Exit((ref, to_nx(result, donatable=client.donatable)), "the result of a batched run")
    run.stream_to(client_pid, ref, batches, info)


def prepared(client: Client, given: Any) -> tuple[Iterable[Batch], Any]:
    """The batches of an input, and what postprocessing is to know. Raises `BadBatch`, or what preprocessing raises."""
    if client.preprocessing is None:
        if is_batch(given):
            return [_checked(client, batch_of(given))], A.client_info
        if type(given) is list and given and all(map(is_batch, given)):
            return _each(client, map(batch_of, given)), A.client_info
        raise BadBatch("without client_preprocessing the input is an Nx.Batch, or a list of them")
    value, info = client.preprocessing(batch_of(given) if is_batch(given) else from_nx(given))
    if isinstance(value, Batch):
        return [_checked(client, value)], info
    return _each(client, value), info


def _each(client: Client, batches: Iterable[Batch]) -> Iterator[Batch]:
    if client.hooks:
        raise BadBatch("a serving that streams hooks takes one Nx.Batch, no stream of them")
    for batch in batches:
        if not isinstance(batch, Batch) or batch.size > client.limit:
            raise BadBatch(f"a stream holds batches of at most {client.limit} rows")
        yield _checked(client, batch)


def _checked(client: Client, batch: Batch) -> Batch:
    if batch.size < 1:
        raise BadBatch("a batch has at least one row")
    if batch.key not in client.keys:
        known = ", ".join(sorted(map(_shown, client.keys)))
        raise BadBatch(f"unknown batch key {_shown(batch.key)}; this serving has {known}")
    return batch


def _shown(key: Any) -> str:
    return key.name if type(key) is Atom else told(key)


class Run:
    """A process that has its rows run by a serving, and what comes back."""

    __slots__ = ("client", "me", "monitor", "serving")

    def __init__(self, me: Process, serving: Pid, client: Client) -> None:
        self.me = me
        self.serving = serving
        self.client = client
        self.monitor: Reference = me.system.monitor(me, serving)

    def whole(self, batches: Iterable[Batch]) -> tuple[Any, Any]:
        """All rows in one container, and the metadata of what came last."""
        values: list[Any] = []
        metadata: Any = None
        for batch in batches:
            self._submit(batch)
            for _, value, metadata in self._events(batch.size):  # noqa: B007 - the last one is kept
                values.append(value)
        if not values:
            raise BadBatch("the stream of batches was empty")
        return join(values), metadata

    def stream_to(self, client_pid: Pid, ref: Reference, batches: Iterable[Batch], info: Any) -> None:
        """Send what comes as it comes; ends by `Exit`. An end before the first batch was taken is no stream yet."""
        waiting = iter(batches)
        first = next(waiting, None)
        if first is not None:
            self._submit(first)
        send = self.me.system.send
        send(client_pid, (ref, STREAMING))
        events: Iterable[Any] = self._stream(first, waiting)
        if self.client.postprocessing is not None:
            events = self.client.postprocessing(events, info)
        for event in events:
            send(client_pid, (ref, to_nx(event, donatable=self.client.donatable)))
        raise Exit((ref, STREAMING), "the end of a stream")

    def _stream(self, batch: Batch | None, waiting: Iterator[Batch]) -> Iterator[Any]:
        while batch is not None:
            try:
                yield from self._events(batch.size)
            except Exit as ended:
                raise Exit((ended.reason, (NX_SERVING, STREAMING, []))) from ended
            batch = next(waiting, None)
            if batch is not None:
                self._submit(batch)

    def _submit(self, batch: Batch) -> None:
        """Hand rows to the serving; it has taken them when this returns. Rows that it never saw may go elsewhere."""
        self.me.system.send(self.serving, (RUN, Request(self.me.pid, self.monitor, batch)))
        self._next(A.noproc)

    def _events(self, size: int) -> Iterator[tuple[Any, ...]]:
        """``(batch, value, metadata)`` in the order of the rows, ``(hook, value)`` as they come."""
        ordered = Ordered(size)
        while not ordered.complete:
            kind, what = self._next()
            if kind is HOOK:
                yield what
            else:
                first, count, value, metadata = what
                yield from ordered.add(first, count, (A.batch, value, metadata))

    def _next(self, at_its_end: Any = None) -> tuple[Any, Any]:
        """The serving's next word, or its end, by its own reason unless another is given."""
        message = self.me.receive(self._is_ours, None)
        if message[0] is A.DOWN:
            raise Exit(at_its_end or message[4], "the serving has ended")
        if message[1] is FAILED:
            raise Exit(message[2], "the batch failed")
        return message[1], message[2]

    def _is_monitor(self, ref: Any) -> bool:
        return type(ref) is Reference and ref == self.monitor

    def _is_ours(self, message: Any) -> bool:
        if type(message) is not tuple:
            return False
        if len(message) == 3:
            return message[0] is self.monitor
        return len(message) == 5 and message[0] is A.DOWN and self._is_monitor(message[1])
