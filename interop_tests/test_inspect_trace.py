"""A trace is bounded, shows what was called, and is gone with the inspector, however that ends."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from interop_tests.inspectors import killed_inspector
from pyerlnode import A
from pyerlnode.errors import UsageError
from pyerlnode.inspect import Cluster, RemoteNode
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

LEFT = """{[P || P <- processes(), {flags, [_ | _]} <- [erlang:trace_info(P, flags)]],
    erlang:trace_info({inspected, called, 1}, traced),
    case erlang:function_exported(trace, session_info, 1) of true -> length(trace:session_info(all)); _ -> 0 end,
    length([x || P <- processes(), {_, L} <- [process_info(P, group_leader)], node(L) =/= node()])}"""
CALLS = 'spawn(fun L() -> receive stop -> ok after %d -> inspected:called({%s, <<"ü"/utf8>>}), L() end end)'
TRACING = 'app.trace("inspected:called/1", count=10000, rate=10000, seconds=3600)'


def as_before(beam: Beam, before: Any) -> bool:
    """Whether nothing is traced that was not, and nobody is there who was not: others may have gone meanwhile."""
    flags, traced, sessions, foreign = beam.eval(LEFT)
    return flags == [] and traced == (A.traced, False) and sessions <= before[2] and foreign <= before[3]


@pytest.fixture
def app(helper: Callable[[str], Beam], beam: Beam, node: Any) -> Iterator[RemoteNode]:
    helper("inspected.erl")
    with Cluster(node, timeout=patience(30.0), read_only=False) as cluster:
        yield cluster.node(beam.node.name)


@pytest.fixture
def caller(app: RemoteNode, beam: Beam) -> Iterator[Any]:
    """A process that calls the function again and again."""
    pid = beam.eval(CALLS % (5, "1"))
    yield pid
    beam.eval("P ! stop", P=pid)


def test_calls_and_returns_are_told_and_counted(beam: Beam, app: RemoteNode, caller: Any) -> None:
    app.info()  # its process stays
    before = beam.eval(LEFT)
    with app.trace("inspected:called/1", count=6, returns=True) as trace:
        events = list(trace)
    assert trace.ended == "count"
    assert [event.kind for event in events] == ["call", "return"] * 3
    assert {event.pid for event in events} == {caller}
    assert events[0].text in ('[{1,<<"ü"/utf8>>}]', "[{1,<<195,188>>}]")
    assert events[1].text == "{ok,1}"
    assert events == sorted(events, key=lambda event: event.at)
    wait_for(lambda: as_before(beam, before))


def test_a_trace_ends_by_its_rate_its_time_and_its_size(beam: Beam, app: RemoteNode) -> None:
    hot = beam.eval("spawn(fun L() -> inspected:called({2, lists:seq(1, 1000)}), L() end)")
    with app.trace("inspected:called/1", count=10_000, rate=20, size=50) as trace:
        events = list(trace)
    assert trace.ended == "rate"
    assert 20 <= len(events) <= 60
    assert max(len(event.text) for event in events) < 200
    beam.eval("exit(P, kill)", P=hot)
    wait_for(lambda: not beam.eval("is_process_alive(P)", P=hot))
    with app.trace("inspected:called", seconds=0.2) as trace:
        assert list(trace) == []
    assert trace.ended == "time"


def test_one_process_alone_is_traced(beam: Beam, app: RemoteNode, caller: Any) -> None:
    other = beam.eval(CALLS % (1, "other"))
    with app.trace("inspected:called/1", process=caller, count=5) as trace:
        assert {event.pid for event in trace} == {caller}
    beam.eval("P ! stop", P=other)


@pytest.mark.parametrize(
    ("function", "options", "ended"),
    [("inspected:nothing/1", {}, "none"), ("no_such_module:f/1", {}, "none"), ("inspected:called/7", {}, "none"),
     ("inspected:called/1", {"process": "nobody"}, "gone")],
)  # fmt: skip
def test_what_can_not_be_traced_is_said(app: RemoteNode, function: str, options: Any, ended: str) -> None:
    with app.trace(function, **options) as trace:
        assert list(trace) == []
    assert trace.ended == ended


def test_a_trace_that_is_closed_before_its_end_leaves_nothing(beam: Beam, app: RemoteNode, caller: Any) -> None:
    app.info()
    before = beam.eval(LEFT)
    with app.trace("inspected:called/1", count=10_000, rate=10_000, seconds=3600) as trace:
        wait_for(trace.next)
        assert not as_before(beam, before)
    wait_for(lambda: as_before(beam, before))


def test_an_inspector_that_is_killed_leaves_no_trace(beam: Beam, app: RemoteNode, caller: Any) -> None:
    app.info()
    before = beam.eval(LEFT)
    with killed_inspector(beam, TRACING, "while not view.next(): pass"):
        assert not as_before(beam, before)
    wait_for(lambda: as_before(beam, before))


def test_functions_that_the_tracer_uses_itself_can_be_traced(beam: Beam, app: RemoteNode) -> None:
    with app.trace("lists:reverse/1", count=20, rate=10_000, seconds=1.0) as trace:
        events = list(trace)
    assert trace.ended in ENDED
    mine = beam.eval("[P || P <- Ps, {_, L} <- [process_info(P, group_leader)], node(L) =/= node()]",
                     Ps=list({event.pid for event in events}))  # fmt: skip
    assert mine == []


ENDED = ("time", "count")


def test_who_only_reads_may_not_trace(node: Any, beam: Beam) -> None:
    with Cluster(node) as cluster, pytest.raises(UsageError, match="only reads"):
        cluster.node(beam.node.name).trace("lists:reverse/1")
    assert beam.eval("erlang:trace_info({lists, reverse, 1}, traced)") == (A.traced, False)
