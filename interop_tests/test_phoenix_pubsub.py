"""Phoenix.PubSub and trackers across nodes: Python's workers beside those of a BEAM on OTP's own pg.

The BEAM's side is `beam_src/pubsub_peer.erl`, whose workers crash on what Phoenix's would crash on; every test sees to
it that they, and pg's scope, are the same processes at its end. With the environment variable
`PYERLNODE_PHOENIX_PUBSUB`, a directory of the compiled library, the same scenarios run against that as well.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import blocks, opening_prints
from place import ROOT, place

from pyerlnode import A, GenServer, Node
from pyerlnode.bridges.phoenix.presence import Presence, PresenceError
from pyerlnode.bridges.phoenix.pubsub import Broadcast, PubSub
from pyerlnode.errors import CallTimeout, UsageError
from pyerlnode.term.containers import Struct
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

EBIN = os.environ.get("PYERLNODE_PHOENIX_PUBSUB")
LIBRARIES = ["ours", "phoenix"] if EBIN else ["ours"]
NAME = A["Elixir.MyApp.PubSub"]
TRACKER = A["Elixir.MyApp.Presence"]
DOMAIN = "rooms"


class Phoenix:
    """A PubSub on a BEAM."""

    def __init__(self, beam: Beam, library: str, pool: int) -> None:
        self.beam = beam
        self.pool = pool
        self.real = library == "phoenix"
        self.module = A["Elixir.Phoenix.PubSub"] if self.real else A.pubsub_peer
        if self.real:
            beam.eval("code:add_patha(binary_to_list(D))", D=str(EBIN).encode())
        self.holder = beam.rpc("pubsub_peer", "start", self.module, NAME, pool)
        self.workers = beam.rpc("pubsub_peer", "workers", NAME, pool)

    def ask(self, function: str, *args: Any) -> Any:
        return self.beam.rpc(self.module.name, function, *args)

    def listen(self, node: Node, topic: str, metadata: Any = None) -> Any:
        """A subscriber there; what it gets comes to the calling process as ``(A.heard, pid, message)``."""
        args = (self.module, NAME, topic, metadata, node.self_())
        pid = self.beam.rpc("pubsub_peer", "listen", *args)
        assert node.receive((A.listening, pid), timeout=patience())
        return pid

    def stop(self) -> None:
        assert self.beam.rpc("pubsub_peer", "workers", NAME, self.pool) == self.workers, "a worker of the BEAM crashed"
        self.beam.eval("R = monitor(process, H), H ! stop, receive {'DOWN', R, _, _, _} -> ok end", H=self.holder)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(helper: Callable[[str], Beam], library: str) -> Iterator[Callable[[int], Phoenix]]:
    beam, made = helper("pubsub_peer.erl"), []

    def started(pool: int = 1) -> Phoenix:
        made.append(Phoenix(beam, library, pool))
        return made[-1]

    yield started
    for phoenix in made:
        phoenix.stop()


@pytest.fixture
def phoenix(start: Callable[[int], Phoenix]) -> Phoenix:
    return start(1)


@pytest.fixture
def pubsub(phoenix: Phoenix, node: Any) -> PubSub:
    return joined(phoenix, node)


def joined(phoenix: Phoenix, node: Any, **options: Any) -> PubSub:
    """Python's part, with which the BEAM has exchanged members."""
    node.connect(phoenix.beam.name)
    pubsub = PubSub(node, "MyApp.PubSub", pool_size=phoenix.pool, **options)
    pubsub.await_node(phoenix.beam.name)
    return pubsub


@pytest.mark.parametrize("pool", [1, 3])
def test_what_elixir_publishes_reaches_python_through_every_group(start: Any, node: Any, pool: int) -> None:
    phoenix = start(pool)
    pubsub = joined(phoenix, node)
    heard: list[Any] = []
    pubsub.subscribe("rooms")
    pubsub.subscribe("rooms", heard.append)
    phoenix.beam.rpc("pubsub_peer", "publish_from_many", phoenix.module, NAME, "rooms", 20)
    got = [node.receive(timeout=patience()) for _ in range(20)]
    wait_for(lambda: len(heard) == 20)
    assert sorted(number for _, number in got) == sorted(number for _, number in heard) == list(range(1, 21))
    assert {tag for tag, _ in got} == {A.from_elixir}


