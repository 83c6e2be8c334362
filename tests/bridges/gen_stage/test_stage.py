"""Stages as processes: who is asked, who is told, who ends, here and over a wire."""

import pytest

from pyerlnode.bridges.gen_stage import stage as gen_stage
from pyerlnode.bridges.gen_stage.client import whereis
from pyerlnode.bridges.gen_stage.stage import (
    Broadcast,
    Consumer,
    Emit,
    Options,
    Producer,
    ProducerConsumer,
)
from pyerlnode.bridges.gen_stage.streams import from_iterable, stream
from pyerlnode.errors import Exit, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server, sys
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.runtime.names import Global
from pyerlnode.term import A
from pyerlnode.term.containers import ImproperList, kw
from pyerlnode.testing.virtual import Simulation

GEN_PRODUCER, GEN_CONSUMER = A["$gen_producer"], A["$gen_consumer"]


class Source(Producer):
    """Emits what it is told to, and keeps what it is asked for."""

    def init(self, options=None):
        self.asked, self.told = [], []
        return options

    def handle_demand(self, count):
        self.asked.append(count)

    def handle_subscribe(self, kind, options, from_):
        self.told.append((A.subscribe, kind))
        return Stop(A.not_you) if (A.refuse, True) in options else None

    def handle_cancel(self, reason, from_):
        self.told.append(reason)

    def handle_call(self, request, from_):
        match request:
            case (A.emit, events):
                return Emit(events, reply=A.ok)
            case A.later:
                self.from_ = from_
                return Emit([A.before])
        return Reply(request)

    def handle_cast(self, events):
        return events

    def handle_info(self, message):
        self.told.append(message)
        return Emit([message]) if message is A.event else None


class Counting(Producer):
    def init(self, options=None):
        self.next = 0
        return options

    def handle_demand(self, count):
        first, self.next = self.next, self.next + count
        return list(range(first, self.next))


class Sink(Consumer):
    def init(self, subscribe_to=(), mode=None):
        self.got, self.ended, self.mode, self.sizes = [], [], mode, []
        return Options(subscribe_to=subscribe_to)

    def handle_subscribe(self, kind, options, from_):
        self.from_ = from_
        return self.mode

    def handle_events(self, events, from_):
        self.got += events
        self.sizes.append(len(events))
        if A.stop in events:
            return Stop(A.seen)
        return [A.from_a_consumer] if A.emit in events else None

    def handle_cancel(self, reason, from_):
        self.ended.append(reason)


class Squares(ProducerConsumer):
    def init(self, subscribe_to, **options):
        self.told = []
        return Options(subscribe_to=subscribe_to, **options)

    def handle_events(self, events, from_):
        return [event * event for event in events]

    def handle_info(self, message):
        self.told.append(message)

    def handle_cancel(self, reason, from_):
        self.told.append(reason)


@pytest.fixture(params=[None, 3])
def simulation(request):
    with Simulation(seed=request.param) as simulation:
        yield simulation


@pytest.fixture
def system(simulation):
    return simulation.system("py@sim")


@pytest.fixture
def away(simulation, system):
    other = simulation.system("app@sim")
    other.wire = simulation.link(other, system, delay=0.01)
    return other


@pytest.fixture
def start(simulation, system):
    """Starts a stage and gives it, when all is quiet."""

    def started(cls, *args, on=system, name=None, **options):
        pid = simulation.run(lambda: gen_server.start(on, cls, args, options, name=name))
        simulation.advance(0.1)
        return behaviour_of(on.process(pid))

    return started


def ended(stage):
    return stage.process.exit_reason if not stage.process.alive else None


def test_a_consumer_asks_gets_and_asks_again(simulation, system, start):
    source = start(Source)
    sink = start(Sink, [(source.pid, {"max_demand": 4})])
    assert source.asked == [4]
    assert gen.call(system, source.pid, (A.emit, [1, 2, 3])) is A.ok
    simulation.run_until_idle()
    assert (sink.got, sink.sizes, source.asked) == ([1, 2, 3], [2, 1], [4, 2])


