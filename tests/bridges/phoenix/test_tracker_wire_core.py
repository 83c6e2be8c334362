"""What trackers say to each other: written as it is read, and anything else is nothing."""

from each import each

from pyerlnode.bridges.phoenix import tracker_wire_core as wire
from pyerlnode.bridges.phoenix.tracker_core import Other, State, Value
from pyerlnode.bridges.phoenix.tracker_wire_core import Answer, Config, Ended, Heartbeat, Request
from pyerlnode.etf import decode, encode
from pyerlnode.term import A
from pyerlnode.term.containers import Struct
from pyerlnode.term.pid import Pid

REF, OTHER = (A["app@sim"], 1796086487004335), (A["py@sim"], 2)
PID = Pid(A["app@sim"], 7, 0, 1)


def state():
    made = State(REF)
    made.replica_up(OTHER)
    made.join(Value(PID, b"room", b"ann", {A.at: 1}))
    made.join(Value(PID, b"room", b"bob", {}))
    made.leave(next(iter(made.entries)))
    return made


def sent(term):
    return decode(encode(term))


def test_what_is_written_is_read():
    made = state()
    whole = made.extract(made.context)
    delta = Other(made.delta.values, made.delta.clouds, {})
    assert wire.read(sent(wire.heartbeat(REF, None, made.clocks()))) == Heartbeat(REF, None, (REF, made.clocks()))
    assert wire.read(sent(wire.heartbeat(REF, made.delta, made.clocks()))) == Heartbeat(
        REF, delta, (REF, made.clocks())
    )
    assert wire.read(sent(wire.transfer_req(A.x, REF, {REF: 3}))) == Request(REF, A.x, {REF: 3})
    assert wire.read(sent(wire.transfer_ack(A.x, REF, whole))) == Answer(REF, whole)
    assert wire.read(sent(wire.graceful_permdown(REF))) == Ended(REF)
    assert wire.state_of(sent(wire.state(REF, whole))) == (REF, made.context)


def test_a_state_has_all_the_fields_of_the_librarys():
    fields = {"replica", "context", "clouds", "values", "pids", "mode", "delta", "replicas", "range"}
    for term in (wire.heartbeat(REF, state().delta, {})[3], wire.state(REF, Other({}, {}, {}))):
        assert {name.name for name in term.fields} == fields
    [cloud] = wire.heartbeat(REF, state().delta, {})[3].fields[A.clouds].values()
    assert (cloud.module, cloud.fields[A.version]) == (A["Elixir.MapSet"], 2)


def delta_with(**fields):
    made = wire.heartbeat(REF, state().delta, {})[3]
    return (
        A.pub,
        A.heartbeat,
        REF,
        Struct(made.module, {**made.fields, **{A[k]: v for k, v in fields.items()}}),
        (REF, {}),
    )


def a_set(*tags):
    return Struct(A["Elixir.MapSet"], {A.map: {tag: [] for tag in tags}})


GARBAGE = [
    A.garbage,
    (A.pub, A.heartbeat),
    (A.pub, A.heartbeat, REF, A.empty, A.none),
    (A.pub, A.heartbeat, REF, A.empty, (REF, {REF: -1})),
    (A.pub, A.heartbeat, REF, A.empty, (REF, {REF: True})),
    (A.pub, A.heartbeat, (b"name", 1), A.empty, (REF, {})),
    (A.pub, A.heartbeat, (A.x, True), A.empty, (REF, {})),
    (A.pub, A.heartbeat, REF, Struct(A["Elixir.Other"], {}), (REF, {})),
    (A.pub, A.transfer_req, A.x, REF, (REF, [1])),
    (A.pub, A.transfer_ack, A.x, REF, {}),
    (A.pub, A.graceful_permdown, A.x),
    delta_with(values=[1]),
    delta_with(values={(REF, 1): (PID, A.room, b"k", {})}),
    delta_with(values={(REF, 1): (PID, b"room", b"k", [])}),
    delta_with(values={REF: (PID, b"room", b"k", {})}),
    delta_with(clouds={REF: [1]}),
    delta_with(clouds={REF: a_set((OTHER, 1))}),
    delta_with(clouds={REF: a_set((REF, 1.0))}),
    delta_with(context={REF: 1.5}),
]


@each(GARBAGE)
def test_anything_else_is_nothing(term):
    assert wire.read(term) is None
    assert wire.read(sent(term)) is None
    assert wire.state_of(term) is None


def test_a_set_of_elixir_is_read_with_and_without_a_version():
    for fields in ({A.version: 2}, {}):
        cloud = Struct(A["Elixir.MapSet"], {A.map: {(REF, 4): []}, **fields})
        found = wire.read(sent(delta_with(clouds={REF: cloud})))
        assert isinstance(found, Heartbeat)
        assert found.delta is not None
        assert found.delta.clouds == {REF: {4}}


def test_the_configuration_is_read_from_the_childs_specification():
    config = Config(A["Elixir.My.PubSub"], 2, 0.1, 3, 0.6, 60.0, 4)
    start = (A["Elixir.Phoenix.Tracker.Shard"], A.start_link, [A.x, [], config.options()])
    assert wire.config_of(sent((A.ok, {A.id: A.x, A.start: start}))) == config
    given = [(A.name, A.x), (A.pubsub_server, A.ps), (A.broadcast_period, 100), A.odd, (A.pool_size, b"many")]
    short = (A.ok, {A.start: (A.m, A.f, [A.x, [], given])})
    assert wire.config_of(sent(short)) == Config(A.ps, broadcast_period=0.1, down_period=2.0)
    for other in (A.undefined, (A.error, A.not_found), (A.ok, {}), (A.ok, {A.start: (A.m, A.f, [A.x, [], []])})):
        assert wire.config_of(other) is None