def test_the_size_of_the_pool_is_learnt(start: Any, node: Any) -> None:
    phoenix = start(3)
    node.connect(phoenix.beam.name)
    pubsub = PubSub(node, "MyApp.PubSub")
    pubsub.subscribe("rooms")
    pubsub.await_node(phoenix.beam.name)
    assert len(pubsub.groups) == 3
    phoenix.beam.rpc("pubsub_peer", "publish_from_many", phoenix.module, NAME, "rooms", 20)
    assert sorted(node.receive(timeout=patience())[1] for _ in range(20)) == list(range(1, 21))


def test_a_node_is_awaited_until_its_scope_that_is_busy_has_heard_of_us(phoenix: Phoenix, node: Any) -> None:
    scope = "Elixir.Phoenix.PubSub"
    node.connect(phoenix.beam.name)
    node.pg.start(scope)
    wait_for(lambda: node.pg.which_groups(scope=scope))  # their members are known, ours are not there yet
    busy = """
        Me = self(),
        Hold = fun(S) -> Me ! busy, receive go -> S after 300 -> S end end,
        spawn(fun() -> sys:replace_state(list_to_atom(N), Hold, infinity) end),
        receive busy -> ok end"""
    phoenix.beam.eval(busy, N=list(scope.encode()))
    pubsub = PubSub(node, "MyApp.PubSub")
    pubsub.subscribe("rooms")
    pubsub.await_node(phoenix.beam.name, timeout=patience())
    phoenix.beam.rpc("pubsub_peer", "publish_from_many", phoenix.module, NAME, "rooms", 3)
    assert sorted(node.receive(timeout=patience())[1] for _ in range(3)) == [1, 2, 3]


@pytest.mark.parametrize("pool", [1, 3])
def test_what_python_publishes_reaches_elixir_through_every_group(start: Any, node: Any, pool: int) -> None:
    phoenix = start(pool)
    pubsub = joined(phoenix, node)
    listener = phoenix.listen(node, "rooms")
    for number in range(20):
        node.spawn(pubsub.broadcast, "rooms", (A.from_python, number, "é"))
    got = [node.receive(timeout=patience()) for _ in range(20)]
    assert sorted(message[1] for _, _, message in got) == list(range(20))
    assert got[0][:2] == (A.heard, listener)
    assert got[0][2][2] == "é".encode()


def test_what_one_process_publishes_arrives_in_its_order(start: Any, node: Any) -> None:
    phoenix = start(3)
    pubsub = joined(phoenix, node)
    phoenix.listen(node, "rooms")
    for number in range(200):
        pubsub.broadcast("rooms", number)
    assert [node.receive(timeout=patience())[2] for _ in range(200)] == list(range(200))


def test_an_endpoints_broadcast_is_json_for_clients_and_a_struct_for_others(
    phoenix: Phoenix, pubsub: PubSub, node: Any
) -> None:
    client = phoenix.listen(node, "room:1", A.client)
    view = phoenix.listen(node, "room:1")
    pubsub.endpoint_broadcast("room:1", "new_msg", {"body": 'hé "you"', A.of: [1, 2.5, None, True, A.ok]})
    got = {pid: message for _, pid, message in (node.receive(timeout=patience()) for _ in range(2))}
    text = '[null,null,"room:1","new_msg",{"of":[1,2.5,null,true,"ok"],"body":"hé \\"you\\""}]'
    assert got[client] == (A.socket_push, A.text, text.encode())
    broadcast = Broadcast.of(got[view])
    assert broadcast is not None
    assert (broadcast.topic, broadcast.event, broadcast.payload[b"body"]) == ("room:1", "new_msg", 'hé "you"'.encode())


@pytest.mark.parametrize(
    "payload",
    [{"a": (1, 2)}, {"a": b"\xff"}, {"a": {"b": [object]}}, [1], {(1,): 1}, {"a": Struct(A["Elixir.User"], {})}],
    ids=["tuple", "bytes", "object", "list", "key", "struct"],
)
def test_a_payload_that_would_end_the_beams_worker_is_refused(
    phoenix: Phoenix, pubsub: PubSub, node: Any, payload: Any
) -> None:
    phoenix.listen(node, "room:1", A.client)
    with pytest.raises(UsageError, match="payload"):
        pubsub.endpoint_broadcast("room:1", "new_msg", payload)
    with pytest.raises(UsageError, match="dispatcher"):
        pubsub.broadcast("room:1", 1, dispatcher="Nobody.Has.This")
    pubsub.endpoint_broadcast("room:1", "still", {})
    assert node.receive(timeout=patience())[2][2] == b'[null,null,"room:1","still",{}]'