def test_a_stage_over_the_wire_is_a_stage_and_a_cut_is_its_end(simulation, system, away, start):
    source = start(Source, on=away, name="source")
    sink = start(Sink, [(("source", "app@sim"), {"max_demand": 2, "cancel": "temporary"})])
    gen.cast(system, ("source", "app@sim"), [1, 2, 3])
    simulation.advance(0.2)
    assert sink.got == [1, 2, 3]
    away.wire.cut()
    simulation.advance(0.2)
    assert sink.ended == [(A.down, A.noconnection)]
    assert source.told[-1] == (A.down, A.noconnection)
    gen.cast(away, source.pid, [4])
    simulation.advance(0.2)
    assert (sink.got, ended(source)) == ([1, 2, 3], None)
    assert not sink.process.monitors
    assert not source._watches


def test_every_callback_of_a_producer_may_emit(simulation, system, start):
    source = start(Source)
    sink = start(Sink, [source.pid])
    gen.cast(system, source.pid, [A.cast])
    system.send(source.pid, A.event)
    job = simulation.start(lambda: gen.call(system, source.pid, A.later))
    simulation.run_until_idle()
    source.reply(source.from_, A.after)
    simulation.run_until_idle()
    assert job.get() is A.after
    assert sorted(sink.got, key=str) == [A.before, A.cast, A.event]
    assert gen.call(system, source.pid, A.plain) is A.plain


def test_a_consumer_that_emits_is_logged_and_goes_on(simulation, system, start, caplog):
    source = start(Source)
    sink = start(Sink, [source.pid])
    gen.cast(system, source.pid, [A.emit])
    simulation.run_until_idle()
    assert sink.process.alive
    assert "can not emit events: 1 dropped" in caplog.text


@pytest.mark.parametrize(
    ("mode", "reason", "stops"),
    [
        ("permanent", A.normal, True),
        ("transient", A.shutdown, False),
        ("transient", A.x, True),
        ("temporary", A.x, False),
    ],
)
def test_the_end_of_a_producer_is_that_of_its_consumers_as_their_mode_says(
    simulation, system, start, mode, reason, stops
):
    source = start(Source)
    sink = start(Sink, [(source.pid, {"cancel": mode})])
    simulation.start(lambda: gen.stop(system, source.pid, reason))
    simulation.run_until_idle()
    assert sink.ended == [(A.down, reason)]
    assert ended(sink) == (reason if stops else None)


def test_a_consumer_that_stops_in_the_midst_of_a_message_leaves_the_rest(simulation, system, start):
    source = start(Source)
    sink = start(Sink, [(source.pid, {"max_demand": 2})])
    gen.cast(system, source.pid, [1, A.stop, 3])
    simulation.run_until_idle()
    assert (sink.got, ended(sink)) == ([1, A.stop], A.seen)
    assert source.told[-1] == (A.down, A.seen)


def test_a_consumer_cancels_and_both_sides_are_told(simulation, system, start):
    source = start(Source)
    sink = start(Sink, [(source.pid, {"cancel": "temporary"})])
    sink.cancel(sink.from_, A.enough)
    simulation.run_until_idle()
    assert source.told == [(A.subscribe, A.consumer), (A.cancel, A.enough)]
    assert sink.ended == [(A.cancel, A.enough)]
    assert not sink.process.monitors
    assert not source.process.monitors


def test_subscribing_later_again_and_elsewhere(simulation, system, start):
    source, other = start(Source), start(Source, name="other")
    sink = start(Sink)
    tag = gen_stage.sync_subscribe(sink.pid, "other", on=system, max_demand=3, cancel="temporary")
    simulation.run_until_idle()
    assert other.asked == [3]
    again = gen_stage.sync_subscribe(sink.pid, other.pid, replaces=(tag, A.faster), on=system, max_demand=9)
    gen_stage.async_subscribe(sink.pid, source.pid, on=system, max_demand=2)
    simulation.run_until_idle()
    assert sink.ended == [(A.cancel, A.faster)]
    assert (source.asked, other.asked) == ([2], [3, 6])  # the 3 of the first were asked for already
    assert other.told == [(A.subscribe, A.consumer), (A.cancel, A.faster), (A.subscribe, A.consumer)]
    assert again in sink._receiver.producers


