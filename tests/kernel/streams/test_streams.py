"""Law: a generator runs by the demand of who reads it, and is closed when nobody does any more, whoever ends it."""

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import gevent
import pytest

from pyerlnode import (
    A,
    EncodeError,
    Exit,
    GenServer,
    Node,
    Reply,
    Stream,
    Struct,
    Throw,
    UsageError,
    decode,
    encode,
    receive,
    streamed,
)
from pyerlnode.errors import CallTimeout, NodeDown, NoProc, RemoteError, RemoteExit, RemoteThrow, ServerExit
from pyerlnode.kernel.streams import server
from pyerlnode.kernel.streams.server import StreamServer
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

MAKER, READER = "stream_maker@127.0.0.1", "stream_reader@127.0.0.1"


class Maker:
    """What the generators of a test have done."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.closed = 0

    def numbers(self, least: int = 0) -> Iterator[int]:
        try:
            for n in count(least):
                self.made.append(n)
                yield n
        finally:
            self.closed += 1

    def stuck(self) -> Iterator[int]:
        try:
            yield 1
            gevent.sleep(3600)
        finally:
            self.closed += 1


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def there(maker: Maker) -> Iterator[Node]:
    with Node(MAKER, cookie="c", epmd="none") as node:
        node.export("m", {"numbers": maker.numbers, "stuck": maker.stuck})
        yield node
        wait_for(lambda: streams(node) == 0)


@pytest.fixture(params=["remote", "local"])
def here(there: Node, request: Any) -> Iterator[Node]:
    if request.param == "local":
        yield there
        return
    with Node(READER, cookie="c", epmd="none", addresses={MAKER: ("127.0.0.1", there.port)}) as node:
        yield node


def streams(node: Node) -> int:
    return sum(type(process.handler) is StreamServer for process in node.system.processes.values())


def ask(node: Node, function: str, *args: Any) -> Any:
    return node.rpc(MAKER, "m", function, args)


def test_it_is_read_to_its_end(here: Node, there: Node) -> None:
    there.export("m", lambda: (n for n in range(300)), "some")
    stream = ask(here, "some")
    assert isinstance(stream, Stream)
    assert list(here.stream(stream)) == list(range(300))
    assert list(here.stream(ask(here, "some"), demand=1)) == list(range(300))


def test_one_that_gives_nothing_is_empty(here: Node, there: Node) -> None:
    there.export("m", lambda: (n for n in ()), "none")
    assert list(here.stream(ask(here, "none"))) == []


def test_nothing_runs_before_it_is_read_and_no_more_than_is_asked_for(here: Node, maker: Maker) -> None:
    stream = ask(here, "numbers")
    items = here.stream(stream, demand=5)
    assert maker.made == []
    assert next(items) == 0
    wait_for(lambda: maker.made == [0, 1, 2, 3, 4])
    assert list(islice(items, 2)) == [1, 2]
    items.close()
    wait_for(lambda: maker.closed == 1)
    assert len(maker.made) <= 3 + 5


def test_one_who_stops_closes_it_also_where_it_waits(here: Node, maker: Maker) -> None:
    items = here.stream(ask(here, "stuck"))
    assert next(items) == 1
    items.close()
    wait_for(lambda: maker.closed == 1)


def test_the_end_of_the_reader_closes_it(here: Node, maker: Maker) -> None:
    stream = ask(here, "numbers")

    def read() -> None:
        for _ in here.stream(stream, demand=3):
            receive()

    pid = here.spawn(read)
    wait_for(lambda: maker.made)
    here.exit(pid, A.kill)
    wait_for(lambda: maker.closed == 1)


def test_the_end_of_a_caller_that_has_not_read_ends_it(here: Node, there: Node) -> None:
    pid = here.spawn(lambda: (ask(here, "numbers"), receive()))
    wait_for(lambda: streams(there) == 1)
    here.exit(pid, A.kill)
    wait_for(lambda: streams(there) == 0)


def test_a_stream_may_be_handed_on(here: Node, maker: Maker) -> None:
    me = here.self_()

    def call() -> None:
        here.send(me, ask(here, "numbers"))
        receive()

    first = here.spawn(call)
    items = here.stream(here.receive(timeout=patience()))
    assert next(items) == 0
    here.exit(first, A.kill)
    assert next(items) == 1
    items.close()
    wait_for(lambda: maker.closed == 1)


def test_the_loss_of_the_connection_ends_both_sides(there: Node, maker: Maker) -> None:
    with Node(READER, cookie="c", epmd="none", addresses={MAKER: ("127.0.0.1", there.port)}) as here:
        items = here.stream(ask(here, "stuck"))
        unread = ask(here, "numbers")
        assert next(items) == 1
        here.disconnect(MAKER)
        with pytest.raises(NodeDown):
            next(items)
        wait_for(lambda: maker.closed == 1)
        wait_for(lambda: streams(there) == 0)
        with pytest.raises(NoProc):
            next(here.stream(unread))
        assert not here.system.aliases
        assert not here.system.peer(A[MAKER]).monitors


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(ValueError("no"), RemoteError), (Exit(A.oops), RemoteExit), (Throw(A.ball), RemoteThrow)],
    ids=["error", "exit", "throw"],
)
def test_what_it_raises_comes_behind_its_items(here: Node, there: Node, raised: Exception, expected: Any) -> None:
    def fails() -> Iterator[int]:
        yield 1
        yield 2
        raise raised

    there.export("m", fails)
    items = here.stream(ask(here, "fails"))
    assert list(islice(items, 2)) == [1, 2]
    with pytest.raises(expected) as caught:
        next(items)
    if expected is RemoteError:
        assert caught.value.reason == (A.python_error, b"ValueError", b"no")
        assert "fails" in str(caught.value.stack)


def test_an_item_that_is_no_term_is_an_error_of_the_stream(there: Node, maker: Maker) -> None:
    def objects() -> Iterator[Any]:
        try:
            yield 1
            yield object()
            yield 3
        finally:
            maker.closed += 1

    there.export("m", objects)
    with Node(READER, cookie="c", epmd="none", addresses={MAKER: ("127.0.0.1", there.port)}) as here:
        items = here.stream(ask(here, "objects"))
        assert next(items) == 1
        with pytest.raises(RemoteError, match="EncodeError"):
            next(items)
        wait_for(lambda: maker.closed == 1)


def test_it_is_read_once(here: Node, there: Node) -> None:
    there.export("m", lambda: (n for n in range(3)), "some")
    stream = ask(here, "some")
    assert list(here.stream(stream)) == [0, 1, 2]
    with pytest.raises(NoProc):
        list(here.stream(stream))
    other = ask(here, "numbers")
    items = here.stream(other)
    assert next(items) == 0
    with pytest.raises(UsageError, match="somebody else"):
        next(here.stream(other))
    items.close()


def test_whoever_waits_too_long_is_told_and_may_go_on(here: Node, maker: Maker) -> None:
    items = here.stream(ask(here, "stuck"), timeout=0.05)
    assert next(items) == 1
    with pytest.raises(CallTimeout):
        next(items)
    wait_for(lambda: maker.closed == 1)


def test_a_stream_that_is_killed_closes_its_generator_and_tells_the_reader(here: Node, maker: Maker) -> None:
    stream = ask(here, "stuck")
    items = here.stream(stream)
    assert next(items) == 1
    here.exit(stream.pid, A.kill)
    with pytest.raises(ServerExit):
        next(items)
    wait_for(lambda: maker.closed == 1)


def test_the_end_of_the_process_that_runs_it_is_told(here: Node, there: Node, maker: Maker) -> None:
    items = here.stream(ask(here, "stuck"))
    assert next(items) == 1
    [body] = [p for p in there.system.processes.values() if "_pull" in str(p.initial_call())]
    body.exit_signal(there.self_(), A.oops)
    with pytest.raises(RemoteExit):
        next(items)
    wait_for(lambda: maker.closed == 1)


def test_a_server_answers_with_one(here: Node, there: Node, maker: Maker) -> None:
    class Table(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            return Reply((A.ok, streamed(maker.numbers(request), from_, demand=2)))

    pid = there.start(Table)
    tag, stream = here.call(pid, 7)
    assert (tag, stream.demand) == (A.ok, 2)
    items = here.stream(stream)
    assert list(islice(items, 3)) == [7, 8, 9]
    items.close()
    wait_for(lambda: maker.closed == 1)


def test_there_are_so_many_and_no_more(there: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST", 2)
    kept = [ask(there, "numbers") for _ in range(2)]
    with pytest.raises(RemoteError, match="system_limit"):
        ask(there, "numbers")
    for stream in kept:
        there.exit(stream.pid, A.kill)
    wait_for(lambda: streams(there) == 0)
    next(there.stream(ask(there, "numbers")))


def test_a_call_that_nobody_waits_for_gives_none(here: Node, there: Node) -> None:
    here.erpc.cast(MAKER, "m", "numbers", [])
    here.spawn_on(MAKER, "m", "numbers", [])
    request = here.erpc.send_request(MAKER, "m", "stuck", [])
    stream = here.erpc.receive_response(request, patience())
    assert streams(there) == 1
    for _ in here.stream(stream):
        break


def test_it_takes_what_it_does_not_know_and_goes_on(here: Node) -> None:
    stream = ask(here, "numbers")
    ask_, close = A["$pyerlnode_ask"], A["$pyerlnode_close"]
    for message in (
        (ask_, 1, 2), (ask_, (stream.pid, 1), 2), (ask_, (here.self_(), here.system.new_ref()), -1), (close, 1),
        (ask_, (here.self_(), here.system.new_ref()), True, 3), A.item, (A.item, 1), (A.DOWN, 1, 2, 3, 4), [], b"",
    ):  # fmt: skip
        here.send(stream.pid, message)
    items = here.stream(stream)
    assert next(items) == 0
    items.close()


@pytest.mark.parametrize("value", [(n for n in ()), 3, None, Struct(A.x, {})])
def test_what_is_no_stream_is_not_read(there: Node, value: Any) -> None:
    with pytest.raises(UsageError):
        next(there.stream(value))
    with pytest.raises(UsageError):
        next(there.stream(Stream(there.self_()), demand=0))


def test_its_term_is_a_struct_that_goes_round(there: Node) -> None:
    stream = Stream(there.self_(), 4)
    assert decode(encode(stream)) == stream
    strange = Struct(A["Elixir.Pyerlnode.Stream"], {A.pid: 1, A.demand: 2})
    assert decode(encode(strange)) == strange
    with pytest.raises(EncodeError):
        encode(n for n in ())


def test_a_node_that_stops_closes_its_generators(maker: Maker) -> None:
    with Node(MAKER, cookie="c", epmd="none") as node:
        node.export("m", maker.numbers)
        items = node.stream(ask(node, "numbers"))
        next(items)
    wait_for(lambda: maker.closed == 1)