def test_elixirs_endpoint_broadcast_is_read_in_python(phoenix: Phoenix, pubsub: PubSub, node: Any) -> None:
    pubsub.subscribe("room:1")
    phoenix.beam.eval(
        """M:broadcast(N, <<"room:1">>, #{'__struct__' => 'Elixir.Phoenix.Socket.Broadcast', topic => <<"room:1">>,
            event => <<"typing">>, payload => #{who => <<"ann">>}}, 'Elixir.Phoenix.Channel.Server')""",
        M=phoenix.module,
        N=NAME,
    )
    assert Broadcast.of(node.receive(timeout=patience())) == Broadcast("room:1", "typing", {A.who: b"ann"})


def test_one_nodes_subscribers_are_reached_directly(phoenix: Phoenix, pubsub: PubSub, node: Any, python: Any) -> None:
    other = python()
    bystander = joined(phoenix, other)
    other.connect(node.name)
    bystander.await_node(node.name)
    heard: list[Any] = []
    bystander.subscribe("rooms", heard.append)
    pubsub.subscribe("rooms")
    phoenix.listen(node, "rooms")
    phoenix.ask("direct_broadcast", A[node.name], NAME, "rooms", A.to_python)
    assert node.receive(timeout=patience()) is A.to_python
    pubsub.direct_broadcast(phoenix.beam.name, "rooms", A.to_elixir)
    assert node.receive(timeout=patience())[2] is A.to_elixir
    pubsub.direct_broadcast(other.name, "rooms", A.to_the_other)
    wait_for(lambda: heard)
    assert heard == [A.to_the_other]


def test_a_broadcast_from_a_process_spares_it_on_both_sides(phoenix: Phoenix, pubsub: PubSub, node: Any) -> None:
    listener = phoenix.listen(node, "rooms")
    pubsub.subscribe("rooms")
    pubsub.broadcast_from("rooms", A.first)
    assert node.receive(timeout=patience()) == (A.heard, listener, A.first)
    phoenix.ask("broadcast_from", NAME, listener, "rooms", A.second)
    assert node.receive(timeout=patience()) is A.second
    pubsub.broadcast("rooms", A.third)
    assert {node.receive(timeout=patience()) for _ in range(2)} == {A.third, (A.heard, listener, A.third)}


def test_two_python_nodes_publish_to_each_other(phoenix: Phoenix, pubsub: PubSub, node: Any, python: Any) -> None:
    other = python()
    theirs = joined(phoenix, other)
    node.connect(other.name)
    pubsub.await_node(other.name)
    theirs.await_node(node.name)
    heard: list[Any] = []
    theirs.subscribe("rooms", heard.append)
    pubsub.broadcast("rooms", A.hello)
    wait_for(lambda: heard == [A.hello])
    assert pubsub.nodes() == sorted([phoenix.beam.name, other.name])


def test_a_node_that_was_lost_is_a_member_again(phoenix: Phoenix, pubsub: PubSub, node: Any) -> None:
    pubsub.subscribe("rooms")
    node.disconnect(phoenix.beam.name)
    wait_for(lambda: pubsub.nodes() == [])
    pubsub.broadcast("rooms", A.alone)  # dials nobody
    assert node.receive(timeout=patience()) is A.alone
    assert node.nodes() == []
    with pytest.raises(CallTimeout):
        pubsub.await_node(phoenix.beam.name, timeout=0.01)
    node.connect(phoenix.beam.name)
    pubsub.await_node(phoenix.beam.name)
    phoenix.ask("broadcast", NAME, "rooms", A.back)
    assert node.receive(timeout=patience()) is A.back


def test_garbage_to_the_workers_of_python_is_counted_and_ends_nothing(
    phoenix: Phoenix, pubsub: PubSub, node: Any
) -> None:
    pubsub.subscribe("rooms")
    before = node.whereis(pubsub.groups[0])
    phoenix.beam.eval(
        """[{G, N} ! M || M <- [garbage, {forward_to_local, rooms, 1, x}, {forward_to_local, <<"rooms">>, 1, <<>>},
            {forward_to_local, <<"rooms">>, 1}, [], {'$gen_cast', x}, {'$gen_call', {self(), make_ref()}, x}]],
           {G, N} ! {forward_to_local, <<"rooms">>, last, 'Elixir.No.Such.Dispatcher'}""",
        G=pubsub.groups[0],
        N=A[node.name],
    )
    assert node.receive(timeout=patience()) is A.last
    assert pubsub.stats()["garbage"] == 7
    assert node.whereis(pubsub.groups[0]) == before