def test_what_can_not_be_subscribed_to_is_said(simulation, system, start):
    sink, source = start(Sink), start(Source)
    for options in ({"max_demand": 0}, {"cancel": "never"}):
        with pytest.raises(Exit) as caught:
            gen_stage.sync_subscribe(sink.pid, source.pid, on=system, **options)
        assert caught.value.reason[0] is A.bad_opts
    with pytest.raises(Exit, match="not_a_consumer"):
        gen_stage.sync_subscribe(source.pid, sink.pid, on=system)
    assert gen_stage.sync_subscribe(sink.pid, "nobody", on=system, cancel="temporary")
    assert sink.process.alive
    assert gen_stage.sync_subscribe(sink.pid, Global("nobody"), on=system)
    assert ended(sink) is A.noproc


@pytest.mark.parametrize(
    ("cls", "args", "reason"),
    [
        (Sink, [["nobody"]], A.noproc),
        (Sink, [[("nobody", {"min_demand": 1000})]], A.bad_opts),
        (Counting, [Options(buffer_size=-1)], None),
        (Counting, [Options(buffer_keep="all")], None),
        (Counting, [Options(demand="no")], None),
        (Counting, [Options(dispatcher=Broadcast)], None),
        (Counting, [Options(subscribe_to=["x"])], None),
        (Squares, [[]], None),
    ],
)
def test_a_start_with_what_can_not_be_fails(simulation, system, cls, args, reason):
    options = {"demand": "accumulate"} if cls is Squares else {}
    with pytest.raises(StartFailed) as caught:
        simulation.run(lambda: gen_server.start(system, cls, tuple(args), options))
    found = caught.value.reason
    assert reason is None or reason in (found, found[0] if type(found) is tuple else None)


def test_a_producer_that_refuses_a_subscription_by_stopping_ends(simulation, system, start):
    source, sink = start(Source), start(Sink)
    gen_stage.async_subscribe(sink.pid, source.pid, on=system, refuse=True)
    simulation.run_until_idle()
    assert (ended(source), ended(sink)) == (A.not_you, A.not_you)


def test_garbage_in_the_messages_of_stages_does_no_harm(simulation, system, start, caplog):
    source = start(Source)
    sink = start(Sink, [source.pid])
    me = system.adopt().pid
    for message in (
        (GEN_PRODUCER, 1, 2), (GEN_PRODUCER, (1, 2), (A.ask, 1)), (GEN_PRODUCER, (me, 2), A.ask),
        (GEN_CONSUMER, (me, 2), [1]), (GEN_PRODUCER, (me, [2]), (A.ask, 3)), (GEN_PRODUCER, (me, {}), (A.cancel, 3)),
        (gen.CAST, (A["$demand"], 7)), (gen.CAST, (A["$subscribe"],)), (gen.CAST, A["$demand"]),
    ):  # fmt: skip
        system.send(source.pid, message)
    for message in (
        (GEN_CONSUMER, 1, 2), (GEN_CONSUMER, (1, 2), [3]), (GEN_CONSUMER, (me, 2), ImproperList((1,), 2)),
        (GEN_CONSUMER, (me, [2]), [1]), (GEN_CONSUMER, (me, [2]), (A.cancel, A.x)), (GEN_PRODUCER, (me, 2), (A.ask, 1)),
        (gen.CAST, (A["$demand"], A.forward)),
    ):  # fmt: skip
        system.send(sink.pid, message)
    simulation.run_until_idle()
    assert gen.call(system, source.pid, (A["$what"],)) == (A["$what"],)
    assert gen.call(system, source.pid, (A["$info"],)) == (A.error, A.bad_request)
    assert sink.process.alive
    unknown = (A.cancel, A.unknown_subscription)
    received = list(system.adopt().queue)
    assert (GEN_CONSUMER, (source.pid, [2]), unknown) in received
    assert (GEN_PRODUCER, (sink.pid, [2]), unknown) in received
    system.adopt().queue.clear()
    gen.cast(system, source.pid, [1])
    simulation.run_until_idle()
    assert sink.got == [1]


