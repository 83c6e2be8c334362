"""Terms over a Unix socket, their large memory beside it; nothing of it is left, whoever goes away."""

import mmap
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pyerlnode import A
from pyerlnode.errors import ProtocolError
from pyerlnode.workers import channel
from pyerlnode.workers.channel import Packer, mapped, send_all

LARGE = 3 * channel.shared_core.LIMIT


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def heard(packer: Packer, link: socket.socket) -> list[Any]:
    return list(packer.receive(link) or ())


def test_terms_and_memory_arrive_in_order(ends: Any) -> None:
    sender, receiver = Packer(), Packer()
    array = np.arange(LARGE // 8)
    for term in [(A.send, 1), (A.send, array), (A.send, b"x" * LARGE, [memoryview(array)]), (A.send, 2)]:
        send_all(ends[0], *sender.frame(term))
    found: list[Any] = []
    while len(found) < 4:
        found += heard(receiver, ends[1])
    assert found[0] == (A.send, 1)
    assert np.array_equal(found[1][1], array)
    assert found[2][1] == b"x" * LARGE
    assert np.array_equal(np.asarray(found[2][2][0]), array)
    assert found[3] == (A.send, 2)


def test_what_is_large_does_not_go_through_the_socket(ends: Any) -> None:
    data, descriptor = Packer().frame((A.send, np.zeros(LARGE), b"x" * LARGE))
    assert len(data) < 500
    assert descriptor is not None
    os.close(descriptor)


def test_without_memfd_everything_goes_through_the_socket(monkeypatch: pytest.MonkeyPatch, ends: Any) -> None:
    monkeypatch.setattr(channel, "SHARES", False)
    data, descriptor = Packer().frame((A.send, np.arange(10)))
    assert descriptor is None
    ends[0].sendall(data)
    ((_, array),) = heard(Packer(), ends[1])
    assert array.tolist() == list(range(10))


def test_the_memory_goes_with_the_last_array_over_it(ends: Any) -> None:
    before = descriptors()
    send_all(ends[0], *Packer().frame((A.send, np.arange(LARGE))))
    ((_, array),) = heard(Packer(), ends[1])
    assert descriptors() == before + 1
    part = array[5:6]
    del array
    assert part.tolist() == [5]
    del part
    assert descriptors() == before


def test_the_receiver_can_not_write(ends: Any) -> None:
    send_all(ends[0], *Packer().frame((A.send, np.arange(LARGE), memoryview(bytes(LARGE)))))
    ((_, array, view),) = heard(Packer(), ends[1])
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    assert view.readonly


def test_nothing_is_left_of_what_was_sent_and_never_read(ends: Any) -> None:
    before = descriptors()
    send_all(ends[0], *Packer().frame((A.send, np.arange(LARGE))))
    ends[1].close()
    ends[0].close()
    assert descriptors() == before - 2


def test_what_has_arrived_but_was_not_understood_is_let_go(ends: Any) -> None:
    before = descriptors()
    data, descriptor = Packer().frame((A.send, np.arange(LARGE)))
    send_all(ends[0], data[:10], descriptor)
    receiver = Packer()
    assert heard(receiver, ends[1]) == []
    receiver.close()
    assert descriptors() == before


def test_no_memory_is_an_error_of_the_sender_and_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="open files"):
            Packer().frame((A.send, np.arange(LARGE)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    monkeypatch.setattr(channel.fcntl, "fcntl", None)
    with pytest.raises(TypeError):
        Packer().frame((A.send, np.arange(LARGE)))
    assert descriptors() == before


def test_memory_that_could_be_cut_is_not_mapped() -> None:
    descriptor = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, mmap.PAGESIZE)
    with pytest.raises(ProtocolError, match="not sealed"):
        mapped(descriptor)


def test_a_packet_without_its_memory_is_a_protocol_error(ends: Any) -> None:
    data, descriptor = Packer().frame((A.send, np.arange(LARGE)))
    assert descriptor is not None
    os.close(descriptor)
    ends[0].sendall(data)
    with pytest.raises(ProtocolError, match="without its shared memory"):
        heard(Packer(), ends[1])
