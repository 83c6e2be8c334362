import copy
import dataclasses
import mmap
import subprocess
import sys
import time
import tracemalloc
import zlib
from types import ModuleType
from typing import Any

import pytest

from pyerlnode.errors import DecodeError, LimitExceeded
from pyerlnode.limits import DEFAULT_LIMITS, Limits
from pyerlnode.term import A, Atom, FrozenList, FrozenMap, Fun, ImproperList, Pid, Struct, TermMap
from pyerlnode.term.containers import KEY_NESTING
from pyerlnode.term.order import identical
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.text import format_term

DEPTH = 100_000
FUN = (
    b"p\0\0\0\x43\2" + bytes(range(16)) + b"\0\0\0\3\0\0\0\1" + b"w\5nomod" + b"a\3" + b"b\0\x12\xd6\x87"
    b"X" + b"w\3a@b" + bytes(11) + b"\7" + b"w\4free"
)


def depth(value: Any) -> int:
    levels = 0
    while value:
        value = value[0] if type(value) in (list, tuple) else value[1]
        levels += 1
    return levels


@pytest.mark.parametrize(
    "data",
    [
        b"l\0\0\0\1" * DEPTH + b"j" + b"j" * DEPTH,
        b"h\1" * DEPTH + b"j",
        b"t\0\0\0\1a\1" * DEPTH + b"j",
    ],
    ids=["lists", "tuples", "maps"],
)
def test_a_hundred_thousand_levels_go_both_ways(etf: ModuleType, data: bytes) -> None:
    value = etf.decode(b"\x83" + data)
    assert depth(value) == DEPTH
    assert etf.encode(value) == b"\x83" + data


def test_tails_that_are_lists_make_one_list_however_many(etf: ModuleType) -> None:
    links = 200_000
    started = time.process_time()
    assert etf.decode(b"\x83" + b"l\0\0\0\1a\1" * links + b"j") == [1] * links
    assert etf.decode(b"\x83" + b"l\0\0\0\1a\1" * links + b"a\2") == ImproperList((1,) * links, 2)
    assert etf.decode(b"\x83l\0\0\0\1a\1k\0\2\2\3") == [1, 2, 3]
    assert time.process_time() - started < 5, "it takes time in proportion to the length"


def test_closures_within_closures_take_memory_in_proportion(etf: ModuleType) -> None:
    head = FUN[: -len(b"w\4free")]
    data = b"\x83" + head * 20_000 + b"j"
    started = time.process_time()
    value = etf.decode(data)
    again = etf.encode(value)
    assert time.process_time() - started < 5
    assert type(value) is Fun
    assert len(again) == len(data)


def test_a_closure_is_kept_whole(etf: ModuleType) -> None:
    value = etf.decode(b"\x83" + FUN)
    assert (value.module, value.arity, value.free) == (A.nomod, 2, (A.free,))
    assert etf.encode(value) == b"\x83" + FUN
    assert etf.decode(b"\x83h\2" + FUN + FUN) == (value, value)


def test_a_closure_that_names_cached_atoms_is_whole_without_them(etf: ModuleType) -> None:
    cached = FUN.replace(b"w\5nomod", b"R\0").replace(b"w\3a@b", b"R\1").replace(b"w\4free", b"R\2")
    value, end = etf.decode_term(cached, 0, [A.nomod, A["a@b"], A.free], None)
    assert end == len(cached)
    assert etf.encode_term(value) == FUN


KEYS = {
    "tuples": (b"h\1", b"h\0", b""),
    "lists": (b"l\0\0\0\1", b"h\0", b"j"),
    "keys": (b"t\0\0\0\1", b"j", b"a\1"),
    "second keys": (b"t\0\0\0\2a\1a\2", b"j", b"a\1"),
    "keys in lists": (b"t\0\0\0\1l\0\0\0\1", b"j", b"ja\1"),
    "structs": (b"t\0\0\0\2w\x0a__struct__w\1M", b"j", b"a\1"),
}