def test_a_callback_that_raises_ends_its_stage_and_is_reported(simulation, system, start, caplog):
    source = start(Source)
    sink = start(Consumer)
    gen_stage.async_subscribe(sink.pid, source.pid, on=system)
    gen.cast(system, source.pid, [1])
    simulation.run_until_idle()
    assert ended(sink) == (A.undef, A.handle_events)
    assert source.told[-1] == (A.down, (A.undef, A.handle_events))
    assert "handle_events" in caplog.text


def test_a_full_buffer_tells_the_log_and_the_program_may_keep_it_out(simulation, system, start, caplog):
    source = start(Source, Options(buffer_size=2))
    gen.cast(system, source.pid, [1, 2, 3, 4, 5])
    simulation.run_until_idle()
    assert "has discarded 3 events from its buffer" in caplog.text
    assert gen_stage.estimate_buffered_count(source.pid, on=system) == 2
    caplog.clear()
    source.handle_discarded = lambda count: source.told.append(count) or False
    gen.cast(system, source.pid, [6])
    sink = start(Sink, [source.pid])
    assert (source.told[0], sink.got, caplog.text) == (1, [5, 6], "")


def test_demand_is_accumulated_until_forward(simulation, system, start):
    source = start(Counting, Options(demand="accumulate"))
    sinks = [start(Sink, [(source.pid, {"max_demand": 2, "cancel": "temporary"})], A.manual) for _ in range(2)]
    for sink in sinks:
        sink.ask(sink.from_, 2)
    simulation.run_until_idle()
    assert gen_stage.demand_mode(source.pid, on=system) == "accumulate"
    assert source.next == 0
    gen_stage.demand(source.pid, "forward", on=system)
    simulation.run_until_idle()
    assert sorted(sinks[0].got + sinks[1].got) == [0, 1, 2, 3]
    assert gen_stage.demand_mode(source.pid, on=system) == "forward"


def test_an_info_message_comes_behind_buffered_events(simulation, system, start):
    source = start(Source)
    gen.cast(system, source.pid, [1])
    gen_stage.sync_info(source.pid, A.later, on=system)
    gen_stage.async_info(source.pid, A.event, on=system)
    simulation.run_until_idle()
    assert source.told == []
    sink = start(Sink, [source.pid])
    assert source.told[1:] == [A.later, A.event]
    assert sink.got == [1, A.event]


def test_a_producer_consumer_takes_only_what_its_consumers_want(simulation, system, start):
    source = start(Source)
    squares = start(Squares, [(source.pid, {"max_demand": 4, "cancel": "temporary"})])
    gen.cast(system, source.pid, [1, 2, 3, 4])
    simulation.run_until_idle()
    assert source.asked == [4]
    gen_stage.sync_info(squares.pid, A.behind, on=system)
    simulation.start(lambda: gen.stop(system, source.pid))
    simulation.run_until_idle()
    assert squares.told == []
    sink = start(Sink, [(squares.pid, {"max_demand": 3, "min_demand": 0})])
    assert sink.got == [1, 4, 9, 16]
    assert squares.told == [(A.down, A.normal), A.behind]  # the info message goes through the mailbox
    assert squares.process.alive


