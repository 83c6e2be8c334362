"""Iterables as stages, and stages as iterables.

    producer = from_iterable(range(1_000_000), on=node)          # a producer; takes from it what is asked for
    for event in stream([("numbers", "app@host")], on=node):     # an iterator; asks for what is taken from it
        ...

Both are lazy: an iterable is advanced by the demand of consumers, and a stream holds at most `max_demand` events of
each producer. What an iterable waits for, its own process waits for alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from pyerlnode.bridges.gen_stage import client as gen_stage_client
from pyerlnode.bridges.gen_stage.core import Demonitor, Receiver, Upstream, is_transient_shutdown
from pyerlnode.bridges.gen_stage.dispatchers_core import Dispatcher
from pyerlnode.bridges.gen_stage.stage import Consumer, Options, Producer, is_subscription
from pyerlnode.brief import short
from pyerlnode.errors import Exit, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.otp.where import caller, started
from pyerlnode.term.atom import A
from pyerlnode.term.pid import Pid, Reference

_NEXT: Final = A["$stream_next"]
_CLOSE: Final = A["$stream_close"]
_FINISHED: Final = A["$iterable_finished"]
_MORE: Final = A["$iterable_more"]
PART: Final = 10_000
"""Events that are taken from an iterable in one go."""


class Iterating(Producer):
    """The producer of `from_iterable`: ends with `normal` when its events are through."""

    def init(self, iterable: Iterable[Any], options: Options, stop_on_cancel: bool) -> Options:
        self.iterator: Iterator[Any] | None = iter(iterable)
        self.stop_on_cancel = stop_on_cancel
        self.subscribers = self.wanted = 0
        return options

    def handle_subscribe(self, kind: Any, options: Any, from_: Any) -> None:
        del kind, options, from_
        self.subscribers += 1

    def handle_cancel(self, reason: Any, from_: Any) -> Any:
        del reason, from_
        self.subscribers -= 1
        return Stop(A.normal) if self.stop_on_cancel and not self.subscribers else None

    def handle_demand(self, count: int) -> list[Any]:
        self.wanted += count
        return self._some()

    def _some(self) -> list[Any]:
        """A part of what is wanted: a consumer may ask for more than memory holds."""
        if self.iterator is None:
            return []
        count = min(self.wanted, PART)
        self.wanted -= count
        events = list(islice(self.iterator, count))
        if len(events) < count:
            self.iterator = None
            self.async_info(_FINISHED)
        elif self.wanted:
            self.process.deliver(_MORE)
        return events

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return Reply((A.error, A.bad_request))

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def handle_info(self, message: Any) -> Any:
        if message is _MORE:
            return self._some()
        return Stop(A.normal) if message is _FINISHED else super().handle_info(message)


def from_iterable(
    iterable: Iterable[Any],
    *,
    on: Any = None,
    name: Any = None,
    link: bool = True,
    dispatcher: Dispatcher | None = None,
    demand: str = "forward",
    on_cancel: str = "continue",
) -> Pid:
    """Start a producer of what `iterable` gives; it ends when that does and its events have been sent.

    Args:
        link: to the calling process.
        demand: "accumulate" waits for `gen_stage.demand(producer, "forward")`, so that all consumers get their part.
        on_cancel: "stop" ends it with its last consumer; "continue" waits for others.
    """
    if on_cancel not in ("continue", "stop"):
        raise UsageError(f'on_cancel is "continue" or "stop", not {short(on_cancel)}')
    me = caller(on)
    args = (iterable, Options(dispatcher=dispatcher, demand=demand), on_cancel == "stop")
    return started(gen_server.start(me.system, Iterating, args, name=name, link=me if link else None))


class _Pulling(Receiver):
    """A receiver that keeps the batches until they are taken."""

    __slots__ = ("batches",)

    def __init__(self) -> None:
        super().__init__()
        self.batches: deque[tuple[Upstream, list[Any], int]] = deque()

    def receive(self, pid: Any, tag: Any, events: list[Any]) -> list[Any]:
        if type(tag) is not Reference or tag not in self.producers:
            return super().receive(pid, tag, events)
        producer = self.producers[tag]
        self.batches.extend((producer, batch, ask) for batch, ask in producer.batches(events))
        return []

    def cancel(self, tag: Any, kind: Any, reason: Any) -> list[Any]:
        producer = self.producers.get(tag) if type(tag) is Reference else None
        effects = super().cancel(tag, kind, reason)
        if producer is None:
            return effects
        fails = producer.mode is A.permanent or (producer.mode is A.transient and not is_transient_shutdown(reason))
        if fails:
            self.batches.append((producer, [reason], -1))  # behind the events that came before
        return [effect for effect in effects if type(effect) is Demonitor]


class Streaming(Consumer):
    """The process behind a `stream`. It keeps the mailbox of who iterates clean, and ends with it."""

    def init(self, owner: Pid, subscriptions: Sequence[Any]) -> Options:
        self.owner = self.process.system.monitor(self.process, owner)
        self.asks: tuple[Upstream, int] | None = None
        self.waiting: Any = None
        return Options(subscribe_to=subscriptions)

    def _configure(self, options: Options) -> None:
        super()._configure(options)
        self._receiver = _Pulling()

    def handle(self, message: Any) -> None:
        super().handle(message)
        if self.waiting is not None and self.process.alive:
            self._hand_out()

    def handle_call(self, request: Any, from_: Any) -> Any:
        if request is _NEXT:
            self.waiting = from_
            return NoReply()
        return Stop(A.normal, reply=A.ok) if request is _CLOSE else Reply((A.error, A.bad_request))

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.DOWN, Reference() as ref, _, _, _) if ref == self.owner:
                return Stop(A.normal)
        return super().handle_info(message)

    def _hand_out(self) -> None:
        """Ask for what was taken last, then give the next batch, or say why there is none."""
        receiver = self._receiver
        assert isinstance(receiver, _Pulling)
        if self.asks is not None:
            (producer, count), self.asks = self.asks, None
            if producer.tag in receiver.producers:
                self.ask((producer.to, producer.tag), count)
        if not receiver.batches:
            if not receiver.producers:
                self._give((A.done, None))
            return
        producer, events, ask = receiver.batches.popleft()
        if ask < 0:
            self._give((A.error, events[0]))
        else:
            self.asks = (producer, ask) if ask else None
            self._give((A.ok, events))

    def _give(self, answer: Any) -> None:
        from_, self.waiting = self.waiting, None
        gen.reply(self.process.system, from_, answer)

    def terminate(self, reason: Any) -> None:
        del reason
        for producer in self._receiver.producers.values() if self._receiver is not None else ():
            self.cancel((producer.to, producer.tag), A.normal)


def stream(
    subscriptions: Sequence[Any],
    *,
    on: Any = None,
    demand: str | None = "forward",
    producers: Sequence[Any] | None = None,
) -> Generator[Any, None, None]:
    """The events of producers, as an iterator; it subscribes when the first one is taken.

    It ends when all producers have ended; with the default ``cancel="permanent"`` the first that ends or cancels raises
    `Exit` with its reason instead, behind its events. Closing the iterator, or the end of the process that iterates,
    cancels the subscriptions.

    Args:
        subscriptions: as `Options.subscribe_to`.
        demand: the mode that the producers are set to once all are subscribed to; None leaves it.
        producers: those whose mode is set, where they are not the ones that are subscribed to.
    """
    me = caller(on)
    system = me.system
    pid = started(gen_server.start(system, Streaming, (me.pid, list(subscriptions))))
    try:
        for producer in subscribed_to(subscriptions) if producers is None else producers:
            if demand is not None:
                gen_stage_client.demand(producer, demand, on=system)
        while True:
            what, value = gen.call(system, pid, _NEXT, None)
            if what is A.done:
                return
            if what is A.error:
                raise Exit(value, f"a producer of the stream ended: {gen.brief(value)}")
            yield from value
    finally:
        if system.process(pid) is not None:
            gen.call(system, pid, _CLOSE, None)


def subscribed_to(subscriptions: Sequence[Any]) -> list[Any]:
    """The producers among subscriptions."""
    return [entry[0] if is_subscription(entry) else entry for entry in subscriptions]
