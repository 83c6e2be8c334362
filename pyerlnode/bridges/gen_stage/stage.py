"""GenStage: producers and consumers with back-pressure, among Python's processes and Elixir's alike.

    class Numbers(Producer):
        def init(self):
            self.next = 0
        def handle_demand(self, count):
            first, self.next = self.next, self.next + count
            return list(range(first, self.next))

    class Adder(Consumer):
        def init(self, producer):
            self.sum = 0
            return Options(subscribe_to=[(producer, {"max_demand": 100})])
        def handle_events(self, events, from_):
            self.sum += sum(events)

The messages and the rules are those of Elixir's `gen_stage` (`core`), so the other side may be a `GenStage`,
a `Flow`, a producer of `Broadway` or another Python stage. A stage is a `GenServer` whose callbacks may give events:

    callback                               called for                             gives
    init(*args, **kwargs)                  start                                  None, Options, Ignore, Stop
    handle_demand(count)                   consumers want `count` more            events: list, Emit, None, Stop
    handle_events(events, from_)           events of a producer                   the same
    handle_subscribe(kind, options, from_) a subscription, on both sides          None, A.automatic, A.manual, Stop
    handle_cancel(reason, from_)           its end, on both sides                 events
    handle_call(request, from_)            call                                   Reply, NoReply, Stop, Emit
    handle_cast, handle_info               cast, other messages                   events
    handle_discarded(count)                the buffer was full                    False: no log line

`kind` is that of the other side, ``A.producer`` or ``A.consumer``; `from_` is ``(pid, tag)``; `reason` is
``(A.cancel, why)`` or ``(A.down, why)``. A callback may block: the demand that is not asked for meanwhile is the
back-pressure. Differences from GenStage are listed in `docs/gen-stage.md`.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pyerlnode.bridges.gen_stage.client import (
    Request,
    async_info,
    async_subscribe,
    demand,
    demand_mode,
    estimate_buffered_count,
    is_request,
    keywords,
    sync_info,
    sync_subscribe,
    whereis,
)
from pyerlnode.bridges.gen_stage.core import (
    BUFFER_SIZE,
    GEN_CONSUMER,
    GEN_PRODUCER,
    BadOptions,
    Buffer,
    Demonitor,
    Discarded,
    Effect,
    Emitter,
    HandleCancel,
    HandleDemand,
    HandleEvents,
    Info,
    Receiver,
    Relay,
    Send,
    Settle,
    Unwatch,
    Warn,
    Watch,
)
from pyerlnode.bridges.gen_stage.dispatchers_core import Broadcast, Demand, Dispatcher, Partition
from pyerlnode.brief import short
from pyerlnode.errors import Exit, UsageError
from pyerlnode.otp import gen
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import UNSET, NoReply, Stop
from pyerlnode.runtime.process import run_as
from pyerlnode.signal import Message
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import ExactDict
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.gen_stage")

_SETTLE: Final = A["$pyerlnode_settle"]
_CALL, _CAST, _DOWN = gen.CALL, gen.CAST, A.DOWN


@dataclass(frozen=True, slots=True)
class Options:
    """What `init` of a stage gives.

    Attributes:
        subscribe_to: producers: a pid, a name, ``(name, node)``, `Global`, `Via`; or ``(producer, options)`` with
            `max_demand` (1000), `min_demand` (half of it), `cancel` ("permanent", "transient", "temporary") and what
            its dispatcher wants, such as `partition`.
        dispatcher: `Demand()`, `Broadcast()` or `Partition(...)`.
        buffer_size: events that wait for demand, at most; None: no bound, the default of a producer-consumer.
        buffer_keep: which events a full buffer keeps, "last" or "first".
        demand: "accumulate" keeps demand and events back until `demand(stage, "forward")`.
    """

    subscribe_to: Sequence[Any] = ()
    dispatcher: Dispatcher | None = None
    buffer_size: Any = UNSET
    buffer_keep: str = "last"
    demand: str = "forward"


class Emit(NoReply):
    """Send `events` to the consumers; with `reply`, answer the call behind them."""

    __slots__ = ("events", "reply")

    def __init__(self, events: list[Any], *, reply: Any = UNSET, timeout: float | None = None) -> None:
        super().__init__(timeout=timeout)
        self.events = events
        self.reply = reply


class _Stopped(Exception):
    """The stage is to end with `reason`; `answer` goes to the call that led to it."""

    def __init__(self, reason: Any, answer: Any = UNSET) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


class Stage(GenServer):
    """What the three kinds have in common."""

    __slots__ = ("_effects", "_emitter", "_receiver", "_running", "_watched", "_watches")
    kind: ClassVar[Atom] = A.stage
    _emitter: Emitter | None
    _receiver: Receiver | None

    def __init__(self) -> None:
        self._effects: deque[Effect] = deque()
        self._running = False
        self._watches: dict[Reference, Any] = {}
        self._watched: ExactDict[Reference] = ExactDict()
        self._configure(Options())

    def _configure(self, options: Options) -> None:
        """Make the halves. Raises `UsageError` for options that are wrong or not of this kind of stage."""
        kind = type(self).kind
        self._receiver = None if kind is A.producer else Relay() if kind is A.producer_consumer else Receiver()
        self._emitter = None if kind is A.consumer else _emitter(options, kind is A.producer)
        if kind is A.producer and options.subscribe_to:
            raise UsageError("a Producer subscribes to nobody; a ProducerConsumer does")
        if kind is not A.producer and options.demand != "forward":
            raise UsageError("demand is accumulated by a Producer only")
        if kind is A.consumer and (options.dispatcher is not None or options.buffer_size is not UNSET):
            raise UsageError("a Consumer has neither a dispatcher nor a buffer")

    def initialised(self, result: Any) -> None:
        if not isinstance(result, Options):
            super().initialised(result)
            return
        self._configure(result)
        run_as(self.process, functools.partial(self._subscribe_all, result.subscribe_to))

    def _subscribe_all(self, producers: Sequence[Any]) -> None:
        for entry in producers:
            to, options = entry if is_subscription(entry) else (entry, {})
            try:
                answer = self._subscribe(None, to, keywords(options))
            except _Stopped as stopped:
                raise Exit(stopped.reason, f"can not subscribe to {short(to)}: {gen.brief(stopped.reason)}") from None
            if answer[0] is A.error:
                raise Exit(answer[1], f"can not subscribe to {short(to)}: {gen.brief(answer[1])}")

    # --- callbacks -----------------------------------------------------------------------------
    def handle_subscribe(self, kind: Atom, options: list[Any], from_: tuple[Any, Any]) -> Any:
        """A subscription. ``A.manual``: this consumer asks for events by `ask`."""

    def handle_cancel(self, reason: tuple[Atom, Any], from_: tuple[Any, Any]) -> Any:
        """A subscription has ended."""

    def handle_demand(self, count: int) -> Any:  # noqa: ARG002  # the callback's shape
        raise Exit((A.undef, A.handle_demand), f"{type(self).__name__} has no handle_demand")

    def handle_events(self, events: list[Any], from_: tuple[Any, Any]) -> Any:  # noqa: ARG002
        raise Exit((A.undef, A.handle_events), f"{type(self).__name__} has no handle_events")

    def handle_discarded(self, count: int) -> Any:  # noqa: ARG002
        """The buffer dropped `count` events. False keeps that out of the log."""
        return True

    # --- for use in callbacks ------------------------------------------------------------------
    def ask(self, from_: tuple[Any, Any], count: int) -> None:
        """Ask a producer for `count` more events, where `handle_subscribe` gave ``A.manual``."""
        if count > 0:
            self._send(Send(from_[0], GEN_PRODUCER, from_[1], (A.ask, count)))

    def cancel(self, from_: tuple[Any, Any], reason: Any = A.normal) -> None:
        """End a subscription to a producer: it answers with the cancellation, which `handle_cancel` is told."""
        self._send(Send(from_[0], GEN_PRODUCER, from_[1], (A.cancel, reason)))

    def async_info(self, message: Any) -> None:
        """Have ``handle_info(message)`` called behind all events that are buffered by then."""
        self.process.deliver((_CAST, (Request.INFO, message)))

    # --- messages ------------------------------------------------------------------------------
    def handle(self, message: Any) -> None:
        work = self._work(message)
        if work is None:
            super().handle(message)
            return
        process = self.process
        if process.timer is not None:
            process.timer.cancel()
            process.timer = None
        try:
            work(message)
        except _Stopped as stopped:
            self._effects.clear()
            self._stop(stopped.reason)
        except BaseException as error:
            self._effects.clear()
            self._crashed(error, message)

    def handle_debugged(self, message: Any, note: Callable[[Any], None]) -> None:
        if self._work(message) is None:
            super().handle_debugged(message, note)
        else:
            note((A["in"], message))
            self.handle(message)

    def _work(self, message: Any) -> Callable[[Any], None] | None:
        """Who takes a message of GenStage; None for those of the program."""
        if type(message) is not tuple or not message:
            return None
        head, size = message[0], len(message)
        if size == 3 and head is GEN_CONSUMER:
            return self._of_producer
        if size == 3 and head is GEN_PRODUCER:
            return self._of_consumer
        if size == 5 and head is _DOWN and type(message[1]) is Reference:
            ref: Reference = message[1]
            watched = ref in self._watches or (self._receiver is not None and ref in self._receiver.producers)
            return self._down if watched else None
        if size == 3 and head is _CALL and is_request(message[2]):
            return self._requested
        if size == 2 and head is _CAST and is_request(message[1]):
            return self._told
        return self._settle if size == 1 and head is _SETTLE else None

    def _of_producer(self, message: Any) -> None:
        receiver = self._receiver
        match message[1], message[2]:
            case (_, _) if receiver is None:
                log.error("%s got a message for a consumer", self._who())
            case (pid, tag), list(events) if type(pid) is Pid:
                self._run(receiver.receive(pid, tag, events))
            case (_, tag), (A.cancel, reason):
                self._run(receiver.cancel(tag, A.cancel, reason))
            case _:
                log.error("%s dropped a message that no producer sends", self._who())

    def _of_consumer(self, message: Any) -> None:
        emitter = self._emitter
        if emitter is None:
            log.error("%s got a message for a producer", self._who())
            return
        match message[1], message[2]:
            case (pid, tag), (A.ask, count) if type(pid) is Pid:
                self._run(emitter.ask(pid, tag, count))
            case (pid, tag), (A.subscribe, current, options) if type(pid) is Pid:
                taken, effects = emitter.subscribe(pid, tag, current)
                self._run(effects)
                if taken:
                    self._asked_to_subscribe(emitter, (pid, tag), options)
            case (_, tag), (A.cancel, reason):
                self._run(emitter.cancel(tag, A.cancel, reason))
            case _:
                log.error("%s dropped a message that no consumer sends", self._who())

    def _asked_to_subscribe(self, emitter: Emitter, from_: tuple[Pid, Any], options: Any) -> None:
        result = self.handle_subscribe(A.consumer, options, from_)
        if isinstance(result, Stop):
            raise _Stopped(result.reason)
        if result not in (None, A.automatic):
            raise Exit((A.bad_return_value, result), "handle_subscribe of a producer gives None or automatic")
        self._run(emitter.subscribed(from_[1], options))

    def _down(self, message: Any) -> None:
        ref, reason = message[1], message[4]
        key = self._watches.get(ref, UNSET)
        if key is not UNSET and self._emitter is not None:
            self._run(self._emitter.cancel(key, A.down, reason))
        elif self._receiver is not None:
            self._run(self._receiver.cancel(ref, A.down, reason))

    def _requested(self, message: Any) -> None:
        from_, request = message[1], message[2]
        try:
            answer = self._answer(request)
        except _Stopped as stopped:
            if stopped.answer is not UNSET:
                gen.reply(self.process.system, from_, stopped.answer)
            raise
        if self.process.alive:
            gen.reply(self.process.system, from_, answer)

    def _answer(self, request: Any) -> Any:
        match request:
            case (Request.SUBSCRIBE, current, to, options):
                return self._subscribe(current, to, options)
            case (Request.INFO, info):
                self._queue_info(info)
                return A.ok
            case Request.DEMAND:
                return A.accumulate if self._emitter is not None and self._emitter.accumulate else A.forward
            case Request.ESTIMATE:
                return 0 if self._emitter is None else len(self._emitter.buffer)
        return A.error, A.bad_request

    def _told(self, message: Any) -> None:
        match message[1]:
            case (Request.SUBSCRIBE, current, to, options):
                self._subscribe(current, to, options)
            case (Request.INFO, info):
                self._queue_info(info)
            case (Request.DEMAND, mode):
                self._set_demand(mode)
            case _:
                log.error("%s dropped a request that GenStage does not have", self._who())

    def _set_demand(self, mode: Any) -> None:
        if type(self).kind is not A.producer or self._emitter is None:
            if mode is not A.forward or type(self).kind is A.consumer:
                log.error("%s is no producer: its demand has no mode", self._who())
        elif mode is A.forward:
            self._run(self._emitter.forward())
        elif mode is A.accumulate:
            self._emitter.accumulate = True
        else:
            log.error("%s was told a mode of demand that is neither forward nor accumulate", self._who())

    def _queue_info(self, info: Any) -> None:
        if isinstance(self._receiver, Relay) and self._receiver.info(info):
            return
        self._run([Info(info)] if self._emitter is None else self._emitter.info(info))

    def _settle(self, message: Any) -> None:
        del message
        if self._emitter is not None:
            self._run(self._emitter.settle())

    # --- subscribing ---------------------------------------------------------------------------
    def _subscribe(self, current: Any, to: Any, options: Any) -> tuple[Atom, Any]:
        """Subscribe to a producer; ``{ok, Tag}`` or ``{error, Reason}``. Raises `_Stopped`."""
        receiver, system = self._receiver, self.process.system
        if receiver is None:
            log.error("%s is no consumer and can not be subscribed to a stage", self._who())
            return A.error, A.not_a_consumer
        try:
            mode = receiver.check(options)
            producer = whereis(system, to)
        except (BadOptions, UsageError) as error:
            log.error("%s got a wrong option of a subscription: %s", self._who(), error)
            return A.error, (A.bad_opts, str(error).encode())
        if producer is None:
            tag = system.new_ref()
            if mode is A.temporary:
                return A.ok, tag
            log.error("%s can not subscribe to %s: there is no such process", self._who(), short(to))
            raise _Stopped(A.noproc, (A.ok, tag))
        tag = system.monitor(self.process, producer)
        self._run(receiver.subscribe(producer, tag, current, options))
        result = self.handle_subscribe(A.producer, options, (producer, tag))
        if isinstance(result, Stop):
            raise _Stopped(result.reason)
        if result not in (None, A.automatic, A.manual):
            raise Exit((A.bad_return_value, result), "handle_subscribe gives None, automatic, manual or Stop")
        self._run(receiver.subscribed(tag, manual=result is A.manual))
        return A.ok, tag

    # --- effects -------------------------------------------------------------------------------
    def _run(self, effects: list[Effect]) -> None:
        """Carry out effects, and those that they lead to behind them."""
        queue = self._effects
        queue.extend(effects)
        if self._running:
            return
        self._running = True
        try:
            while True:
                while queue:
                    self._perform(queue.popleft())
                    if not self.process.alive:
                        queue.clear()
                        return
                if not isinstance(self._receiver, Relay) or self._emitter is None:
                    return
                more, info = self._receiver.next(self._emitter.asked)
                queue.extend(more if info is None else self._emitter.info(info[0]))
                if not queue and (info is None or not len(self._receiver)):
                    return
        finally:
            self._running = False

    def _perform(self, effect: Effect) -> None:
        kind = type(effect)
        if kind is Send:
            self._send(effect)  # type: ignore[arg-type]  # it is one
        else:
            _PERFORM[kind](self, effect)

    def _send(self, effect: Send) -> None:
        """To a node that is connected, or being connected to; else the process is gone, and its DOWN says so."""
        process, to = self.process, effect.to
        system = process.system
        if type(to) is not Pid:
            name, node = to
        else:
            name, node = to, to.node
        if node is system.node:
            body = list(effect.body) if type(effect.body) is list else effect.body  # a list of the receiver's own
            system.send(to, (effect.label, (process.pid, effect.tag), body))
            return
        peer = system.peers.get(node)
        if peer is not None and (way := peer.route or peer.way()) is not None:
            way.send(Message(process.pid, name, (effect.label, (process.pid, effect.tag), effect.body)))

    def _events_from(self, callback: Callable[..., Any], *args: Any) -> None:
        result = callback(*args)
        if result is None:
            self._missed(callback, *args)
        self._result(result)

    def _perform_events(self, effect: HandleEvents) -> None:
        from_ = effect.producer, effect.tag
        self._events_from(self.handle_events, effect.events, from_)
        receiver = self._receiver
        if effect.ask and self.process.alive and receiver is not None and effect.tag in receiver.producers:
            self.ask(from_, effect.ask)

    def _perform_demand(self, effect: HandleDemand) -> None:
        if type(self).kind is A.producer:  # a producer-consumer goes by `asked`
            self._events_from(self.handle_demand, effect.count)

    def _perform_cancel(self, effect: HandleCancel) -> None:
        self._events_from(self.handle_cancel, effect.reason, (effect.peer, effect.tag))
        if effect.stop is not None and self.process.alive:
            text = "%s stops: its subscription to %s ended with %s"
            log.info(text, self._who(), effect.peer, gen.brief(effect.stop[0]))
            raise _Stopped(effect.stop[0])

    def _perform_watch(self, effect: Watch) -> None:
        ref = self.process.system.monitor(self.process, effect.pid)
        self._watches[ref], self._watched[effect.tag] = effect.tag, ref

    def _perform_unwatch(self, effect: Unwatch) -> None:
        ref = self._watched.pop(effect.tag, None)
        if ref is not None:
            del self._watches[ref]
            self.process.system.demonitor(self.process, ref, flush=True)

    def _perform_demonitor(self, effect: Demonitor) -> None:
        self.process.system.demonitor(self.process, effect.ref, flush=True)

    def _perform_info(self, effect: Info) -> None:
        self.process.deliver(effect.message)

    def _perform_settle(self, effect: Settle) -> None:
        del effect
        self.process.deliver((_SETTLE,))

    def _perform_discarded(self, effect: Discarded) -> None:
        if self.handle_discarded(effect.count) is not False:
            log.warning("%s has discarded %d events from its buffer", self._who(), effect.count)

    def _perform_warn(self, effect: Warn) -> None:
        log.warning("%s %s", self._who(), effect.text)

    # --- what callbacks give -------------------------------------------------------------------
    def _result(self, result: Any) -> None:
        if type(result) is list:
            self._emit(result)
        elif isinstance(result, Emit):
            self._emit(result.events)
            if result.then is not None:
                self._then(result.then)
        elif result is not None:
            super()._result(result)

    def _call_result(self, result: Any, from_: tuple[Any, Any]) -> None:
        if isinstance(result, Emit):
            self._result(result)
            if result.reply is not UNSET and self.process.alive:
                gen.reply(self.process.system, from_, result.reply)
        else:
            super()._call_result(result, from_)

    def _emit(self, events: list[Any]) -> None:
        if self._emitter is not None:
            self._run(self._emitter.emit(events))
        elif events:
            log.error("%s is a consumer and can not emit events: %d dropped", self._who(), len(events))

    def _who(self) -> str:
        return f"{type(self).__name__} {self.process.name or self.process.pid}"


_PERFORM: Final[dict[type, Callable[[Stage, Any], None]]] = {
    HandleEvents: Stage._perform_events,
    HandleDemand: Stage._perform_demand,
    HandleCancel: Stage._perform_cancel,
    Watch: Stage._perform_watch,
    Unwatch: Stage._perform_unwatch,
    Demonitor: Stage._perform_demonitor,
    Info: Stage._perform_info,
    Settle: Stage._perform_settle,
    Discarded: Stage._perform_discarded,
    Warn: Stage._perform_warn,
}


class Producer(Stage):
    """Has events for whoever subscribes: `handle_demand` gives at most what it is asked for, now or later."""

    __slots__ = ()
    kind: ClassVar[Atom] = A.producer


class Consumer(Stage):
    """Takes events: `handle_events`."""

    __slots__ = ()
    kind: ClassVar[Atom] = A.consumer


class ProducerConsumer(Stage):
    """Takes events and has others for its own consumers: what `handle_events` gives."""

    __slots__ = ()
    kind: ClassVar[Atom] = A.producer_consumer


def is_subscription(entry: Any) -> bool:
    """Whether an element of `subscribe_to` is ``(producer, options)``, and not a producer."""
    return type(entry) is tuple and len(entry) == 2 and isinstance(entry[1], (Mapping, list))


def _emitter(options: Options, bounded: bool) -> Emitter:
    size = options.buffer_size
    if size is UNSET:
        size = BUFFER_SIZE if bounded else None
    if size is not None and (type(size) is not int or size < 0):
        raise UsageError(f"buffer_size is a number of events, or None for no bound, not {short(size)}")
    if options.buffer_keep not in ("first", "last"):
        raise UsageError(f'buffer_keep is "first" or "last", not {short(options.buffer_keep)}')
    if options.demand not in ("forward", "accumulate"):
        raise UsageError(f'demand is "forward" or "accumulate", not {short(options.demand)}')
    if options.dispatcher is not None and not isinstance(options.dispatcher, Dispatcher):
        raise UsageError("dispatcher is an object: Demand(), Broadcast() or Partition(n)")
    buffer = Buffer(size, keep_last=options.buffer_keep == "last")
    dispatcher = None if options.dispatcher is None else options.dispatcher.fresh()
    return Emitter(dispatcher, buffer, accumulate=options.demand == "accumulate")


__all__ = [
    "Broadcast", "Consumer", "Demand", "Emit", "Options", "Partition", "Producer", "ProducerConsumer", "Stage",
    "async_info", "async_subscribe", "demand", "demand_mode", "estimate_buffered_count", "sync_info", "sync_subscribe",
]  # fmt: skip