def test_a_chain_of_stages_moves_everything_in_order(simulation, system, start):
    producer = simulation.run(lambda: from_iterable(range(500), on=system, link=False, demand="accumulate"))
    one = start(Squares, [(producer, {"max_demand": 20, "cancel": "transient"})])
    two = start(Squares, [(one.pid, {"max_demand": 7})])
    sink = start(Sink, [(two.pid, {"max_demand": 5})])
    gen_stage.demand(producer, "forward", on=system)
    simulation.run_until_idle()
    assert sink.got == [n**4 for n in range(500)]
    assert system.process(producer) is None


def test_local_consumers_of_a_broadcast_get_lists_of_their_own(simulation, system, start):
    source = start(Source, Options(dispatcher=Broadcast()))
    even = {"selector": lambda n: n % 2 == 0}
    one, other, some = start(Sink, [source.pid]), start(Sink, [source.pid]), start(Sink, [(source.pid, even)])
    one.handle_events = lambda events, from_: events.clear()
    gen.cast(system, source.pid, [1, 2, 3])
    simulation.run_until_idle()
    assert (other.got, some.got) == ([1, 2, 3], [2])


def test_events_that_a_selector_drops_are_made_up_for_without_a_new_ask(simulation, system, start):
    source = start(Counting, Options(dispatcher=Broadcast()))
    sink = start(Sink, [(source.pid, {"selector": lambda n: n >= 100})], A.manual)
    sink.ask(sink.from_, 10)
    simulation.run_until_idle()
    assert sink.got == list(range(100, 110))


def test_sys_sees_traces_and_suspends_a_stage(simulation, system, start):
    source = start(Source)
    sink = start(Sink, [source.pid])
    sys.log_events(system, sink.pid, True)
    gen.cast(system, source.pid, [1])
    simulation.run_until_idle()
    assert len(sys.log_events(system, sink.pid, A.get)) == 1
    sys.suspend(system, sink.pid)
    gen.cast(system, source.pid, [2])
    simulation.run_until_idle()
    assert sink.got == [1]
    sys.resume(system, sink.pid)
    simulation.run_until_idle()
    assert sys.get_state(system, sink.pid)[A.got] == [1, 2]
    with pytest.raises(Exit):
        gen_stage.sync_subscribe(sink.pid, source.pid, on=system, max_demand=0)


def test_producers_are_found_as_they_are_named_here_and_on_the_wire(system, start):
    source = start(Source, name="source")
    system.global_names.register_name(A.everywhere, source.pid)
    for named in ("source", A.source, ("source", "py@sim"), (A["global"], A.everywhere), Global(A.everywhere)):
        assert whereis(system, named) == source.pid
    assert whereis(system, (A.via, A["global"], A.everywhere)) == source.pid
    assert whereis(system, (A.x, A["app@sim"])) == (A.x, A["app@sim"])
    assert whereis(system, A.nobody) is None
    with pytest.raises(UsageError):
        whereis(system, 7)


def test_a_remote_request_to_subscribe_names_the_producer_as_a_term(simulation, system, away, start):
    source, sink = start(Source, name="source"), start(Sink)
    request = (A["$subscribe"], None, (A.source, A["py@sim"]), kw(max_demand=5))
    ok, _ = simulation.run(lambda: gen.call(away, sink.pid, request))
    assert ok is A.ok
    assert source.asked == [5]
    tag = simulation.run(lambda: gen_stage.sync_subscribe(sink.pid, Global("nobody"), on=away, cancel="temporary"))
    assert tag not in sink._receiver.producers


# --- iterables and streams ---------------------------------------------------------------------
def test_an_iterable_is_advanced_by_demand_alone(simulation, system, start):
    taken = []
    producer = simulation.run(
        lambda: from_iterable((taken.append(n) or n for n in range(9)), on=system, link=False, on_cancel="stop")
    )
    sink = start(Sink, [(producer, {"cancel": "temporary"})], A.manual)
    assert taken == []
    sink.ask(sink.from_, 4)
    simulation.run_until_idle()
    assert (taken, sink.got) == ([0, 1, 2, 3], [0, 1, 2, 3])
    sink.cancel(sink.from_)
    simulation.run_until_idle()
    assert system.process(producer) is None
    with pytest.raises(UsageError):
        from_iterable([], on=system, on_cancel="wait")


