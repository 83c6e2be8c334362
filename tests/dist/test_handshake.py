"""The two handshake machines against each other, against captures of OTP, and against nonsense."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyerlnode.dist.flags import HIDDEN_FLAGS, MANDATORY_25, VISIBLE_FLAGS, DistFlags
from pyerlnode.dist.handshake import (
    Acceptor,
    AliveConfirmed,
    Established,
    Initiator,
    OwnIdentity,
    PeerInfo,
    State,
    Status,
    simultaneous,
)
from pyerlnode.dist.handshake_messages import ChallengeReply, SendName, StatusMessage, digest
from pyerlnode.errors import CookieError, HandshakeError, UsageError

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text())
CAPTURES = VECTORS["connections"]["captures"]
PY = OwnIdentity("py@127.0.0.1", 7, HIDDEN_FLAGS)
APP = OwnIdentity("app@127.0.0.1", 9, VISIBLE_FLAGS)
OLD = HIDDEN_FLAGS & ~DistFlags.HANDSHAKE_23 & ~DistFlags.MANDATORY_25_DIGEST


def initiator(own: OwnIdentity = PY, peer: str = APP.name, cookie: str = "secret", **options: Any) -> Initiator:
    return Initiator(own, peer, cookie, 12345, **options)


def acceptor(own: OwnIdentity = APP, status: Status = Status.OK, cookie: str = "secret", **options: Any) -> Acceptor:
    return Acceptor(own, lambda _name, _flags: status, lambda _name: cookie, 54321, **options)


def whole(data: bytes) -> list[bytes]:
    return [data] if data else []


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


both_ways = pytest.mark.parametrize("cut", [whole, bytewise])


def shake(a: Initiator, b: Acceptor, cut: Callable[[bytes], list[bytes]] = whole) -> tuple[PeerInfo, PeerInfo]:
    """Carries bytes until both are done; what each found out."""
    done: dict[Any, PeerInfo] = {}
    for _ in range(10):
        for sender, receiver in ((a, b), (b, a)):
            for piece in cut(sender.data_to_send()):
                receiver.receive_data(piece)
            while event := receiver.next_event():
                if isinstance(event, AliveConfirmed):
                    b.confirm()
                else:
                    done[receiver] = event.peer
    return done[a], done[b]


def test_each_message_is_to_be_written_by_itself() -> None:
    """A BEAM writes its status and its challenge apart, and Wireshark reads one message of a segment."""
    a, b = initiator(), acceptor()
    (name,) = a.messages_to_send()
    b.receive_data(name)
    status, challenge = b.messages_to_send()
    assert (status, challenge[2:3]) == (b"\0\3sok", b"N")
    assert b.data_to_send() == b""


@both_ways
@pytest.mark.parametrize("length_bytes", [2, 4])
def test_both_sides_learn_the_same(cut: Callable[[bytes], list[bytes]], length_bytes: int) -> None:
    at_py, at_app = shake(initiator(length_bytes=length_bytes), acceptor(length_bytes=length_bytes), cut)
    assert at_py == PeerInfo(APP.name, 9, HIDDEN_FLAGS, VISIBLE_FLAGS, False, PY.name, 7)
    assert at_app == PeerInfo(PY.name, 7, HIDDEN_FLAGS, HIDDEN_FLAGS, True, APP.name, 9)


@both_ways
def test_bytes_after_the_handshake_are_left_over_for_the_connection(cut: Callable[[bytes], list[bytes]]) -> None:
    a, b = initiator(), acceptor()
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    for piece in cut(a.data_to_send() + b"\0\0\0\0first"):
        b.receive_data(piece)
    for piece in cut(b.data_to_send() + b"\0\0\0\0"):
        a.receive_data(piece)
    assert isinstance(a.next_event(), Established)
    assert isinstance(b.next_event(), Established)
    assert (a.leftover(), b.leftover()) == (b"\0\0\0\0", b"\0\0\0\0first")


@both_ways
def test_version_5_initiator_sends_the_rest_of_its_flags_when_it_is_answered_with_version_6(
    cut: Callable[[bytes], list[bytes]],
) -> None:
    at_py, at_app = shake(initiator(version=5), acceptor(), cut)
    assert at_app == PeerInfo(PY.name, 7, HIDDEN_FLAGS, HIDDEN_FLAGS, True, APP.name, 9)
    assert at_py.flags == HIDDEN_FLAGS


@both_ways
def test_version_5_on_both_sides_uses_the_low_flags_and_no_creation(cut: Callable[[bytes], list[bytes]]) -> None:
    none = DistFlags(0)
    a = initiator(replace(PY, flags=OLD), version=5, required=none)
    at_py, at_app = shake(a, acceptor(replace(APP, flags=OLD), required=none), cut)
    assert (at_py.creation, at_app.creation) == (0, 0)
    assert at_py.flags == at_app.flags == OLD & DistFlags(0xFFFFFFFF)


def test_version_5_peer_without_the_mandatory_high_flags_is_closed_after_the_complement() -> None:
    a = initiator(replace(PY, flags=HIDDEN_FLAGS & ~DistFlags.V4_NC), version=5)
    with pytest.raises(HandshakeError, match="lacks mandatory distribution flags \\(V4_NC\\)"):
        shake(a, acceptor())


def test_acceptor_refuses_a_peer_that_lacks_a_mandatory_flag_and_names_it() -> None:
    a, b = initiator(replace(PY, flags=HIDDEN_FLAGS & ~DistFlags.UNLINK_ID)), acceptor()
    with pytest.raises(HandshakeError, match=r"py@127.0.0.1 lacks .*\(UNLINK_ID\)") as caught:
        b.receive_data(a.data_to_send())
    assert caught.value.reason == "not_allowed"
    with pytest.raises(HandshakeError, match="does not allow") as caught:
        a.receive_data(b.data_to_send())
    assert caught.value.reason == "not_allowed"


def test_initiator_refuses_a_peer_that_lacks_a_mandatory_flag() -> None:
    a, b = initiator(), acceptor(replace(APP, flags=VISIBLE_FLAGS & ~DistFlags.V4_NC))
    with pytest.raises(HandshakeError, match=r"app@127.0.0.1 lacks .*\(V4_NC\)"):
        shake(a, b)


def test_the_digest_of_the_mandatory_flags_of_otp_25_stands_for_them() -> None:
    own = replace(PY, flags=HIDDEN_FLAGS & ~MANDATORY_25)
    _, at_app = shake(initiator(own), acceptor())
    assert at_app.their_flags == HIDDEN_FLAGS
    assert at_app.flags == HIDDEN_FLAGS


@pytest.mark.parametrize("status", [Status.OK, Status.OK_SIMULTANEOUS])
def test_ok_and_ok_simultaneous_go_on(status: Status) -> None:
    assert shake(initiator(), acceptor(status=status))[0].name == APP.name


@pytest.mark.parametrize("status", [Status.NOK, Status.NOT_ALLOWED])
def test_nok_and_not_allowed_end_both_sides(status: Status) -> None:
    a, b = initiator(), acceptor(status=status)
    with pytest.raises(HandshakeError) as at_app:
        b.receive_data(a.data_to_send())
    with pytest.raises(HandshakeError) as at_py:
        a.receive_data(b.data_to_send())
    assert at_app.value.reason == at_py.value.reason == status.value
    assert a.state is b.state is State.FAILED
    assert a.next_deadline() is None


@both_ways
def test_alive_sends_the_ack_only_after_the_old_connection_is_gone(cut: Callable[[bytes], list[bytes]]) -> None:
    a, b = initiator(), acceptor(status=Status.ALIVE)
    for _ in range(3):
        for piece in cut(a.data_to_send()):
            b.receive_data(piece)
        for piece in cut(b.data_to_send()):
            a.receive_data(piece)
    assert b.next_event() == AliveConfirmed(PY.name)
    assert b.state is State.REPLACING
    assert b.data_to_send() == b""
    assert a.next_event() is None
    b.confirm()
    a.receive_data(b.data_to_send())
    assert isinstance(a.next_event(), Established)
    assert isinstance(b.next_event(), Established)


def test_alive_is_answered_with_false_when_the_attempt_is_no_longer_wanted() -> None:
    a, b = initiator(still_wanted=lambda: False), acceptor(status=Status.ALIVE)
    b.receive_data(a.data_to_send())
    with pytest.raises(HandshakeError) as at_py:
        a.receive_data(b.data_to_send())
    with pytest.raises(HandshakeError) as at_app:
        b.receive_data(a.data_to_send())
    assert at_py.value.reason == at_app.value.reason == "nok"


def test_confirm_answers_alive_confirmed_only() -> None:
    with pytest.raises(UsageError):
        acceptor().confirm()


@both_ways
def test_a_nameless_initiator_is_given_a_name_and_is_hidden(cut: Callable[[bytes], list[bytes]]) -> None:
    own = OwnIdentity("undefined@127.0.0.1", 7, VISIBLE_FLAGS | DistFlags.NAME_ME)
    b = acceptor(give_name=lambda host: (f"x1@{host}", 77))
    at_py, at_app = shake(initiator(own), b, cut)
    assert (at_py.own_name, at_py.own_creation) == ("x1@127.0.0.1", 77)
    assert (at_app.name, at_app.creation, at_app.hidden) == ("x1@127.0.0.1", 77, True)
    assert DistFlags.NAME_ME in at_py.their_flags
    assert DistFlags.PUBLISHED not in at_py.their_flags


def test_an_acceptor_that_gives_no_names_does_not_allow_a_nameless_peer() -> None:
    own = OwnIdentity("127.0.0.1", 0, HIDDEN_FLAGS | DistFlags.NAME_ME)
    a, b = initiator(own), acceptor()
    with pytest.raises(HandshakeError, match="gives none"):
        b.receive_data(a.data_to_send())
    with pytest.raises(HandshakeError) as caught:
        a.receive_data(b.data_to_send())
    assert caught.value.reason == "not_allowed"


def test_a_whole_name_with_the_wish_for_one_is_refused() -> None:
    hello = SendName(6, HIDDEN_FLAGS | DistFlags.NAME_ME, 0, "x@h").encode()
    with pytest.raises(HandshakeError, match="whole name"):
        acceptor().receive_data(len(hello).to_bytes(2, "big") + hello)


@pytest.mark.parametrize("host", ["ho\nst", "ho st", "h\x1b[2Jost", ""])
def test_the_wish_for_a_name_on_a_host_that_no_line_can_show_is_refused(host: str) -> None:
    hello = SendName(6, HIDDEN_FLAGS | DistFlags.NAME_ME, 0, host).encode()
    with pytest.raises(HandshakeError) as caught:
        acceptor(give_name=lambda host: (f"x1@{host}", 77)).receive_data(len(hello).to_bytes(2, "big") + hello)
    assert str(caught.value).isprintable()


def test_a_name_that_nobody_asked_for_is_refused() -> None:
    given = StatusMessage(Status.NAMED, "x@h", 5).encode()
    with pytest.raises(HandshakeError) as caught:
        initiator().receive_data(len(given).to_bytes(2, "big") + given)
    assert caught.value.reason == "protocol"


def test_acceptor_with_another_cookie_closes_without_a_byte() -> None:
    a, b = initiator(cookie="other"), acceptor()
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    with pytest.raises(HandshakeError, match="its cookie differs") as caught:
        b.receive_data(a.data_to_send())
    assert caught.value.reason == "bad_cookie"
    assert b.data_to_send() == b""
    assert b.next_event() is None
    with pytest.raises(HandshakeError, match="give cookie=") as caught:
        a.receive_eof()
    assert caught.value.reason == "bad_cookie"
    assert "other" not in str(caught.value)


def test_initiator_refuses_an_ack_that_was_signed_with_another_cookie() -> None:
    a = initiator()
    b = acceptor()
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    with pytest.raises(HandshakeError) as caught:
        a.receive_data(b"\0\x11a" + digest("other", 12345))
    assert caught.value.reason == "bad_cookie"


def test_initiator_refuses_another_node_than_the_one_it_dialled() -> None:
    with pytest.raises(HandshakeError, match=r"the node that answered for app@127.0.0.1 is 'b@127.0.0.1'"):
        shake(initiator(), acceptor(replace(APP, name="b@127.0.0.1")))


def test_acceptor_does_not_let_in_a_peer_with_its_own_name() -> None:
    with pytest.raises(HandshakeError, match="has the name of this node"):
        shake(initiator(replace(PY, name=APP.name)), acceptor())


@pytest.mark.parametrize("name", ["nohost", "@h", "a@", "a@b@c", "a b@c", "a\n@c"])
def test_acceptor_closes_before_the_status_when_the_name_is_none(name: str) -> None:
    hello = SendName(6, HIDDEN_FLAGS, 1, name).encode()
    b = acceptor()
    with pytest.raises(HandshakeError) as caught:
        b.receive_data(len(hello).to_bytes(2, "big") + hello)
    assert caught.value.reason == "protocol"
    assert b.data_to_send() == b""


def test_decide_hears_the_name_and_the_whole_flags_of_the_peer() -> None:
    heard: list[tuple[str, DistFlags]] = []

    def decide(name: str, flags: DistFlags) -> Status:
        heard.append((name, flags))
        return Status.OK

    shake(initiator(), Acceptor(APP, decide, lambda _name: "secret", 1))
    assert heard == [(PY.name, HIDDEN_FLAGS)]


def test_the_cookie_is_the_one_for_the_peer() -> None:
    asked: list[str] = []

    def cookie_for(name: str) -> str:
        asked.append(name)
        return "secret"

    shake(initiator(), Acceptor(APP, lambda *_: Status.OK, cookie_for, 1))
    assert asked == [PY.name]


@pytest.mark.parametrize("data", [b"\0\0", b"\xff\xff", b"\0\1x", b"GET / HTTP/1.1\r\n\r\n", b"\0\2N\0", b"\0\2st"])
def test_nonsense_is_a_protocol_error_on_either_side(data: bytes) -> None:
    for machine in (initiator(), acceptor()):
        with pytest.raises(HandshakeError) as caught:
            machine.receive_data(data)
        assert caught.value.reason == "protocol"


def test_a_message_above_the_limit_is_refused_by_its_length_alone() -> None:
    with pytest.raises(HandshakeError):
        acceptor(limit=100).receive_data(b"\0\x65")


@given(st.data())
def test_any_bytes_give_an_event_or_a_handshake_error(data: st.DataObject) -> None:
    a, b = initiator(), acceptor()
    for _ in range(3):
        for sender, receiver in ((a, b), (b, a)):
            sent = bytearray(sender.data_to_send())
            for _ in range(data.draw(st.integers(0, 2)) if sent else 0):
                sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
            try:
                receiver.receive_data(bytes(sent))
            except HandshakeError as error:
                assert error.reason in {"protocol", "bad_cookie", "not_allowed", "nok", "closed"}  # noqa: PT017
                return


@given(st.binary(max_size=80), st.sampled_from([initiator, acceptor]))
def test_random_bytes_give_an_event_or_a_handshake_error(data: bytes, side: Callable[[], Any]) -> None:
    try:
        side().receive_data(len(data).to_bytes(2, "big") + data)
    except HandshakeError as error:
        assert error.reason in {"protocol", "not_allowed", "nok"}  # noqa: PT017


def test_the_deadline_moves_with_whole_messages_only() -> None:
    a, b = initiator(now=100.0, setup_time=7.0), acceptor(now=100.0)
    hello = a.data_to_send()
    b.receive_data(hello[:-1], now=103.0)
    assert b.next_deadline() == 107.0
    b.handle_timer(106.9)
    b.receive_data(hello[-1:], now=106.9)
    assert b.next_deadline() == 113.9
    with pytest.raises(HandshakeError, match=r"py@127.0.0.1 did not answer within 7 s") as caught:
        b.handle_timer(113.9)
    assert caught.value.reason == "timeout"
    assert b.next_deadline() is None
    b.handle_timer(1e9)


def test_an_early_end_says_what_was_waited_for() -> None:
    with pytest.raises(HandshakeError, match="closed the connection while we waited for its status") as caught:
        initiator().receive_eof()
    assert caught.value.reason == "closed"


def test_the_greater_name_survives_a_simultaneous_connect() -> None:
    assert simultaneous("b@h", "a@h") is Status.NOK
    assert simultaneous("a@h", "b@h") is Status.OK_SIMULTANEOUS


def test_a_nameless_initiator_needs_version_6() -> None:
    with pytest.raises(UsageError):
        initiator(replace(PY, flags=HIDDEN_FLAGS | DistFlags.NAME_ME), version=5)


def test_a_length_of_three_bytes_is_refused() -> None:
    with pytest.raises(UsageError):
        initiator(length_bytes=3)


# --- captures of OTP ---------------------------------------------------------------------------
@pytest.mark.parametrize("vector", VECTORS["digest"])
def test_digest_is_that_of_otp(vector: dict[str, Any]) -> None:
    assert digest(vector["cookie"], vector["challenge"]).hex() == vector["digest"]


def test_a_cookie_outside_of_latin1_is_refused_without_showing_it() -> None:
    with pytest.raises(CookieError) as caught:
        digest("žž", 1)
    assert "ž" not in str(caught.value)


def messages(capture: list[list[str]], side: str) -> list[bytes]:
    found = [bytes.fromhex(text) for who, text in capture if who == side]
    return [len(message).to_bytes(2, "big") + message for message in found]


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda c: f"otp{c['otp']}")
@both_ways
def test_initiator_says_what_a_node_said_to_otp(capture: dict[str, Any], cut: Callable[[bytes], list[bytes]]) -> None:
    steps = capture["hs_python_initiates"]
    hello = SendName.decode(bytes.fromhex(steps[0][1]))
    a = Initiator(OwnIdentity(hello.name, hello.creation, hello.flags), capture["node"], capture["cookie"], 12345)
    said = a.data_to_send()
    for piece in cut(b"".join(messages(steps, "from_otp"))):
        a.receive_data(piece)
        said += a.data_to_send()
    assert said == b"".join(messages(steps, "to_otp"))
    event = a.next_event()
    assert isinstance(event, Established)
    assert (event.peer.name, event.peer.hidden) == (capture["node"], False)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda c: f"otp{c['otp']}")
@both_ways
def test_acceptor_says_what_a_node_said_to_otp(capture: dict[str, Any], cut: Callable[[bytes], list[bytes]]) -> None:
    steps = capture["hs_otp_initiates"]
    challenge = bytes.fromhex(steps[2][1])
    own = OwnIdentity(challenge[19:].decode(), int.from_bytes(challenge[13:17], "big"), HIDDEN_FLAGS)
    b = Acceptor(own, lambda *_: Status.OK, lambda _: capture["cookie"], int.from_bytes(challenge[9:13], "big"))
    said = b""
    for piece in cut(b"".join(messages(steps, "from_otp"))):
        b.receive_data(piece)
        said += b.data_to_send()
    assert said == b"".join(messages(steps, "to_otp"))
    event = b.next_event()
    assert isinstance(event, Established)
    assert event.peer.name == capture["node"]


def test_bytes_after_a_name_of_version_6_are_ignored() -> None:
    hello = SendName(6, HIDDEN_FLAGS, 1, "a@b").encode() + b"later"
    assert SendName.decode(hello).name == "a@b"


def test_a_reply_cut_short_is_a_protocol_error() -> None:
    with pytest.raises(HandshakeError):
        ChallengeReply.decode(b"r\0\0\0\1abc")