def test_when_pythons_scope_ends_its_workers_join_the_next(phoenix: Phoenix, pubsub: PubSub, node: Any) -> None:
    pubsub.subscribe("rooms")
    workers = node.whereis(pubsub.groups[0])
    node.exit(node.whereis("Elixir.Phoenix.PubSub"), A.kill)
    wait_for(lambda: node.whereis(pubsub.groups[0]) not in (None, workers))
    pubsub.await_node(phoenix.beam.name)
    phoenix.ask("broadcast", NAME, "rooms", A.again)
    assert node.receive(timeout=patience()) is A.again


# --- trackers ----------------------------------------------------------------------------------------
class Quiet(GenServer):
    def init(self) -> None:
        pass


@pytest.fixture
def tracker(helper: Callable[[str], Beam], phoenix: Phoenix, pubsub: PubSub, node: Any) -> Iterator[Any]:
    """A tracker on the BEAM; its diffs come to the test's process as ``(A.diff, topic, joins, leaves)``."""
    beam = helper("tracker_peer.erl")
    module = A["Elixir.Phoenix.Tracker"] if phoenix.real else A.tracker_peer
    stop = "R = monitor(process, H), exit(H, shutdown), receive {'DOWN', R, _, _, _} -> ok end"
    holders = [beam.rpc("tracker_peer", "start", module, TRACKER, NAME, node.self_())]

    def restart() -> None:
        beam.eval(stop, H=holders.pop())
        beam.wait_until("whereis(T) =:= undefined", T=TRACKER)
        flush(node)
        holders.append(beam.rpc("tracker_peer", "start", module, TRACKER, NAME, node.self_()))

    yield restart
    beam.eval(stop, H=holders.pop())


@pytest.fixture
def presence(tracker: Any, node: Any) -> Presence:
    return Presence(node, "MyApp.Presence", every=0.02)


def flush(node: Any) -> None:
    """Take out of the mailbox what the tracker that has ended has told."""
    while node.receive(lambda message: message[0] is A.diff, timeout=0, default=None) is not None:
        pass


def diff(node: Any) -> tuple[list[Any], list[Any]]:
    """The next one: its joins and leaves, each key with its status."""
    _, topic, joins, leaves = node.receive(lambda message: message[0] is A.diff, timeout=patience())
    assert topic == b"room:1"
    return tuple([(key, meta.get(A.status)) for key, meta in what] for what in (joins, leaves))  # type: ignore[return-value]  # two


def test_a_python_process_is_present_until_it_ends(presence: Presence, node: Any) -> None:
    worker = node.start(Quiet)
    assert len(presence.track("room:1", "ann", {A.status: "ready"}, pid=worker)) > 0
    assert diff(node) == ([(b"ann", b"ready")], [])
    assert [meta[A.status] for meta in presence.list("room:1")[b"ann"]] == [b"ready"]
    presence.update("room:1", "ann", {A.status: "busy"}, pid=worker)
    assert diff(node) == ([(b"ann", b"busy")], [(b"ann", b"ready")])
    with pytest.raises(PresenceError, match="already"):
        presence.track("room:1", "ann", {}, pid=worker)
    node.exit(worker, A.kill)
    assert diff(node) == ([], [(b"ann", b"busy")])
    assert presence.list("room:1") == {}


def test_a_presence_is_taken_back(presence: Presence, node: Any) -> None:
    presence.track("room:1", "bob", {A.status: 1})
    assert diff(node) == ([(b"bob", 1)], [])
    presence.untrack("room:1", "bob")
    assert diff(node) == ([], [(b"bob", 1)])
    with pytest.raises(PresenceError, match="not tracked"):
        presence.update("room:1", "bob", {})
    presence.untrack("room:1", "bob")


def test_a_broken_connection_takes_no_presence_away(presence: Presence, phoenix: Phoenix, node: Any) -> None:
    worker = node.start(Quiet)
    presence.track("room:1", "ann", {A.status: 1}, pid=worker)
    assert diff(node) == ([(b"ann", 1)], [])
    node.disconnect(phoenix.beam.name)
    presence.track("room:1", "bob", {A.status: 2}, pid=worker)
    node.connect(phoenix.beam.name)
    assert diff(node) == ([(b"bob", 2)], [])  # and no leave before
    assert sorted(presence.list("room:1")) == [b"ann", b"bob"]


