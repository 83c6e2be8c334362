"""What an older release would drop the connection over is refused at the sender, by the flags that were measured there."""

from types import ModuleType
from typing import Any

import pytest

from pyerlnode.dist.channel import Channel
from pyerlnode.dist.flags import DistFlags
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.errors import EncodeError
from pyerlnode.etf.releases import check_for
from pyerlnode.signal import Exit2, Message
from pyerlnode.term import A, Pid, TermMap
from pyerlnode.term.containers import NativeRecord

OTP25 = OTP27 = DistFlags(0xD07DF7FBD)
OTP28 = OTP25 | DistFlags.ALTACT_SIG
OTP29 = DistFlags(0x6D07DF7FBD)
ME, YOU = Pid(A["py@127.0.0.1"], 1, 0, 1), Pid(A["b@127.0.0.1"], 2, 0, 2)
ZEROS = TermMap([(0.0, 1), (-0.0, 2)])
DEEP_ZEROS = TermMap([(([0.0], 1), 1), (([-0.0], 1), 2)])
RECORD = NativeRecord(A.m, A.r, (A.a,), (1,))
TAKEN = [
    TermMap([(1, 1), (1.0, 2), (True, 3), (0.0, 4)]),
    TermMap([(0.0, -0.0), (1.0, TermMap([(-0.0, 1), (1, 1)]))]),
    {0.0: -0.0},
    [-0.0, 0.0],
    {(0.0,): 1, (1, -0.0): 2},
]


def channel(flags: DistFlags) -> Channel:
    return Channel(
        PeerInfo(
            name="b@127.0.0.1", creation=1, flags=flags, their_flags=flags, hidden=False,
            own_name="py@127.0.0.1", own_creation=1,
        )
    )  # fmt: skip


@pytest.mark.parametrize("around", [lambda term: term, lambda term: [1, {A.k: term}], lambda term: (b"x" * 70_000, term)])
@pytest.mark.parametrize(
    ("flags", "term", "why"),
    [
        (OTP25, ZEROS, "sign of a zero"), (OTP27, DEEP_ZEROS, "sign of a zero"), (OTP25, RECORD, "native record"),
        (OTP28, ZEROS, None), (OTP28, RECORD, "native record"), (OTP29, ZEROS, None), (OTP29, RECORD, None),
        *((OTP25, term, None) for term in TAKEN),
    ],
)  # fmt: skip
@pytest.mark.parametrize("signal", [Message, Exit2])
def test_by_its_flags_a_peer_is_sent_what_it_takes(
    signal: Any, flags: DistFlags, term: Any, why: str | None, around: Any
) -> None:
    machine = channel(flags)
    made = signal(ME, YOU, around(term))
    if why is None:
        assert machine.packets(made)
        return
    with pytest.raises(EncodeError, match=why) as caught:
        machine.packets(made)
    assert caught.value.path == ("[1][A.k]" if type(around(1)) is list else "[1]" if type(around(1)) is tuple else "")
    assert machine.packets(signal(ME, YOU, [A.next]))


def test_both_codecs_ask_for_what_may_be_concerned_alone(etf: ModuleType) -> None:
    check = check_for(zeros=False, records=False)
    for term, asked in [([1, {A.a: 2.0}], 0), (ZEROS, 1), ([TermMap([(1, 1)])], 1), (RECORD, 1)]:
        seen: list[Any] = []
        etf.encode_term_buffers(term, check=seen.append)
        etf.encode_packet(b"", A.control, term, seen.append)
        assert len(seen) == 2 * asked
    assert check is not None
    for encode in (etf.encode_packet,):
        with pytest.raises(EncodeError, match="sign of a zero") as caught:
            encode(b"", A.control, [ZEROS], check)
        assert caught.value.path == "[0]"