@pytest.mark.parametrize(
    ("levels", "kind"), [(KEY_NESTING - 1, dict), (KEY_NESTING, TermMap), (DEPTH, TermMap)], ids=["most", "more", "far"]
)
@pytest.mark.parametrize("shape", ["tuples", "lists"])
def test_a_key_of_more_levels_than_python_hashes_is_one_of_a_term_map(
    etf: ModuleType, shape: str, levels: int, kind: type
) -> None:
    head, bottom, tail = KEYS[shape]
    data = b"\x83t\0\0\0\1" + head * levels + bottom + tail * levels + b"a\1"
    value = etf.decode(data)
    assert type(value) is kind
    assert etf.encode(value) == data


@pytest.mark.parametrize("shape", KEYS)
def test_a_key_of_any_nesting_is_told_from_others_in_time_by_its_length(etf: ModuleType, shape: str) -> None:
    """Both maps have the keys in two orders; one of the keys differs from another at its bottom alone."""
    head, bottom, tail = KEYS[shape]
    levels = 1_200  # more than Python calls within each other
    pairs = [head * levels + bottom + tail * levels + b"a\1", head * levels + b"w\1x" + tail * levels + b"a\2"]
    started = time.process_time()
    one, two = (etf.decode(b"\x83t\0\0\0\2" + b"".join(order)) for order in (pairs, pairs[::-1]))
    assert one == two
    assert hash(one) == hash(two)
    assert [two[key] for key in one] == [1, 2]
    assert all(key in two for key in one)
    assert A.other not in one
    assert one != etf.decode(b"\x83t\0\0\0\2" + pairs[0] + pairs[1][:-1] + b"\3")
    assert etf.encode(one) == b"\x83t\0\0\0\2" + b"".join(pairs)
    with pytest.raises(DecodeError, match="once"):
        etf.decode(b"\x83t\0\0\0\2" + pairs[0] * 2)
    for style in ("erlang", "elixir"):
        assert format_term(one, style=style, width=0)  # type: ignore[arg-type]
    assert identical(one, two)
    assert phash2(one) == phash2(two)
    assert copy.copy(one) == one
    assert time.process_time() - started < 60


def test_nesting_beyond_the_limit_is_refused_at_its_offset(etf: ModuleType) -> None:
    limits = dataclasses.replace(DEFAULT_LIMITS, nesting=10)
    assert depth(etf.decode(b"\x83" + b"h\1" * 10 + b"j", limits=limits)) == 10
    with pytest.raises(LimitExceeded) as caught:
        etf.decode(b"\x83" + b"h\1" * 11 + b"j", limits=limits)
    assert caught.value.offset == 21


@pytest.mark.parametrize(
    "claim",
    [
        b"l\xff\xff\xff\xffa\1j",
        b"i\0\xff\xff\xffa\1",
        b"t\xff\xff\xff\xffa\1a\2",
        b"m\xff\xff\xff\xffab",
        b"M\xff\xff\xff\xff\1ab",
        b"o\0\xff\xff\xff\0ab",
        b"o\xff\xff\xff\xff\0ab",
        b"k\xff\xffab",
        b"v\xff\xffab",
        b"C\xff\xff\xff\xff\0w\1mw\1r",
        b"p\0\0\0\1\1" + bytes(20) + b"\xff\xff\xff\xff" + b"w\1ma\1a\1Xw\1n" + bytes(12),
        b"P\xff\xff\xff\xff" + zlib.compress(b"a\1"),
    ],
    ids=lambda claim: repr(claim[:6]),
)
def test_a_claim_of_billions_costs_no_memory(etf: ModuleType, claim: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError) as caught:
            etf.decode(b"\x83" + claim)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert caught.value.offset == 1


def test_nested_claims_share_the_bytes_that_are_left(etf: ModuleType) -> None:
    """Each list alone could be there; together they claim a thousand times what was received."""
    size = 100_000
    head = b"l" + (size - 6_000).to_bytes(4, "big")
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            etf.decode(b"\x83" + head * 1_000 + b"j" * size)
        assert tracemalloc.get_traced_memory()[1] < 20 * size
    finally:
        tracemalloc.stop()


def test_a_zlib_bomb_is_refused_in_constant_memory(etf: ModuleType) -> None:
    bomb = zlib.compress(b"m" + (50_000_000).to_bytes(4, "big") + bytes(50_000_000), 9)
    limits = dataclasses.replace(DEFAULT_LIMITS, inflated_size=1_000_000)
    tracemalloc.start()
    try:
        for claim in (50_000_005, 1_000_000, 10):
            with pytest.raises(DecodeError) as caught:
                etf.decode(b"\x83P" + claim.to_bytes(4, "big") + bomb, limits=limits)
            assert isinstance(caught.value, LimitExceeded) == (claim > 1_000_000)
            assert caught.value.offset == 1
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


