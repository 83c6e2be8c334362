"""EPMD: bytes as OTP's daemon exchanges them, and the rules of its register."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyerlnode.dist import epmd
from pyerlnode.dist.epmd import (
    Close,
    Effect,
    EpmdServerCore,
    NodeEntry,
    PortReply,
    Send,
    Shutdown,
    alive_request,
    decode_alive_reply,
    decode_names_reply,
    decode_port_reply,
    kill_request,
    names_request,
    port_please_request,
)
from pyerlnode.errors import ProtocolError, UsageError

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text())["epmd"]
CLOCK = 0x6B02BDDE
APP = NodeEntry("app", 5555)


class Daemon:
    """The register with a client for every request."""

    def __init__(self, **options: Any) -> None:
        self.core = EpmdServerCore(14369, **options)
        self.last = 0

    def connect(self, local: bool = True, now: float = 0.0) -> tuple[int, list[Effect]]:
        self.last += 1
        return self.last, self.core.connected(self.last, local, now)

    def ask(self, request: bytes, local: bool = True, clock: int = CLOCK) -> tuple[int, bytes, bool]:
        """The connection, what was answered, and whether it was closed."""
        connection, effects = self.connect(local)
        assert effects == []
        effects = self.core.receive_data(connection, request, 0.0, clock)
        sent = [e.data for e in effects if isinstance(e, Send) and e.connection == connection]
        assert len(sent) <= 1, "an answer is one piece"
        return connection, b"".join(sent), Close(connection) in effects


def creation_of(answer: bytes) -> int:
    reply = decode_alive_reply(answer)
    assert reply is not None
    assert reply[0]
    return reply[1]


# --- golden bytes ------------------------------------------------------------------------------
def test_requests_are_those_of_the_captures() -> None:
    by_name = {v["what"].split(" (")[0]: bytes.fromhex(v["request"]) for v in VECTORS}
    assert alive_request(NodeEntry("pyx", 5555, 72)) == by_name["ALIVE2 hidden, versions 6..5"]
    assert alive_request(NodeEntry("pyex", 5558, 77, 0, 6, 6, b"abc")) == by_name["ALIVE2 with extra field 3 bytes"]
    assert port_please_request("pyx") == by_name["PORT_PLEASE2 pyx"]
    assert names_request() == by_name["NAMES"]
    assert kill_request() == by_name["KILL refused"]


def test_the_server_answers_as_otps_daemon_did() -> None:
    daemon = Daemon()
    for text, port in (("r25", 44431), ("r29", 34743)):
        daemon.ask(alive_request(NodeEntry(text, port)))
    for vector in VECTORS:
        if vector["what"].startswith("DUMP"):
            continue  # its file descriptors are those of that run
        _, answer, _ = daemon.ask(bytes.fromhex(vector["request"]), clock=CLOCK)
        expected = bytes.fromhex(vector["reply"])
        if vector["what"].startswith("ALIVE2 old node"):
            assert (answer[:2], len(answer)) == (expected[:2], len(expected))
            assert 1 <= int.from_bytes(answer[2:], "big") <= 3
        elif vector["what"] == "NAMES":
            assert answer == (14369).to_bytes(4, "big") + expected[4:]
        else:
            assert answer == expected, vector["what"]


def test_dump_has_the_form_of_otps_daemon() -> None:
    daemon = Daemon()
    first, _, _ = daemon.ask(alive_request(NodeEntry("py1", 45841)))
    daemon.core.closed(first)
    daemon.ask(alive_request(NodeEntry("pyx", 5555)))
    _, answer, closed = daemon.ask(b"\0\1d")
    assert answer[4:] == (
        b"active name     <pyx> at port 5555, fd = 2\n\0old/unused name <py1>, port = 45841, fd = 1 \n\0"
    )
    assert closed


# --- replies, whole and in pieces --------------------------------------------------------------
@pytest.mark.parametrize("vector", [v for v in VECTORS if v["what"].startswith("ALIVE2")])
def test_an_alive_reply_is_incomplete_until_its_last_byte(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["reply"])
    assert [decode_alive_reply(data[:i]) for i in range(len(data))] == [None] * len(data)
    assert decode_alive_reply(data) is not None


def test_a_refusal_is_told_from_a_creation() -> None:
    assert decode_alive_reply(bytes.fromhex("760100000063")) == (False, 99)
    assert decode_alive_reply(bytes.fromhex("76006b02bdde")) == (True, CLOCK)


def test_a_port_reply_is_incomplete_until_its_last_byte() -> None:
    data = bytes.fromhex("770015b64d00000600060004707965780003616263")
    assert [decode_port_reply(data[:i]) for i in range(len(data))] == [None] * len(data)
    assert decode_port_reply(data) == PortReply(NodeEntry("pyex", 5558, 77, 0, 6, 6, b"abc"))
    assert decode_port_reply(b"w\1") == PortReply(None)


def test_names_are_read_and_lines_of_another_form_are_left_out() -> None:
    data = b"\0\0\x11\x11name a at port 1\nname b c at port 2\nsomething else\n"
    assert decode_names_reply(data) == (4369, [("a", 1), ("b c", 2)])
    with pytest.raises(ProtocolError):
        decode_names_reply(b"\0\0")


def test_another_server_on_the_port_is_a_protocol_error() -> None:
    for decode in (decode_alive_reply, decode_port_reply):
        with pytest.raises(ProtocolError):
            decode(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("entry", [NodeEntry("", 1), NodeEntry("a" * 256, 1), NodeEntry("a", 1, extra=b"x" * 1021)])
def test_an_entry_that_epmd_would_not_take_is_refused_at_home(entry: NodeEntry) -> None:
    with pytest.raises(UsageError):
        alive_request(entry)


# --- rules of the register ---------------------------------------------------------------------
def test_a_name_is_registered_while_its_connection_is_open() -> None:
    daemon = Daemon()
    connection, answer, closed = daemon.ask(alive_request(APP))
    assert (creation_of(answer), closed) == (CLOCK, False)
    assert decode_port_reply(daemon.ask(port_please_request("app"))[1]) == PortReply(APP)
    daemon.core.closed(connection)
    assert daemon.ask(port_please_request("app"))[1] == b"w\1"


def test_any_byte_on_the_connection_of_a_registration_ends_it() -> None:
    daemon = Daemon()
    connection, _, _ = daemon.ask(alive_request(APP))
    assert daemon.core.receive_data(connection, b"\0", 1.0, CLOCK) == [Close(connection)]
    assert daemon.core.names == {}


def test_a_taken_name_is_refused_and_the_connection_stays_open() -> None:
    daemon = Daemon()
    daemon.ask(alive_request(APP))
    _, answer, closed = daemon.ask(alive_request(APP))
    assert decode_alive_reply(answer) == (False, 99)
    assert not closed
    assert daemon.core.names == {"app": 5555}


def test_a_name_that_comes_back_gets_the_next_creation() -> None:
    daemon = Daemon()
    for expected in (CLOCK, CLOCK + 1, CLOCK + 2):
        connection, answer, _ = daemon.ask(alive_request(APP), clock=CLOCK)
        assert creation_of(answer) == expected
        daemon.core.closed(connection)


def test_creations_leave_0_to_3_out() -> None:
    daemon = Daemon()
    connection, answer, _ = daemon.ask(alive_request(APP), clock=0)
    assert creation_of(answer) == 4
    daemon.core.closed(connection)
    connection, answer, _ = daemon.ask(alive_request(NodeEntry("b", 1)), clock=0xFFFFFFFF)
    daemon.core.closed(connection)
    assert creation_of(daemon.ask(alive_request(NodeEntry("b", 1)))[1]) == 4


def test_an_old_node_gets_a_creation_from_1_to_3_that_goes_round() -> None:
    daemon = Daemon()
    seen = []
    for _ in range(4):
        connection, answer, _ = daemon.ask(alive_request(NodeEntry("old", 1, highest=5)))
        assert answer[0] == epmd.ALIVE2_REPLY
        seen.append(creation_of(answer))
        daemon.core.closed(connection)
    assert set(seen) == {1, 2, 3}
    assert seen[0] == seen[3]


def test_the_names_of_the_dead_are_remembered_up_to_a_bound() -> None:
    daemon = Daemon()
    daemon.core.MAX_OLD = 2
    for name in ("a", "b", "c"):
        connection, _, _ = daemon.ask(alive_request(NodeEntry(name, 1)))
        daemon.core.closed(connection)
    assert creation_of(daemon.ask(alive_request(NodeEntry("c", 1)))[1]) == CLOCK + 1
    assert creation_of(daemon.ask(alive_request(NodeEntry("a", 1)))[1]) == CLOCK


def test_names_come_newest_first() -> None:
    daemon = Daemon()
    for name in ("a", "b"):
        daemon.ask(alive_request(NodeEntry(name, 1)))
    assert decode_names_reply(daemon.ask(names_request())[1]) == (14369, [("b", 1), ("a", 1)])


@pytest.mark.parametrize("request_", [port_please_request("x"), names_request(), b"\0\1d", kill_request()])
def test_every_request_but_alive_is_answered_and_closed(request_: bytes) -> None:
    _, answer, closed = Daemon().ask(request_)
    assert answer
    assert closed


@pytest.mark.parametrize("request_", [alive_request(APP), b"\0\1d", kill_request(), b"\0\4sapp"])
def test_what_is_for_this_host_only_is_closed_without_an_answer_for_others(request_: bytes) -> None:
    assert Daemon(relaxed=True).ask(request_, local=False)[1:] == (b"", True)


@pytest.mark.parametrize("request_", [b"\0\0", b"\0\1?", b"\0\1nn", b"\x0b\xf5"])
def test_nonsense_is_closed_without_an_answer(request_: bytes) -> None:
    assert Daemon().ask(request_)[1:] == (b"", True)


@pytest.mark.parametrize(
    "name", [b"", b"\xff\xfe", b"a\0b", b"a" * 256], ids=["empty", "not UTF-8", "NUL", "256 characters"]
)
def test_a_malformed_name_is_refused(name: bytes) -> None:
    body = bytes([epmd.ALIVE2]) + b"\0\1M\0\0\6\0\5" + len(name).to_bytes(2, "big") + name + b"\0\0"
    _, answer, _ = Daemon().ask(len(body).to_bytes(2, "big") + body)
    assert decode_alive_reply(answer) == (False, 99)


def test_names_of_255_characters_of_any_script_are_registered_and_found() -> None:
    daemon = Daemon()
    for name in ("é" * 255, "a" * 255, "世" * 200):
        entry = NodeEntry(name, 1)
        creation_of(daemon.ask(alive_request(entry))[1])
        assert decode_port_reply(daemon.ask(port_please_request(name))[1]) == PortReply(entry)


def test_a_nul_after_the_name_of_a_look_up_is_tolerated() -> None:
    daemon = Daemon()
    daemon.ask(alive_request(APP))
    assert decode_port_reply(daemon.ask(b"\0\5zapp\0")[1]) == PortReply(APP)
    assert daemon.ask(port_please_request("app@host"))[1] == b"w\1"


def test_kill_is_refused_while_names_are_registered() -> None:
    daemon = Daemon()
    connection, _, _ = daemon.ask(alive_request(APP))
    assert daemon.ask(kill_request())[1] == b"NO"
    daemon.core.closed(connection)
    client, _ = daemon.connect()
    effects = daemon.core.receive_data(client, kill_request(), 0.0, CLOCK)
    assert effects == [Send(client, b"OK"), Close(client), Shutdown()]


def test_kill_is_granted_at_once_in_relaxed_mode() -> None:
    daemon = Daemon(relaxed=True)
    daemon.ask(alive_request(APP))
    assert daemon.ask(kill_request())[1] == b"OK"


def test_stop_is_tolerated_and_obeyed_in_relaxed_mode_only() -> None:
    strict, relaxed = Daemon(), Daemon(relaxed=True)
    for daemon in (strict, relaxed):
        daemon.ask(alive_request(APP))
    assert strict.ask(b"\0\4sapp")[1:] == (b"", True)
    assert relaxed.ask(b"\0\4sapp")[1:] == (b"STOPPED", True)
    assert relaxed.ask(b"\0\4sapp")[1:] == (b"NOEXIST", True)
    assert list(strict.core.names) == ["app"]
    assert relaxed.core.names == {}


def test_a_request_may_come_byte_by_byte() -> None:
    daemon = Daemon()
    connection, _ = daemon.connect()
    effects = [e for i in alive_request(APP) for e in daemon.core.receive_data(connection, bytes([i]), 0.0, CLOCK)]
    assert effects == [Send(connection, b"v\0" + CLOCK.to_bytes(4, "big"))]


def test_a_silent_or_slow_client_is_closed_and_a_registration_never() -> None:
    daemon = Daemon(idle_time=60.0)
    silent, _ = daemon.connect(now=0.0)
    slow, _ = daemon.connect(now=10.0)
    node, _ = daemon.connect(now=0.0)
    daemon.core.receive_data(node, alive_request(APP), 1.0, CLOCK)
    assert daemon.core.receive_data(slow, b"\0", 69.0, CLOCK) == []
    assert daemon.core.next_deadline() == 60.0
    assert daemon.core.handle_timer(59.9) == []
    assert daemon.core.handle_timer(60.0) == [Close(silent)]
    assert daemon.core.handle_timer(1e9) == [Close(slow)]
    assert daemon.core.next_deadline() is None
    assert daemon.core.names == {"app": 5555}


def test_above_the_bound_the_oldest_client_makes_room_and_no_registration_does() -> None:
    daemon = Daemon(max_connections=2)
    daemon.ask(alive_request(APP))
    first, none = daemon.connect()
    assert none == []
    daemon.connect()
    _, effects = daemon.connect()
    assert effects == [Close(first)]
    assert daemon.core.names == {"app": 5555}


@given(st.lists(st.binary(max_size=40), max_size=4), st.booleans())
def test_any_bytes_are_answered_or_closed(pieces: list[bytes], prefixed: bool) -> None:
    daemon = Daemon(relaxed=True)
    daemon.ask(alive_request(APP))
    for piece in pieces:
        daemon.ask(len(piece).to_bytes(2, "big") + piece if prefixed else piece)
