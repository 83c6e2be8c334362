"""A serving, its callers, and what becomes of them."""

from threading import get_ident

import gevent
import numpy
import nx_terms
import pytest

from pyerlnode.bridges.nx.batch import Batch, array_of, to_nx
from pyerlnode.bridges.nx.serving import Hook, Output, Serving, serving_name
from pyerlnode.errors import Exit, NameRegistered, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server, sys
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.term import A
from pyerlnode.term.atom import Atom
from pyerlnode.testing.patience import patience
from pyerlnode.testing.virtual import Simulation
from tests.helpers import hostile

NAME = A["Elixir.MyApp.Serving"]
NX = A["Elixir.Nx.Serving"]
STREAM_ENDED = (NX, A.streaming, [])


class Groups:
    """Notes what joins."""

    def __init__(self):
        self.members = {}

    def join(self, group, pids, *, scope):
        assert scope == "Elixir.Nx.Serving.PG"
        self.members.setdefault(group, []).extend(pids)

    def leave(self, group, pids, *, scope):
        assert scope == "Elixir.Nx.Serving.PG"
        for pid in pids:
            self.members[group].remove(pid)
        return True


class Host:
    """As much of a node as a serving needs."""

    def __init__(self, system):
        self.system = system
        self.pg = Groups()
        self.exports = {}

    def export(self, module, function, name):
        self.exports[str(module), name] = function


class World:
    def __init__(self, simulation):
        self.simulation = simulation
        self.system = simulation.system("py@sim")
        self.host = Host(self.system)

    def serve(self, handler, name="MyApp.Serving", **options):
        settings = {"batch_size": 4, "batch_timeout": 1.0, "offload": False, **options}
        return gen_server.start(self.system, Serving, (self.host, name, handler), settings)

    def begin(self, given, name=NAME):
        """A caller; it gives the events of its stream, and how the process that ran it has ended."""
        return self.simulation.start(self._call, given, name)

    def _call(self, given, name):
        system, me = self.system, self.system.adopt()
        ref = system.new_ref()
        run = self.host.exports["Elixir.Nx.Serving", "__distributed_batched_run__"]
        monitor = system.monitor(me, system.spawn(run, me.pid, ref, name, given))
        events = []
        while True:
            message = me.receive(None, None)
            if message[0] is A.DOWN:
                assert message[1] == monitor
                reason = message[4]
                told = type(reason) is tuple and len(reason) == 2 and reason[0] == ref
                return events, ((A.ok, reason[1]) if told else (A.exit, reason))
            assert message[0] == ref
            events.append(message[1])

    def call(self, given, name=NAME):
        return self.simulation.run(lambda: self._call(given, name))[1]

    def stats(self, pid):
        return self.simulation.run(lambda: gen.call(self.system, pid, A.stats))


@pytest.fixture(params=[None, 1, 2])
def simulation(request):
    with Simulation(seed=request.param) as simulation:
        yield simulation


@pytest.fixture
def world(simulation):
    return World(simulation)


def row(*numbers):
    return numpy.array(numbers, "i4")


def result(outcome):
    kind, value = outcome
    assert kind is A.ok, value
    return array_of(value).tolist()


def test_a_caller_gets_its_rows_back(world):
    world.serve(lambda rows: rows * 2)
    assert result(world.call(nx_terms.stacked(row(1, 2), row(3, 4)))) == [[2, 4], [6, 8]]


def test_callers_share_a_batch_and_each_gets_its_own(world):
    seen = []
    pid = world.serve(lambda rows: seen.append(len(rows)) or rows + 1)
    callers = [world.begin(nx_terms.stacked(*[row(n)] * n)) for n in (1, 3, 4, 2)]
    world.simulation.advance(1.0)
    assert [result(caller.get()[1]) for caller in callers] == [[[n + 1]] * n for n in (1, 3, 4, 2)]
    assert sum(seen) == 10
    assert max(seen) <= 4
    assert world.stats(pid)[A.rows] == 10