def test_a_tracker_that_is_started_anew_is_told_all(presence: Presence, tracker: Any, node: Any) -> None:
    worker = node.start(Quiet)
    presence.track("room:1", "ann", {A.status: 1}, pid=worker)
    assert diff(node) == ([(b"ann", 1)], [])
    tracker()
    assert diff(node) == ([(b"ann", 1)], [])
    assert list(presence.list("room:1")) == [b"ann"]


def test_what_elixir_tracks_is_known_here_and_told_to_who_watches(
    presence: Presence, phoenix: Phoenix, node: Any
) -> None:
    assert presence.watch("room:1") == {}
    track = """M:track(T, spawn(fun() -> receive stop -> ok end end), <<"room:1">>, <<"eve">>, #{status => 5}), ok"""
    phoenix.beam.eval(track, M=A["Elixir.Phoenix.Tracker"], T=TRACKER)
    message = Broadcast.of(node.receive(lambda message: type(message) is Struct, timeout=patience()))
    assert message is not None
    assert list(message.payload[A.joins]) == [b"eve"]
    assert [meta[A.status] for meta in presence.list("room:1")[b"eve"]] == [5]
    later = Presence(node, "MyApp.Presence")
    assert list(later.list("room:1")) == [b"eve"]


def test_changes_are_told_as_presence_diffs(presence: Presence, node: Any) -> None:
    def next_diff() -> tuple[Any, Any]:
        message = node.receive(lambda message: type(message) is Struct, timeout=patience())
        broadcast = Broadcast.of(message)
        assert broadcast is not None
        assert (broadcast.topic, broadcast.event) == ("room:1", "presence_diff")
        sides = (broadcast.payload[A.joins], broadcast.payload[A.leaves])
        return tuple({key: [m[A.status] for m in what[A.metas]] for key, what in side.items()} for side in sides)  # type: ignore[return-value]  # two

    worker = node.start(Quiet)
    presence.track("room:1", "ann", {A.status: 1}, pid=worker)
    assert list(presence.watch("room:1")) == [b"ann"]
    presence.track("room:1", "bob", {A.status: 2})
    assert next_diff() == ({b"bob": [2]}, {})
    presence.update("room:1", "bob", {A.status: 3})
    assert next_diff() == ({b"bob": [3]}, {b"bob": [2]})
    node.exit(worker, A.kill)
    assert next_diff() == ({}, {b"ann": [1]})


def test_a_node_without_the_tracker_is_an_error_that_says_so(presence: Presence, phoenix: Phoenix, node: Any) -> None:
    with pytest.raises(PresenceError, match="has no tracker"):
        Presence(node, "MyApp.Nobody").track("room:1", "ann")
    with pytest.raises(UsageError, match="metadata"):
        presence.track("room:1", "ann", {A.status: (1, 2)})
    node.disconnect(phoenix.beam.name)
    with pytest.raises(PresenceError, match="no node is connected"):
        Presence(node, "MyApp.Nobody").list("room:1")


# --- the document ------------------------------------------------------------------------------------
APP = """
{ok, _} = c:c("pubsub_peer"), {ok, _} = c:c("tracker_peer"),
pubsub_peer:start(pubsub_peer, 'Elixir.MyApp.PubSub', 1),
pubsub_peer:pretend('Elixir.Phoenix.PubSub', {pubsub_peer}, [{broadcast, 3}]),
tracker_peer:start(tracker_peer, 'Elixir.MyAppWeb.Presence', 'Elixir.MyApp.PubSub', self()),
io:format("app is up~n").
"""


def test_the_documents_programs_run(tmp_path: Path) -> None:
    for name in ("pubsub_peer.erl", "tracker_peer.erl"):
        (tmp_path / name).write_text((Path(__file__).parent / "beam_src" / name).read_text())
    with place(tmp_path) as here:
        here.start(["erl", "-name", "app@127.0.0.1", "-setcookie", "secret", "-noshell", "-eval", APP], "app is up")
        for block in blocks(ROOT / "docs" / "phoenix.md", "python"):
            ran = here.run([sys.executable, "-c", block.text])
            assert (ran.returncode, ran.stderr) == (0, ""), f"phoenix.md:{block.line}\n{ran.stderr}"
        example = ROOT / "examples" / "18_phoenix_pubsub.py"
        ran = here.run([sys.executable, str(example)])
        assert (ran.stdout.strip(), ran.stderr) == (opening_prints(example), "")
