"""Phoenix.PubSub's names and rules: which group, who is subscribed, and what may be sent to a worker of a BEAM."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyerlnode.bridges.phoenix import pubsub_core as core
from pyerlnode.bridges.phoenix.pubsub_core import Broadcast, Peers, Topics
from pyerlnode.errors import UsageError
from pyerlnode.term import A
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import Struct, TermMap
from pyerlnode.term.pid import Pid
from tests.helpers import hostile

HERE, THERE, ELSEWHERE = A["py@sim"], A["app@sim"], A["web@sim"]


def pid(number, node=HERE):
    return Pid(node, number, 0, 1)


# --- names -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given_name", "atom", "adapter"),
    [
        ("MyApp.PubSub", "Elixir.MyApp.PubSub", "Elixir.MyApp.PubSub.Adapter"),
        ("Elixir.MyApp.PubSub", "Elixir.MyApp.PubSub", "Elixir.MyApp.PubSub.Adapter"),
        (A.Elixir.MyApp.PubSub, "Elixir.MyApp.PubSub", "Elixir.MyApp.PubSub.Adapter"),
        ("my_pubsub", "my_pubsub", "Elixir.my_pubsub.Adapter"),
    ],
)
def test_a_name_is_written_as_in_elixir(given_name, atom, adapter):
    name = core.module_of(given_name)
    assert name is Atom(atom)
    assert core.groups_of(name, 1) == (Atom(adapter),)


def test_the_first_group_of_a_pool_has_no_number():
    name = A["Elixir.P"]
    assert [group.name for group in core.groups_of(name, 3)] == [
        "Elixir.P.Adapter",
        "Elixir.P.Adapter_2",
        "Elixir.P.Adapter_3",
    ]
    for size in (0, -1, True, 1.5, None):
        with pytest.raises(UsageError):
            core.groups_of(name, size)


def test_a_process_has_one_group_and_many_processes_have_all():
    groups = core.groups_of(A["Elixir.P"], 4)
    assert {core.group_for(pid(number), groups) for number in range(100)} == set(groups)
    assert len({core.group_for(pid(7), groups) for _ in range(10)}) == 1


@pytest.mark.parametrize("wrong", [None, 1, A.rooms, ["a"]])
def test_a_topic_is_text(wrong):
    with pytest.raises(UsageError):
        core.topic_of(wrong)
    assert core.topic_of("é") == core.topic_of("é".encode())


@pytest.mark.parametrize("wrong", ["", None, 7])
def test_a_name_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError):
        core.module_of(wrong)


# --- what comes in ---------------------------------------------------------------------------------
def test_a_publishers_message_is_told_from_anything_else():
    whole = (A.forward_to_local, b"rooms", (A.any, 1), A["Elixir.Phoenix.PubSub"])
    assert core.forwarded(whole) == (b"rooms", (A.any, 1), core.PLAIN)
    for wrong in (
        whole[:3], (*whole, 1), list(whole), A.forward_to_local, (A.forward, *whole[1:]), None,
        (A.forward_to_local, A.rooms, 1, core.PLAIN), (A.forward_to_local, "rooms", 1, core.PLAIN),
        (A.forward_to_local, b"rooms", 1, None), (A.forward_to_local, b"rooms", 1, b"x"),
    ):  # fmt: skip
        assert core.forwarded(wrong) is None


def test_a_broadcast_is_read_from_its_struct():
    struct = Struct(core.BROADCAST, {A.topic: b"t", A.event: b"e", A.payload: {A.a: 1}})
    assert Broadcast.of(struct) == Broadcast("t", "e", {A.a: 1})
    others = [struct.fields, Struct(A["Elixir.Other"], struct.fields), Struct(core.BROADCAST, {A.topic: b"t"}), None]
    assert [Broadcast.of(other) for other in others] == [None] * 4


# --- what goes out ---------------------------------------------------------------------------------
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé\n"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc") | st.sampled_from([A.a, A.b, 7]), inner),
)


@settings(max_examples=50)
@given(JSON)
def test_json_is_let_through(term):
    core.check_json(term, "it")


@settings(max_examples=50)
@given(JSON, st.sampled_from([(1,), b"\xff", "\ud800", 1j, object(), Struct(A.M, {}), {(1,): 1}, {core.STRUCT: A.M}]))
def test_what_is_no_json_is_found_wherever_it_stands(term, wrong):
    for whole in ([term, wrong], {"a": term, "b": [wrong]}, TermMap([(A.a, {"b": wrong})])):
        with pytest.raises(UsageError, match="it is no JSON"):
            core.check_json(whole, "it")


@settings(max_examples=50)
@given(hostile.terms())
def test_any_term_is_json_or_refused(term):
    try:
        core.check_json(term, "it")
    except UsageError:
        return
    assert _is_json(term)


def _is_json(term):
    """What Jason takes: a binary must be text, a key text, an atom or a number."""
    if isinstance(term, list):
        return all(map(_is_json, term))
    if isinstance(term, (dict, TermMap)):
        return all(isinstance(key, (str, bytes, Atom, int)) or key is None for key in term) and all(
            map(_is_json, term.values())
        )
    return term is None or isinstance(term, (bool, int, float, str, bytes, Atom, Struct))


def test_the_way_to_what_is_no_json_is_told_and_not_its_value():
    with pytest.raises(UsageError) as caught:
        core.check_json({"user": {A.tags: ["fine", ("secret",)]}}, "the payload")
    assert str(caught.value) == "the payload is no JSON › user › tags › 1: tuple"


def test_what_has_no_end_is_no_json():
    endless = {}
    endless["again"] = [endless]
    with pytest.raises(UsageError, match="nested more than 100 levels"):
        core.check_json(endless, "it")


def test_a_broadcast_is_checked_as_struct_and_as_map():
    fields = {A.topic: "t", A.event: "e", A.payload: {"on": datetime.date(2025, 1, 2)}}
    core.check_broadcast(Struct(core.BROADCAST, fields))
    core.check_broadcast({core.STRUCT: core.BROADCAST, **fields})
    core.check_broadcast((A.any, object()))  # is sent as it is
    core.check_broadcast(Struct(A.Other, {}))
    for change in ({A.topic: None}, {A.event: A.e}, {A.event: b"\xff"}, {A.payload: []}, {A.payload: {"a": ()}}):
        for broken in (Struct(core.BROADCAST, {**fields, **change}), {core.STRUCT: core.BROADCAST, **fields, **change}):
            with pytest.raises(UsageError):
                core.check_broadcast(broken)


# --- who is there ----------------------------------------------------------------------------------
def test_who_subscribed_twice_is_there_twice_and_leaves_once():
    topics, one, other = Topics(), pid(1), pid(2)
    assert topics.subscribe(b"a", one, A.first) is True
    assert topics.subscribe(b"a", one, A.second) is False
    assert topics.subscribe(b"b", one) is False
    assert topics.subscribe(b"a", other) is True
    assert topics.entries(b"a") == ((one, A.first), (one, A.second), (other, None))
    assert topics.unsubscribe(b"a", one) is False
    assert topics.entries(b"a") == ((other, None),)
    assert topics.unsubscribe(b"a", one) is False
    assert topics.unsubscribe(b"b", one) is True
    assert (topics.names(), topics.pids()) == ([b"a"], [other])


def test_who_ends_is_in_no_topic_any_more():
    topics, one = Topics(), pid(1)
    for topic in (b"a", b"b"):
        topics.subscribe(topic, one)
    topics.forget(one)
    topics.forget(one)
    assert (topics.names(), topics.pids(), topics.entries(b"a")) == ([], [], ())
    assert topics.unsubscribe(b"a", one) is False


def test_the_entries_that_one_goes_through_do_not_change():
    topics = Topics()
    topics.subscribe(b"a", pid(1))
    entries = topics.entries(b"a")
    assert topics.entries(b"a") is entries
    topics.subscribe(b"a", pid(2))
    assert (len(entries), len(topics.entries(b"a"))) == (1, 2)


@given(st.lists(st.tuples(st.sampled_from("sufe"), st.sampled_from([b"a", b"b"]), st.integers(1, 3))))
def test_topics_agree_with_a_plain_list(steps):
    topics, model = Topics(), []
    for what, topic, number in steps:
        one = pid(number)
        if what == "s":
            assert topics.subscribe(topic, one) is (one not in {p for _, p in model})
            model.append((topic, one))
        elif what == "u":
            before, model = model, [entry for entry in model if entry != (topic, one)]
            assert topics.unsubscribe(topic, one) is (before != model and one not in {p for _, p in model})
        elif what == "f":
            topics.forget(one)
            model = [entry for entry in model if entry[1] != one]
        for name in (b"a", b"b"):
            assert sorted(p.id for p, _ in topics.entries(name)) == sorted(p.id for t, p in model if t == name)
        assert set(topics.pids()) == {p for _, p in model}
        assert set(topics.names()) == {t for t, _ in model}


def test_peers_are_workers_of_other_nodes_and_a_node_counts_when_it_is_in_every_group():
    one, two = groups = core.groups_of(A["Elixir.P"], 2)
    peers = Peers(HERE, groups)
    peers.join(one, [pid(1), pid(2, THERE), pid(3, ELSEWHERE)])
    assert peers.of(one) == (pid(2, THERE), pid(3, ELSEWHERE))
    assert (peers.of(two), peers.nodes()) == ((), set())
    peers.join(two, [pid(4, THERE)])
    assert peers.nodes() == {THERE}
    peers.leave(one, [pid(2, THERE), pid(2, THERE), pid(9, THERE)])
    assert (peers.of(one), peers.nodes()) == ((pid(3, ELSEWHERE),), set())
