"""The atom cache: what one end writes the other reads, in order, within its bounds."""

import random

import pytest

from pyerlnode.dist.atom_cache import AtomCacheReader, AtomCacheWriter
from pyerlnode.errors import ProtocolError
from pyerlnode.term.atom import Atom


def reader():
    return AtomCacheReader(lambda text: Atom(text.decode()))


def test_what_is_written_is_read_over_thousands_of_packets():
    chance = random.Random(7)
    pool = [Atom(f"cached_{n}") for n in range(5000)] + [Atom("é" * 200), Atom("")]
    writer, other = AtomCacheWriter(), reader()
    for _ in range(1000):
        chosen = writer.choose(chance.sample(pool, chance.choice((0, 1, 2, 3, 40, 300))))
        data = b"xx" + writer.header(chosen) + b"term"
        atoms, at = other.read(data, 2, len(data))
        assert [*atoms] == [*chosen]
        assert data[at:] == b"term"


def test_a_packet_lists_at_most_255_atoms_and_no_two_of_one_slot():
    chosen = AtomCacheWriter().choose([Atom(f"many_{n}") for n in range(4000)])
    assert len(chosen) == 255
    assert [*chosen.values()] == [*range(255)]
    assert len({AtomCacheWriter.slot(atom) for atom in chosen}) == 255


def test_an_atom_is_sent_once_and_named_afterwards():
    writer = AtomCacheWriter()
    chosen = writer.choose([Atom("once")])
    assert b"once" in writer.header(chosen)
    assert len(writer.header(chosen)) == 1 + 1 + 1


def test_the_example_of_the_documentation_is_read():
    data = bytes.fromhex("03cf0a7c0d") + b"r25@127.0.0.1" + b"\x4c\x0ehs25@127.0.0.1" + b"\xcc\x03yes"
    atoms, at = reader().read(data, 0, len(data))
    assert [atom.name for atom in atoms] == ["r25@127.0.0.1", "hs25@127.0.0.1", "yes"]
    assert at == len(data)


def test_a_new_entry_is_seen_by_headers_that_were_read_before():
    cache = reader()
    name = b"\x01\x00\x05"
    for text in (b"one", b"two"):
        fresh = b"\x01\x08\x05\x03" + text
        cache.read(fresh, 0, len(fresh))
        for _ in range(2):
            assert cache.read(name, 0, 3)[0] == (Atom(text.decode()),)


def test_a_slot_that_was_never_filled_costs_the_connection():
    with pytest.raises(ProtocolError, match="never sent"):
        reader().read(b"\x01\x00\x05", 0, 3)


@pytest.mark.parametrize("header", [b"\x01\x08\x05\x03one", b"\x02\x88\x00\x05\x03one\x06\x03two"])
def test_a_header_that_is_cut_off_costs_the_connection(header):
    for end in range(len(header)):
        with pytest.raises(ProtocolError):
            reader().read(header, 0, end)
    assert reader().read(header, 0, len(header))[1] == len(header)