def test_more_rows_than_a_batch_come_back_in_order_whatever_ends_first(world):
    gates = [gevent.event.Event() for _ in range(3)]

    def handler(rows):
        gates[int(rows[0, 0]) // 4].wait()
        return rows

    world.serve(handler, partitions=3)
    caller = world.begin(nx_terms.concatenated(numpy.arange(12).reshape(12, 1)))
    for gate in reversed(gates):
        world.simulation.run_until_idle()
        gate.set()
    world.simulation.run_until_idle()
    assert result(caller.get()[1]) == [[n] for n in range(12)]


def test_each_partition_has_its_handler_and_each_key_its_own(world):
    def of(partition):
        return {"double": lambda rows: rows * 2, "where": lambda rows: rows * 0 + partition}

    world.serve([of(0), of(1)], batch_size=1)
    assert result(world.call(nx_terms.stacked(row(4), key=A.double))) == [[8]]
    places = {result(world.call(nx_terms.stacked(row(4), key=A.where)))[0][0] for _ in range(2)}
    assert places == {0, 1}
    assert world.call(nx_terms.stacked(row(4)))[1] == (
        A.bad_batch,
        b"unknown batch key default; this serving has double, where",
    )
    for wrong in ([1], {}, 1, b"double", hostile.deep("list")):
        assert world.call(nx_terms.stacked(row(4), key=wrong))[1][0] is A.bad_batch


def test_rows_of_other_shapes_are_no_company(world):
    world.serve(lambda rows: rows * 2)
    callers = [world.begin(nx_terms.stacked(given)) for given in (row(1), row(1, 2), row(3).astype("f4"))]
    world.simulation.advance(1.0)
    assert [result(caller.get()[1]) for caller in callers] == [[[2]], [[2, 4]], [[6.0]]]


def test_a_handler_that_fails_fails_its_batch_alone_with_its_reason(world):
    pid = world.serve({"bad": lambda rows: 1 // 0, "own": lambda rows: exit_with(A.out_of_memory), "good": lambda r: r})
    reason = world.call(nx_terms.stacked(row(1), key=A.bad))[1]
    assert reason[:3] == (A.python_error, b"ZeroDivisionError", b"integer division or modulo by zero")
    assert world.call(nx_terms.stacked(row(1), key=A.own)) == (A.exit, A.out_of_memory)
    assert result(world.call(nx_terms.stacked(row(1), key=A.good))) == [[1]]
    assert world.stats(pid)[A.failed] == 2


def exit_with(reason):
    raise Exit(reason)


def test_a_request_that_fails_in_part_is_not_run_on(world):
    seen = []

    def handler(rows):
        seen.append(len(rows))
        raise Exit(A.broken)

    pid = world.serve(handler, batch_size=2)
    assert world.call(nx_terms.concatenated(numpy.zeros((6, 1)))) == (A.exit, A.broken)
    assert seen == [2]
    assert world.stats(pid)[A.waiting] == 0


def test_an_output_of_another_number_of_rows_is_the_handlers_error(world):
    world.serve(lambda rows: rows[:1])
    assert world.call(nx_terms.stacked(row(1), row(2)))[1] == (
        A.bad_output,
        b"the handler was given 2 rows and gave an array of the shape (1, 1)",
    )


def test_padding_is_seen_by_the_handler_alone(world):
    seen = []
    world.serve(lambda rows: seen.append(rows.tolist()) or rows + 1, pad=True, batch_timeout=0.0)
    assert result(world.call(nx_terms.stacked(row(5)))) == [[6]]
    assert seen == [[[5], [0], [0], [0]]]


def test_who_finds_no_room_is_told_at_once_or_sent_elsewhere(world):
    gate = gevent.event.Event()

    def handler(rows):
        gate.wait()
        return rows

    pid = world.serve(handler, waiting=1, batch_size=1, batch_timeout=0.0)
    callers = [world.begin(nx_terms.stacked(row(n))) for n in (1, 2)]
    world.simulation.run_until_idle()
    assert world.call(nx_terms.stacked(row(3))) == (A.exit, (A.serving_full, 1))
    assert world.stats(pid)[A.refused] == 1
    gate.set()
    world.simulation.run_until_idle()
    assert sorted(result(caller.get()[1])[0][0] for caller in callers) == [1, 2]
    gate.clear()
    world.serve(handler, "Elsewhere", waiting=1, batch_size=1, when_full="retry")
    held = [world.begin(nx_terms.stacked(row(n)), A["Elixir.Elsewhere"]) for n in (1, 2)]
    world.simulation.run_until_idle()
    assert world.call(nx_terms.stacked(row(3)), A["Elixir.Elsewhere"]) == (A.exit, A.noproc)
    gate.set()
    world.simulation.run_until_idle()
    assert all(result(caller.get()[1]) for caller in held)


def test_a_stop_finishes_what_runs_and_sends_who_waits_elsewhere(world):
    gate = gevent.event.Event()

    def handler(rows):
        gate.wait()
        return rows

    pid = world.serve(handler, batch_size=1, batch_timeout=0.0)
    running, waiting = world.begin(nx_terms.stacked(row(1))), None
    world.simulation.run_until_idle()
    waiting = world.begin(nx_terms.stacked(row(2)))
    world.simulation.run_until_idle()
    assert world.host.pg.members == {NAME: [pid], NX: [pid]}
    stopping = world.simulation.start(gen.stop, world.system, pid)
    world.simulation.run_until_idle()
    assert waiting.get()[1] == (A.exit, A.noproc)
    assert world.host.pg.members == {NAME: [], NX: []}
    assert world.call(nx_terms.stacked(row(3))) == (A.exit, A.noproc)
    assert not stopping.ready()
    gate.set()
    world.simulation.run_until_idle()
    assert result(running.get()[1]) == [[1]]
    assert stopping.ready()


def test_a_stop_does_not_wait_for_ever(world):
    never = gevent.event.Event()
    pid = world.serve(lambda rows: never.wait(), batch_size=1, drain=5.0)
    caller = world.begin(nx_terms.stacked(row(1)))
    world.simulation.run_until_idle()
    stopping = world.simulation.start(gen.stop, world.system, pid)
    world.simulation.advance(5.0)
    assert stopping.ready()
    assert caller.get()[1] == (A.exit, A.normal)
    never.set()


def test_when_the_serving_or_what_runs_is_killed_each_caller_is_told(world):
    never = gevent.event.Event()
    pid = world.serve(lambda rows: never.wait(), batch_size=1)
    first = world.begin(nx_terms.stacked(row(1)))
    world.simulation.run_until_idle()
    [task] = [process for process in world.system.processes.values() if process.handler is None and is_task(process)]
    task.exit(A.killed)
    world.simulation.run_until_idle()
    assert first.get()[1] == (A.exit, A.killed)
    second = world.begin(nx_terms.stacked(row(1)))
    world.simulation.run_until_idle()
    world.system.exit(pid, A.kill)
    world.simulation.run_until_idle()
    assert second.get()[1] == (A.exit, A.killed)
    never.set()


def test_rows_that_a_serving_never_saw_may_go_elsewhere(world):
    pid = world.serve(lambda rows: rows)
    world.simulation.run(lambda: sys.suspend(world.system, pid))
    caller = world.begin(nx_terms.stacked(row(1)))
    world.simulation.run_until_idle()
    world.system.exit(pid, A.kill)
    world.simulation.run_until_idle()
    assert caller.get()[1] == (A.exit, A.noproc)


def is_task(process):
    return process.initial_call()[1] is A["Serving._execute"]


class Model(GenServer):
    def handle_call(self, request, from_):
        if request[0, 0] < 0:
            raise Exit(A.negative)
        return Reply((request * 3, {A.n: request[:, 0]}))


def test_the_handler_may_be_a_process_and_its_end_is_its_callers_reason(world):
    model = gen_server.start(world.system, Model, name="model")
    for number, handler in enumerate((model, "model")):
        world.serve(handler, f"Model{number}", batch_timeout=0.0)
    for name in (A["Elixir.Model0"], A["Elixir.Model1"]):
        kind, (tripled, maps) = world.call(nx_terms.stacked(row(2)), name)
        assert kind is A.ok
        assert (array_of(tripled).tolist(), array_of(maps[A.n]).tolist()) == ([[6]], [2])
    assert world.call(nx_terms.stacked(row(-1)), A["Elixir.Model1"]) == (A.exit, A.negative)
    assert world.call(nx_terms.stacked(row(1)), A["Elixir.Model1"]) == (A.exit, A.noproc)


def test_functions_before_and_after_the_model_run_here(world):
    def before(given):
        texts = given[A.texts]
        return Batch.stack([row(len(text)) for text in texts]), texts

    def after(output, texts):
        (lengths, metadata) = output
        return [(text, length, metadata) for text, length in zip(texts, lengths, strict=True)]

    world.serve(lambda rows: Output(rows, A.v1), client_preprocessing=before, client_postprocessing=after)
    kind, value = world.call({A.texts: [b"one", b"three"]})
    assert kind is A.ok
    assert [(text, array_of(length).tolist(), version) for text, length, version in value] == [
        (b"one", [3], A.v1),
        (b"three", [5], A.v1),
    ]
    assert world.call({})[1][:2] == (A.python_error, b"KeyError")


def test_preprocessing_gets_arrays_in_place_of_tensors(world):
    world.serve(lambda rows: rows, client_preprocessing=lambda given: (Batch.stack(given), None))
    assert result(world.call(to_nx([row(1), row(2)]))) == [[1], [2]]


def test_a_list_of_batches_is_run_one_by_one_and_comes_back_as_one(world):
    seen = []
    world.serve(lambda rows: seen.append(len(rows)) or rows, batch_timeout=0.0)
    given = [nx_terms.concatenated(numpy.arange(size).reshape(size, 1)) for size in (2, 4, 1)]
    assert result(world.call(given)) == [[0], [1], [0], [1], [2], [3], [0]]
    assert seen == [2, 4, 1]
    assert world.call([nx_terms.concatenated(numpy.zeros((5, 1)))])[1][0] is A.bad_batch


@pytest.mark.parametrize("given", [b"text", [], [1], None, {A.a: 1}])
def test_an_input_that_is_no_batch_is_refused(world, given):
    world.serve(lambda rows: rows)
    assert world.call(given)[1][0] is A.bad_batch


def test_batches_are_streamed_as_they_end_in_the_order_of_the_rows(world):
    world.serve(lambda rows: Output(rows * 2, A.v1), batch_size=2, batch_timeout=0.0, streaming=True)
    caller = world.begin(nx_terms.concatenated(numpy.arange(5).reshape(5, 1)))
    world.simulation.run_until_idle()
    events, outcome = caller.get()
    assert events[0] is A.streaming
    assert [(kind, array_of(value).tolist(), metadata) for kind, value, metadata in events[1:]] == [
        (A.batch, [[0], [2]], A.v1),
        (A.batch, [[4], [6]], A.v1),
        (A.batch, [[8]], A.v1),
    ]
    assert outcome == (A.ok, A.streaming)


def test_what_a_handler_yields_is_streamed_to_each_caller_its_own_rows(world):
    def handler(rows):
        for step in (1, 2):
            yield Hook("token", rows + step)
            yield Hook("unasked", rows)
        return rows

    world.serve(handler, streaming=["token"], client_postprocessing=lambda events, info: (e[:2] for e in events))
    callers = [world.begin(nx_terms.stacked(row(n))) for n in (10, 20)]
    world.simulation.advance(1.0)
    for caller, n in zip(callers, (10, 20), strict=True):
        (first, *events), outcome = caller.get()
        assert first is A.streaming
        assert [(kind, array_of(value).tolist()) for kind, value in events] == [
            (A.token, [[n + 1]]), (A.token, [[n + 2]]), (A.batch, [[n]]),
        ]  # fmt: skip
        assert outcome == (A.ok, A.streaming)
    assert world.call(nx_terms.concatenated(numpy.zeros((5, 1)))) == (A.exit, (A.batch_too_large, 4))
    assert world.call([nx_terms.stacked(row(1))])[1][0] is A.bad_batch


def test_a_stream_that_fails_ends_as_in_nx(world):
    def handler(rows):
        yield Hook("token", rows)
        raise Exit(A.broken)

    world.serve(handler, streaming=["token"], batch_timeout=0.0)
    caller = world.begin(nx_terms.stacked(row(1)))
    world.simulation.run_until_idle()
    events, outcome = caller.get()
    assert [events[0], events[1][0]] == [A.streaming, A.token]
    assert outcome == (A.exit, (A.broken, STREAM_ENDED))


def test_a_handler_yields_hooks_only(world):
    world.serve(
        {"odd": lambda rows: (yield 1), "short": lambda rows: (yield Hook("token", rows[:0]))}, streaming=["token"]
    )
    for key, why in ((A.odd, A.python_error), (A.short, A.bad_output)):
        caller = world.begin(nx_terms.stacked(row(1), key=key))
        world.simulation.advance(1.0)
        reason, where = caller.get()[1][1]
        assert (reason[0], where) == (why, STREAM_ENDED)


def test_a_callable_runs_in_a_thread_unless_told_otherwise(world):
    seen = []
    for offload in (True, False):
        name = f"Offload{offload}"
        world.serve(lambda rows: seen.append(get_ident()) or rows, name, offload=offload, batch_size=1)
        caller = world.begin(nx_terms.stacked(row(1)), A[f"Elixir.{name}"])
        world.simulation.run_until_idle()
        assert result(caller.get(timeout=patience())[1]) == [[1]]
    assert [ident == get_ident() for ident in seen] == [False, True]


def test_a_serving_joins_both_groups_by_its_weight_and_partitions(world):
    pid = world.serve(lambda rows: rows, partitions=2, weight=3)
    assert world.host.pg.members == {NAME: [pid] * 6, NX: [pid] * 6}


def test_garbage_is_counted_and_dropped(world):
    pid = world.serve(lambda rows: rows)
    for message in (A.hello, (b"$nx_serving_run", 1), (NX, A.batched_run, [], 1), (A.EXIT, pid, A.normal)):
        world.system.send(pid, message)
    gen.cast(world.system, pid, A.hello)
    assert world.simulation.run(lambda: gen.call(world.system, pid, A.hello)) == (A.error, A.unknown_request)
    world.system.send(pid, (A.DOWN, world.system.new_ref(), A.process, pid, A.noproc))
    assert world.stats(pid)[A.garbage] == 7
    for wrong in ((1, 2, 3, 4), (pid, 2, NAME, 4), (pid, world.system.new_ref(), b"name", 4)):
        seen = world.simulation.run(lambda wrong=wrong: end_of(world, wrong))
        assert seen is A.badarg


def end_of(world, args):
    system, me = world.system, world.system.adopt()
    run = world.host.exports["Elixir.Nx.Serving", "__distributed_batched_run__"]
    ref = system.monitor(me, system.spawn(run, *args))
    message = me.receive(lambda message: message[0] is A.DOWN and message[1] == ref, None)
    assert message is not NOTHING
    return message[4]


def test_names_are_elixirs_and_taken_once(world):
    assert [serving_name(name) for name in ("MyApp.Serving", "plain", A.Mine)] == [NAME, Atom("plain"), A.Mine]
    world.serve(lambda rows: rows)
    with pytest.raises((StartFailed, NameRegistered)):
        world.serve(lambda rows: rows)
    world.system.registry.register("busy", world.system.process(gen_server.start(world.system, Model)))
    assert world.call(nx_terms.stacked(row(1)), A.busy) == (A.exit, A.noproc)


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        ([], {}), ({}, {}), (1, {}), ([{"a": len}, {"b": len}], {}), (len, {"when_full": "wait"}), (len, {"weight": 0}),
        (len, {"batch_size": 0}),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(world, handler, options):
    with pytest.raises((StartFailed, UsageError)):
        world.serve(handler, **options)
