"""Packets of a port: whole, byte by byte, several at once, too large."""

import pytest

from pyerlnode.errors import ProtocolError, UsageError
from pyerlnode.port.packets_core import Packets


@pytest.mark.parametrize("width", [1, 2, 4])
def test_what_is_framed_is_cut_again_however_it_arrives(width):
    machine = Packets(width)
    sent = [b"", b"a", b"x" * 200]
    stream = b"".join(machine.frame(packet) for packet in sent)
    assert Packets(width).receive_data(stream) == sent
    dribbled = Packets(width)
    assert [p for byte in stream for p in dribbled.receive_data(bytes([byte]))] == sent
    assert not dribbled.broken_off


def test_a_stream_that_ends_inside_a_packet_is_noticed():
    machine = Packets(2)
    assert machine.receive_data(b"\0\5abc") == []
    assert machine.broken_off


def test_a_packet_that_its_length_can_not_hold_is_refused_with_what_to_do():
    with pytest.raises(UsageError, match=r"open the port with \{packet, 4\}"):
        Packets(1).frame(b"x" * 256)


def test_a_packet_beyond_the_limit_ends_the_stream_before_it_is_collected():
    with pytest.raises(ProtocolError, match="1000 bytes, where 999"):
        Packets(4, limit=999).receive_data((1000).to_bytes(4, "big"))


def test_other_widths_are_refused():
    with pytest.raises(UsageError, match="1, 2 or 4"):
        Packets(3)
