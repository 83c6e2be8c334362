"""Serving: a model in Python behind Elixir's `Nx.Serving.batched_run/3`, whose callers are unchanged.

    def predict(rows):                  # a NumPy array, or tuples and dicts of arrays; the first axis counts the rows
        return rows @ weights           # as many rows

    node.start(Serving, node, "MyApp.Serving", predict, batch_size=32, batch_timeout=0.05)

Reference: `Nx.Serving` 0.6 to 0.13. The server is registered as the serving's name and joined, in the scope
``Nx.Serving.PG`` of `pg`, to the groups in which callers look: the serving's name (Nx 0.11 and later) and `Nx.Serving`
(before); ``weight * partitions`` times each, since callers choose at random. `Nx.Serving:__distributed_batched_run__/4`
is exported; it is all that callers call (`request`). When batches are run is decided in `serving_core`.

A batch runs in a process of its own: a callable in a thread, so that the node goes on (``offload=False``: in a
greenlet), or by a call to a process that is given by its pid or name, a `Worker` or a `WorkerPool` with the model
in an OS process. Its outcome:

    the handler gave containers of as many rows     each caller gets its own
    it raised, or its process ended                 each caller of this batch exits with that reason, and nobody else
    the serving is stopped                          what runs is finished, who waits is told noproc: Nx tries elsewhere
    the serving is killed                           each caller exits with `killed`; with its node: with `noconnection`

Who finds no room among the rows that may wait exits with ``{serving_full, Rows}`` at once (``when_full="retry"``: with
`noproc`, so that Nx tries another node). Messages that nobody expects are counted and dropped.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyerlnode.bridges.nx import request as nx_request
from pyerlnode.bridges.nx.batch import checked, join, padded
from pyerlnode.bridges.nx.request import (
    FAILED,
    HOOK,
    NX_SERVING,
    ROWS,
    RUN,
    TAKEN,
    Client,
    Postprocessing,
    Preprocessing,
    Request,
)
from pyerlnode.bridges.nx.serving_core import FULL, Batcher, Execution, Outcome, Refused, rows
from pyerlnode.brief import short
from pyerlnode.errors import Exit, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.timer_core import Timer
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid, Reference, Words

log = logging.getLogger("pyerlnode.nx_serving")

SCOPE: Final = "Elixir.Nx.Serving.PG"
ENTRY: Final = "__distributed_batched_run__"
SERVER_INFO: Final = A.server_info
DONE, FAILED_BATCH, HOOKED, TICK = "$nx_done", "$nx_failed", "$nx_hook", "$nx_tick"


@dataclass(frozen=True, slots=True)
class Output:
    """What a handler may give in place of a bare container: with metadata for postprocessing and for streams."""

    value: Any
    metadata: Any = SERVER_INFO


@dataclass(frozen=True, slots=True)
class Hook:
    """What a handler that is a generator may yield, for callers that stream: as many rows as it was given."""

    name: str | Atom
    value: Any


class Serving(GenServer):
    """One serving. ``node.start(Serving, node, name, handler, …)``, or as a child of a supervisor.

    Args of `init`:
        node: the node (or whatever is a `Host`) on which it serves.
        name: as Elixir writes it, ``"MyApp.Serving"``, or an atom.
        handler: a callable that takes a container of arrays, or a pid or name of a process that is called with it;
            a dict of these by batch key; a list of any of these, one for each partition.
        batch_size: rows of a batch at most.
        batch_timeout: seconds that a row waits for others.
        partitions: batches that run at once; a list of handlers says it itself.
        weight: Nx's `distribution_weight`.
        waiting: rows that may wait.
        when_full: "exit" or "retry", see the module.
        pad: give the handler `batch_size` rows always, the last of them zeros.
        streaming: True, or the names of hooks: callers get a stream.
        client_preprocessing: of the input, which comes with arrays in place of tensors; gives ``(Batch, info)`` or
            ``(iterable of Batch, info)``. Unless given, the input is an ``%Nx.Batch{}`` or a list of them.
        client_postprocessing: ``(output, metadata), info`` (streaming: ``events, info``) to what the caller gets.
        offload: run a callable in a thread.
        drain: seconds for which a stop waits for what runs.

    Raises `UsageError`, and `NameRegistered` when the name is taken.
    """

    stop_rank = 1

    def init(
        self,
        node: Host,
        name: str | Atom,
        handler: Any,
        *,
        batch_size: int = 1,
        batch_timeout: float = 0.1,
        partitions: int = 1,
        weight: int = 1,
        waiting: int = 10_000,
        when_full: str = "exit",
        pad: bool = False,
        streaming: bool | Iterable[str | Atom] = False,
        client_preprocessing: Preprocessing | None = None,
        client_postprocessing: Postprocessing | None = None,
        offload: bool = True,
        drain: float = 30.0,
    ) -> None:
        if when_full not in ("exit", "retry") or weight < 1:
            raise UsageError('when_full is "exit" or "retry", and weight at least 1')
        served = _handlers(handler, partitions)
        self.handlers = [{exact.key(key): one for key, one in item.items()} for item in served]
        hooks = None if streaming is False else frozenset(() if streaming is True else map(_atom, streaming))
        self.batcher = Batcher(
            batch_size, batch_timeout, partitions=len(self.handlers), waiting=waiting, split=not hooks, pad=pad
        )
        self.client = Client(served[0], batch_size, hooks, client_preprocessing, client_postprocessing)
        self.name = serving_name(name)
        self.full = A.noproc if when_full == "retry" else (A.serving_full, waiting)
        self.offload, self.drain = offload, drain
        self.tasks: dict[Words, Execution] = {}
        """What runs, by the words of the monitor of its process."""
        self.timer: Timer | None = None
        self.armed: float | None = None
        self.stopping = False
        self.executed = self.rows = self.refused = self.failed = self.garbage = 0
        self.process.trap_exit = True
        self._open(node, weight * len(self.handlers))

    def _open(self, node: Host, times: int) -> None:
        system = self.process.system
        system.registry.register(self.name, self.process)

        def find(name: Atom) -> tuple[Pid, Client] | None:
            process = system.registry.whereis(name)
            serving = None if process is None else process.handler
            return (serving.pid, serving.client) if isinstance(serving, Serving) else None

        def run(client: Any, ref: Any, name: Any, given: Any) -> None:
            nx_request.distributed_batched_run(find, client, ref, name, given)

        node.export(NX_SERVING, run, ENTRY)
        self._groups = node.pg
        for group in (self.name, NX_SERVING):
            node.pg.join(group, [self.pid] * times, scope=SCOPE)
        self.times = times

    # --- messages ------------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Reply:
        del from_
        if request is A.stats:
            return Reply(self.stats())
        self.garbage += 1
        return Reply((A.error, A.unknown_request))

    def handle_cast(self, request: Any) -> None:
        del request
        self.garbage += 1

    def handle_info(self, message: Any) -> None:
        """The words of this room are texts and its own types; from another node they can not come."""
        match message:
            case (str(kind), Request() as request) if kind is RUN:
                self._take(request)
            case (str(kind), Execution() as execution, output) if kind is DONE:
                self._done(execution, output)
            case (str(kind), Execution() as execution, reason) if kind is FAILED_BATCH:
                self._failed(execution, reason)
            case (str(kind), Execution() as execution, (name, value)) if kind is HOOKED:
                for part in execution.parts:
                    self._tell(part.request, HOOK, (name, rows(value, part.start, part.size)))
            case (A.DOWN, Reference() as ref, _, _, reason):
                self._task_ended(ref.words, reason)
            case str() if message is TICK:
                self.timer = self.armed = None
                self._begin(self.batcher.expire(self._now()))
            case _:
                self.garbage += 1

    def stats(self) -> dict[Atom, int]:
        """What has been so far, and what waits and runs now."""
        return {
            A.batches: self.executed, A.rows: self.rows, A.refused: self.refused, A.failed: self.failed,
            A.garbage: self.garbage, A.waiting: self.batcher.waiting, A.running: self.batcher.running,
        }  # fmt: skip

    # --- requests ------------------------------------------------------------------------------
    def _take(self, request: Request) -> None:
        if self.stopping:
            self._tell(request, FAILED, A.noproc)
            return
        batch = request.batch
        outcomes = self.batcher.add(
            request, (exact.key(batch.key), batch.form()), batch.size, self._now(), pad=batch.pad
        )
        if not (outcomes and isinstance(outcomes[0], Refused)):
            self._tell(request, TAKEN, None)
        self._begin(outcomes)

    def _begin(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                self.refused += 1
                reason = self.full if outcome.why == FULL else (A.batch_too_large, outcome.limit)
                self._tell(outcome.request, FAILED, reason)
            else:
                self._start(outcome)
        self._arm()

    def _start(self, execution: Execution) -> None:
        self.executed += 1
        self.rows += execution.size
        system = self.process.system
        pid = system.spawn(self._execute, execution)
        self.tasks[system.monitor(self.process, pid).words] = execution

    def _arm(self) -> None:
        due = self.batcher.next_deadline()
        if due != self.armed:
            if self.timer is not None:
                self.timer.cancel()
            self.armed = due
            delay = None if due is None else max(due - self._now(), 0.0)
            self.timer = None if delay is None else self.process.system.send_after(delay, self.pid, TICK)

    def _now(self) -> float:
        now: float = self.process.system.timers.now()
        return now

    def _tell(self, request: Any, kind: str, what: Any) -> None:
        self.process.system.send(request.pid, (request.ref, kind, what))

    # --- a batch, in its own process -------------------------------------------------------------
    def _execute(self, execution: Execution) -> None:
        try:
            word = (DONE, execution, self._output(execution))
        except BaseException as error:
            word = (FAILED_BATCH, execution, caught(error))
            if not isinstance(error, Exit):
                report(log, "the handler of the serving %s failed", self.name, exc_info=error)
        self.process.system.send(self.pid, word)

    def _output(self, execution: Execution) -> Output:
        parts = [rows(part.request.batch.value, part.first, part.size) for part in execution.parts]
        given = padded(join(parts), execution.pad)
        handler = self.handlers[execution.partition][execution.key[0]]
        found = self._run(handler, given)
        if inspect.isgenerator(found):
            found = self._steps(found, execution)
        output = found if isinstance(found, Output) else Output(found)
        return Output(checked(output.value, execution.size + execution.pad), output.metadata)

    def _run(self, handler: Any, given: Any) -> Any:
        system = self.process.system
        if callable(handler):
            return self._call(handler, given)
        try:
            return gen.call(system, handler, given, None)
        except Exit as ended:  # its reason holds the call, and so all the rows: what is told is why
            reason = ended.reason[0] if type(ended.reason) is tuple and len(ended.reason) == 2 else ended.reason
            raise Exit(reason, f"{short(handler)} did not run a batch") from None

    def _steps(self, steps: Generator[Any, Any, Any], execution: Execution) -> Any:
        """What a generator returns; what it yields under a hook's name goes to the callers."""
        hooks = self.client.hooks or ()
        while True:
            over, value = self._call(_advance, steps)
            if over:
                return value
            if not isinstance(value, Hook):
                raise UsageError(f"a handler yields Hook(name, value), not {type(value).__name__}")
            if (name := _atom(value.name)) in hooks:
                seen = checked(value.value, execution.size + execution.pad)
                self.process.system.send(self.pid, (HOOKED, execution, (name, seen)))

    def _call(self, function: Callable[[Any], Any], given: Any) -> Any:
        if not self.offload:
            return function(given)
        value, error = self.process.system.offload(_outcome, function, given)
        if error is not None:
            raise error
        return value

    # --- its outcome -----------------------------------------------------------------------------
    def _done(self, execution: Execution, output: Output) -> None:
        for part in execution.parts:
            value = rows(output.value, part.start, part.size)
            self._tell(part.request, ROWS, (part.first, part.size, value, output.metadata))
        self._begin(self.batcher.done(execution.number))

    def _failed(self, execution: Execution, reason: Any) -> None:
        self.failed += 1
        for part in execution.parts:
            self._tell(part.request, FAILED, reason)
            self.batcher.withdraw(part.request)
        self._begin(self.batcher.done(execution.number))

    def _task_ended(self, words: Words, reason: Any) -> None:
        """A process that ran a batch; when it has told its outcome there is nothing left to do."""
        execution = self.tasks.pop(words, None)
        if execution is None:
            self.garbage += 1
        elif reason is not A.normal:
            self._failed(execution, reason)

    # --- the end -------------------------------------------------------------------------------
    def terminate(self, reason: Any) -> None:
        """Take no more, send away who waits, finish what runs; then wait for the callers' processes to have told."""
        del reason
        self.stopping = True
        system, me = self.process.system, self.process
        system.registry.unregister(self.name)
        for group in (self.name, NX_SERVING):
            self._groups.leave(group, [self.pid] * self.times, scope=SCOPE)
        waiting = dict.fromkeys(self.batcher.stop())
        while (late := self._heard(_is_run, 0.0)) is not None:
            waiting[late[1]] = None
        until = self._now() + self.drain
        running = {part.request for execution in self.tasks.values() for part in execution.parts}
        for request in waiting:
            self._tell(request, FAILED, A.noproc)
        while self.tasks and (message := self._heard(None, until)) is not None:
            self.handle_info(message)
        ends = {system.monitor(me, request.pid).words for request in (*waiting, *running)}
        while ends and (down := self._heard(_is_down, until)) is not None:
            ends.discard(down[1].words)

    def _heard(self, matches: Callable[[Any], bool] | None, until: float) -> Any:
        """The next message that `matches`; None when there is none by then."""
        message = self.process.receive(matches, max(until - self._now(), 0.0))
        return None if message is NOTHING else message