SMALL_PARTS = {
    "nils": b"l" + (20_000).to_bytes(4, "big") + b"j" * 20_001,
    "tuples of one": b"h\1" * 9_000 + b"j",
    "maps of one": b"l" + (3_000).to_bytes(4, "big") + b"t\0\0\0\1a\1a\2" * 3_000 + b"j",
    "strings": b"l\0\0\0\4" + (b"k\xff\xff" + bytes(0xFFFF)) * 4 + b"j",
    "a list that goes on": b"l\0\0\0\1a\1" * 20_000 + b"j",
    "a list that goes on as strings": b"l\0\0\0\1a\1" * 1_000 + b"k\xff\xff" + bytes(0xFFFF),
}


@pytest.mark.parametrize("name", SMALL_PARTS)
def test_what_is_small_on_the_wire_and_large_here_is_bounded_in_sum(etf: ModuleType, name: str) -> None:
    body = SMALL_PARTS[name]
    limits = dataclasses.replace(DEFAULT_LIMITS, decoded_size=80_000)
    for data in (body, b"P" + len(body).to_bytes(4, "big") + zlib.compress(body, 1)):
        with pytest.raises(LimitExceeded, match="decoded_size"):
            etf.decode(b"\x83" + data, limits=limits)


def test_sixteen_kilobytes_of_zipped_empty_lists_are_no_gigabyte(etf: ModuleType) -> None:
    count = 16 * 1024 * 1024
    body = b"l" + count.to_bytes(4, "big") + b"j" * (count + 1)
    data = b"\x83P" + len(body).to_bytes(4, "big") + zlib.compress(body, 9)
    assert len(data) < 20_000
    assert count * (64 + 8) > DEFAULT_LIMITS.decoded_size
    with pytest.raises(LimitExceeded, match="decoded_size"):
        etf.decode(data, limits=Limits(decoded_size=150_000_000))


def test_the_bound_of_what_is_decoded_is_the_same_to_the_byte(etf: ModuleType) -> None:
    term = [[], (1,), {1: 2}, {}, list(b"abc"), ()]
    wire = etf.encode(term)
    exact = 64 + 6 * 8 + 64 + (64 + 8) + (64 + 160 + 16) + 64 + (64 + 24) + 64
    assert etf.decode(wire, limits=Limits(decoded_size=exact)) == term
    with pytest.raises(LimitExceeded):
        etf.decode(wire, limits=Limits(decoded_size=exact - 1))


def test_a_term_for_which_there_is_no_memory_is_a_decode_error(etf: ModuleType) -> None:
    """In a process that may take little: whatever it is refused for, it goes on."""
    program = """
import resource, sys, zlib
from pyerlnode.errors import DecodeError
from pyerlnode.limits import Limits
from tests.conftest import load_etf
etf = load_etf(sys.argv[1])
body = b"l" + (1_000_000).to_bytes(4, "big") + b"j" * 1_000_001
zipped = b"\\x83P" + len(body).to_bytes(4, "big") + zlib.compress(body)
large = b"m" + (60_000_000).to_bytes(4, "big") + bytes(60_000_000)
bomb = b"\\x83P" + len(large).to_bytes(4, "big") + zlib.compress(large)
del large
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 30_000_000,) * 2)
for data in (b"\\x83" + body, zipped, bomb):
    try:
        etf.decode(data, limits=Limits(decoded_size=10**12))
    except DecodeError as error:
        assert "no memory" in str(error), error
    else:
        raise AssertionError("decoded")
print(etf.decode(b"\\x83a\\1"))
"""
    name = etf.__name__.removeprefix("etf_")
    done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_an_error_within_a_compressed_term_keeps_its_class(etf: ModuleType) -> None:
    limits = dataclasses.replace(DEFAULT_LIMITS, nesting=1)
    body = b"h\1h\1j"
    for inner, kind in ((body, LimitExceeded), (b"\xc8", DecodeError), (b"a\1a", DecodeError)):
        data = b"\x83P" + len(inner).to_bytes(4, "big") + zlib.compress(inner)
        with pytest.raises(DecodeError) as caught:
            etf.decode(data, limits=limits)
        assert type(caught.value) is kind
        assert caught.value.offset == 1