def test_a_stream_gives_the_events_of_all_and_ends_with_the_last(simulation, system):
    def body():
        producers = [from_iterable(range(n, n + 20), on=system, link=False) for n in (0, 100)]
        return list(stream([(p, {"max_demand": 6, "cancel": "transient"}) for p in producers], on=system))

    got = simulation.run(body)
    assert sorted(got) == [*range(20), *range(100, 120)]
    assert [n for n in got if n < 50] == list(range(20))


def test_a_stream_is_lazy_leaves_nothing_and_raises_the_end_of_a_permanent_producer(simulation, system, start):
    source = start(Counting)
    me = system.adopt()

    def few():
        events = stream([(source.pid, {"max_demand": 4})], on=system)
        assert source.next == 0
        found = [next(events) for _ in range(6)]
        events.close()
        return found

    assert simulation.run(few) == list(range(6))
    simulation.run_until_idle()
    assert source.next <= 12
    assert not source._emitter.consumers
    assert not me.queue
    assert not me.monitors
    with pytest.raises(Exit) as caught:
        simulation.run(lambda: list(stream([from_iterable([1], on=system, link=False)], on=system)))
    assert caught.value.reason is A.normal
    with pytest.raises(StartFailed):
        simulation.run(lambda: next(stream(["nobody"], on=system)))


def test_a_stream_ends_with_the_process_that_iterates(simulation, system, start):
    source = start(Source)
    pid = system.spawn(lambda: next(stream([source.pid])))
    simulation.run_until_idle()
    assert len(source._emitter.consumers) == 1
    system.exit(pid, A.kill)
    simulation.run_until_idle()
    assert not source._emitter.consumers
    assert set(system.processes.values()) == {system.root, source.process}


def test_time_outs_work_in_stages(simulation, system, start):
    class Slow(Source):
        def handle_cast(self, request):
            return Emit([1], timeout=request)

    source = start(Slow)
    gen.cast(system, source.pid, 5.0)
    simulation.run_until_idle()
    simulation.advance(6.0)
    assert source.told == [A.timeout]
    gen.cast(system, source.pid, 5.0)
    start(Sink, [source.pid])
    simulation.advance(6.0)
    assert source.told == [A.timeout, (A.subscribe, A.consumer)]
    assert isinstance(Emit([]), NoReply)


def test_one_value_of_options_serves_many_stages(simulation, system, start):
    options = Options(dispatcher=Broadcast())
    first, second = start(Source, options), start(Source, options)
    start(Sink, [(first.pid, {"max_demand": 1})])
    sink = start(Sink, [(second.pid, {"max_demand": 3})])
    gen.cast(system, second.pid, [1, 2, 3])
    simulation.run_until_idle()
    assert sink.got == [1, 2, 3]


def test_a_huge_demand_is_taken_from_an_iterable_in_parts(simulation, system, start):
    taken = []
    numbers = (taken.append(n) or n for n in range(10**12))
    producer = simulation.run(lambda: from_iterable(numbers, on=system, link=False))
    sink = start(Sink, [(producer, {"cancel": "temporary"})], A.manual)
    sink.ask(sink.from_, 25_000)
    simulation.run_until_idle()
    assert (len(taken), sink.sizes) == (25_000, [10_000, 10_000, 5_000])


def test_an_event_that_has_no_form_on_the_wire_ends_its_producer_and_says_so(simulation, system, away, start, caplog):
    source = start(Source, name="source")
    sink = start(Sink, [(("source", "py@sim"), {"cancel": "temporary"})], on=away)
    gen.cast(system, source.pid, [1])
    gen.cast(system, source.pid, [object()])
    simulation.advance(0.2)
    assert sink.got == [1]
    assert sink.ended[0][0] is A.down
    assert "EncodeError" in caplog.text
    assert not source.process.alive