def serving_name(name: str | Atom) -> Atom:
    """``"MyApp.Serving"`` is Elixir's module; any other name is the atom itself."""
    if isinstance(name, str) and name[:1].isupper():
        name = f"Elixir.{name}"
    return _atom(name)


def _atom(name: str | Atom) -> Atom:
    return name if type(name) is Atom else Atom(str(name))


def _handlers(handler: Any, partitions: int) -> list[ExactDict[Any]]:
    """For each partition what serves each batch key."""
    each = handler if type(handler) is list else [handler] * partitions
    found = [
        ExactDict([(_key(key), one) for key, one in item.items()] if isinstance(item, Mapping) else [(A.default, item)])
        for item in each
    ]
    if not found or not found[0] or any(item.keys() != found[0].keys() for item in found):
        raise UsageError("a serving has a handler, and each of its partitions the same batch keys")
    for one in (one for item in found for one in item.values()):
        if not (callable(one) or isinstance(one, (str, Atom, Pid, tuple))):
            raise UsageError(f"a handler is a callable, or a pid or name of a process, not {type(one).__name__}")
    return found


def _key(key: Any) -> Any:
    return Atom(key) if isinstance(key, str) else key


def _advance(steps: Generator[Any, Any, Any]) -> tuple[bool, Any]:
    try:
        return False, next(steps)
    except StopIteration as end:
        return True, end.value


def _outcome(function: Callable[[Any], Any], given: Any) -> tuple[Any, BaseException | None]:
    """In a thread, whose pool prints what escapes."""
    try:
        return function(given), None
    except BaseException as error:
        return None, error


def _is_run(message: Any) -> bool:
    return type(message) is tuple and len(message) == 2 and message[0] is RUN


def _is_down(message: Any) -> bool:
    return type(message) is tuple and len(message) == 5 and message[0] is A.DOWN