@pytest.mark.parametrize("data", [b"P", b"P\0\0\0", b"P\0\0\0\0" + zlib.compress(b""), b"P\0\0\0\2junk"], ids=repr)
def test_a_compressed_term_without_a_stream_is_refused(etf: ModuleType, data: bytes) -> None:
    with pytest.raises(DecodeError):
        etf.decode(b"\x83" + data)


def test_an_integer_of_too_many_digits_is_refused(etf: ModuleType) -> None:
    limits = dataclasses.replace(DEFAULT_LIMITS, integer_digits=300)
    data = etf.encode(1 << 2500)
    with pytest.raises(LimitExceeded, match="integer_digits"):
        etf.decode(data, limits=limits)
    assert etf.decode(data) == 1 << 2500


def test_new_atoms_are_counted_and_capped(etf: ModuleType) -> None:
    known = A.ok
    budget = etf.AtomBudget(2)
    for name in (b"etf budget 1", b"etf budget 2", b"etf budget 1", b"ok"):
        etf.decode_term(b"w" + bytes([len(name)]) + name, 0, None, budget)
    assert budget.spent <= 2
    full = etf.AtomBudget(0)
    for name in (b"w\x0cetf budget 3", b"Xw\x0cetf budget 3" + bytes(12), b"s\x0cetf budget 3", b"v\0\x0cetf budget 3"):
        with pytest.raises(LimitExceeded, match="atoms"):
            etf.decode_term(name, 0, None, full)
    assert etf.decode_term(b"w\2ok", 0, None, full) == (known, 4)


def test_untrusted_bytes_may_be_kept_from_making_atoms(etf: ModuleType) -> None:
    Atom("etf known")
    assert etf.decode(b"\x83w\x09etf known", atoms="existing") is A["etf known"]
    for data in (b"w\x0betf unknown", b"d\0\x0betf unknown", b"qw\x0betf unknownw\2oka\1"):
        with pytest.raises(DecodeError, match="existing") as caught:
            etf.decode(b"\x83" + data, atoms="existing")
        assert caught.value.offset == 1


def test_cached_atoms_are_named_by_number(etf: ModuleType) -> None:
    atoms = [A.ok, True, None, A["a@b"]]
    data = b"h\4R\0R\1R\2XR\3" + bytes(11) + b"\1"
    assert etf.decode_term(data, 0, atoms, None) == ((A.ok, True, None, Pid(A["a@b"], 0, 0, 1)), len(data))
    assert etf.decode_term(b"XR\2" + bytes(12), 0, atoms, None)[0] == Pid(Atom("nil"), 0, 0, 0)
    for wrong in (b"R\4", b"XR\4" + bytes(12)):
        with pytest.raises(DecodeError, match="reference to atom 4") as caught:
            etf.decode_term(b"??" + wrong, 2, atoms, None)
        assert caught.value.offset == 2
    with pytest.raises(DecodeError):
        etf.decode_term(b"R\0", 0, None, None)


def test_latin1_atoms_equal_their_utf8_spelling(etf: ModuleType) -> None:
    for data in (b"d\0\1\xe9", b"s\1\xe9", b"w\2\xc3\xa9", b"v\0\2\xc3\xa9"):
        assert etf.decode(b"\x83" + data) is A["é"]
    assert etf.decode(b"\x83d\0\4true") is True


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ([(1, 2), (A.a, 3)], dict),
        ([(1, 2), (1.0, 3)], TermMap),
        ([(1, 2), (True, 3)], TermMap),
        ([(0.0, 2), (-0.0, 3)], TermMap),
        ([((1,), 2), ((1.0,), 3)], TermMap),
        ([(FrozenList([1]), 2), (FrozenList([True]), 3)], TermMap),
        ([(FrozenList([1]), 2), ((1,), 3)], dict),
        ([(FrozenMap({1: 2}), 2), (FrozenMap({1.0: 2}), 3)], TermMap),
        ([(FrozenMap({1: 2}), 2), (FrozenMap({}), 3)], dict),
    ],
    ids=str,
)
def test_a_map_is_exact_when_python_would_merge_its_keys(etf: ModuleType, pairs: Any, kind: type) -> None:
    data = etf.encode(TermMap(pairs))
    value = etf.decode(data)
    assert type(value) is kind
    assert value == TermMap(pairs)
    assert etf.encode(value) == data


def test_what_stands_in_a_key_is_frozen(etf: ModuleType) -> None:
    inner = Struct(A.Elixir.S, {A.list: FrozenList([1])})
    value = etf.decode(etf.encode({FrozenList([1, (2, FrozenMap({1: FrozenList()}))]): [1], inner: 2}))
    keys = list(value)
    assert type(keys[0]) is FrozenList
    assert type(keys[0][1][1]) is FrozenMap
    assert value[FrozenList([1, (2, FrozenMap({1: FrozenList()}))])] == [1]
    assert value[inner] == 2
    assert type(value[keys[0]]) is list


@pytest.mark.parametrize("key", [b"a\1", b"k\0\1\1", b"h\1k\0\1\1", b"t\0\0\0\1a\1j", b"w\1a"], ids=repr)
def test_a_key_that_comes_twice_is_refused(etf: ModuleType, key: bytes) -> None:
    data = b"\x83t\0\0\0\2" + key + b"a\1" + key + b"a\2"
    with pytest.raises(DecodeError, match="once") as caught:
        etf.decode(data)
    assert caught.value.offset == len(data)


def test_trailing_bytes_are_refused_or_told(etf: ModuleType) -> None:
    with pytest.raises(DecodeError, match="after the term") as caught:
        etf.decode(b"\x83a\1zz")
    assert caught.value.offset == 3
    assert etf.decode_prefix(b"\x83a\1zz") == (1, 3)
    assert etf.decode_prefix(b"zz\x83a\1zz", 2) == (1, 5)


@pytest.mark.parametrize("offset", [-5, -1, 3, 99])
def test_an_offset_outside_of_the_bytes_is_a_decode_error(etf: ModuleType, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        etf.decode_prefix(b"\x83a\1", offset)
    assert 0 <= caught.value.offset <= 3
    with pytest.raises(DecodeError):
        etf.decode_term(b"\x83a\1", offset)


def test_decoding_takes_the_memory_of_what_it_gives(etf: ModuleType) -> None:
    row = {
        A.id: 1 << 33,
        A.name: b"name of the item",
        A.price: 1.25,
        A.tags: [A.new, A.sale],
        A.stock: {A.berlin: (1, 2)},
    }
    data = etf.encode([row] * 1_000)
    etf.decode(data)
    tracemalloc.start()
    try:
        value = etf.decode(data)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(value) == 1_000
    assert peak <= 1.1 * held


def test_a_large_binary_is_read_from_any_memory(etf: ModuleType) -> None:
    body = bytes(range(256)) * 20_000  # more than 4 MB: from there on its memory is asked for in large pages
    data = etf.encode((A.ok, body))
    area = mmap.mmap(-1, len(data))
    area[:] = data
    assert etf.decode(data) == (A.ok, body)
    assert etf.decode(memoryview(area)) == (A.ok, body)
    assert etf.decode_term(memoryview(area), 1) == ((A.ok, body), len(data))


LARGE = (1 << 61) - 1


@pytest.mark.parametrize(
    "keys",
    [
        [LARGE * number for number in range(1, 400)],
        [-LARGE * number for number in range(1, 400)],
        [(LARGE * number, 1) for number in range(1, 400)],
        [*range(300), *(LARGE * number for number in range(1, 90))],
    ],
    ids=["integers", "negative integers", "tuples", "among others"],
)
def test_a_map_of_many_keys_with_one_hash_is_refused(etf, keys):
    with pytest.raises(LimitExceeded, match="that have one hash"):
        etf.decode(etf.encode(TermMap([(key, 1) for key in keys])))


def test_a_map_of_large_integers_that_were_not_chosen_is_a_dict(etf):
    made = {number * 0x9E3779B97F4A7C15 + (1 << 61): number for number in range(1, 1000)}
    few = {LARGE * number: number for number in range(60)}
    for term in (made, few, [few, few], {**made, (1, 2): 3}):
        assert etf.decode(etf.encode(term)) == term
    assert type(etf.decode(etf.encode(made))) is dict
