import copy
import pickle
import time

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.etf import _codec_py, decode, encode
from pyerlnode.term import (
    A,
    Atom,
    Bitstring,
    Charlist,
    ExternalFun,
    FrozenList,
    FrozenMap,
    Fun,
    ImproperList,
    NativeRecord,
    Pid,
    Range,
    Struct,
    TermMap,
    charlist_to_str,
    freeze,
    kw,
    kwget,
)
from pyerlnode.term.containers import KEY_NESTING, text

USER = Struct(A.Elixir.User, {A.name: b"Ann", A.age: 40})
FUN = Fun(A.m, 1, bytes(16), 0, 0, 7, Pid(A["a@b"], 1, 0, 1), (1, [2]))
SAMPLES = [
    ImproperList((1, 2), A.tail),
    Bitstring(b"\xff\x80", 1),
    Charlist("abc"),
    FrozenList([1, [2]]),
    FrozenMap({1: 2}),
    TermMap([(1, A.a), (1.0, A.b), (True, A.c)]),
    USER,
    NativeRecord(A.m, A.r, (A.a,), (1,), True),
    Range(1, 10, 3),
    ExternalFun(A.lists, A.map, 2),
    FUN,
]


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: type(value).__name__)
def test_a_container_survives_copy_and_pickle(value: object) -> None:
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert type(other) is type(value)
        assert other == value


@pytest.mark.parametrize("value", [v for v in SAMPLES if v is not FUN], ids=lambda value: type(value).__name__)
def test_repr_reads_as_the_call_that_makes_it(value: object) -> None:
    assert eval(repr(value), {**globals()}) == value


@pytest.mark.parametrize(
    "value",
    [v for v in SAMPLES if type(v) is not Charlist],
    ids=lambda value: type(value).__name__,
)
def test_a_container_is_equal_only_to_its_own_kind(value: object) -> None:
    assert [other for other in SAMPLES if other == value] == [value]
    assert value != object()


def test_frozen_keys_equal_what_they_freeze_and_hash() -> None:
    key = freeze(([1, {b"k": [2]}], {1: {2: []}}))
    assert key == ([1, {b"k": [2]}], {1: {2: []}})
    assert {key: 1}[freeze(([1, {b"k": [2]}], {1: {2: []}}))] == 1
    assert FrozenList([1]) != (1,)


@pytest.mark.parametrize("value", [FUN, USER, ImproperList(([1],), 2), NativeRecord(A.m, A.r, (A.a,), ([1],)), [USER]])
def test_whatever_stands_in_a_key_can_be_frozen(value: object) -> None:
    frozen = freeze(value)
    assert frozen == value or frozen.free == (1, [2])
    assert hash(frozen) == hash(freeze(value))


@pytest.mark.parametrize("change", [lambda x: x.append(1), lambda x: x.__setitem__(0, 1), lambda x: x.sort()])
def test_a_frozen_list_does_not_change(change: object) -> None:
    with pytest.raises(TypeError, match="does not change"):
        change(FrozenList([1]))  # type: ignore[operator]


@pytest.mark.parametrize("change", [lambda x: x.update({1: 2}), lambda x: x.__setitem__(0, 1), lambda x: x.pop(0)])
def test_a_frozen_map_does_not_change(change: object) -> None:
    with pytest.raises(TypeError, match="does not change"):
        change(FrozenMap({0: 1}))  # type: ignore[operator]


def test_a_key_of_a_dict_has_bounded_levels_and_one_of_a_term_map_has_not() -> None:
    deep: object = ()
    for _ in range(KEY_NESTING):
        deep = (deep,)
    with pytest.raises(UsageError, match=str(KEY_NESTING)):
        freeze(deep)
    held = TermMap([(deep, 1), ((deep,), 2), (A.a, 3)])
    assert (held[deep], held[(deep,)], held[A.a]) == (1, 2, 3)
    with pytest.raises(UsageError, match=str(KEY_NESTING)):
        freeze(held)
    assert TermMap([(held, 1)])[TermMap(reversed(held.pairs))] == 1
    with pytest.raises(UsageError, match="once"):
        TermMap([(deep, 1), (deep, 2)])


def test_a_term_map_tells_keys_apart_as_erlang_does() -> None:
    keys = [1, 1.0, True, 0.0, -0.0, (1,), (1.0,), [1], [True], {1: 2}, {1.0: 2}, A.one, b"one"]
    many = TermMap([(key, index) for index, key in enumerate(keys)])
    assert [many[key] for key in keys] == list(range(len(keys)))
    assert list(many) == keys
    assert len(many) == len(keys)
    assert 2 not in many
    assert many.get(2, "no") == "no"
    with pytest.raises(KeyError):
        many[2]


def test_a_term_map_equals_maps_with_the_same_keys_in_any_order() -> None:
    assert TermMap([(1, 2), (A.a, 3)]) == TermMap([(A.a, 3), (1, 2)])
    assert TermMap([(1, 2)]) == {1: 2}
    assert TermMap([(1, 2)]) != {1.0: 2}
    assert TermMap([(1, 2)]) != [(1, 2)]
    assert hash(TermMap([(1, 2), (A.a, 3)])) == hash(TermMap([(A.a, 3), (1, 2)]))


def test_a_term_map_has_each_key_once() -> None:
    with pytest.raises(UsageError, match="once"):
        TermMap([([1], 1), ([1], 2)])


def test_a_struct_gives_its_fields_as_attributes_and_items() -> None:
    assert (USER.name, USER["age"], USER[A.age]) == (b"Ann", 40, 40)
    with pytest.raises(AttributeError, match="no field 'email'"):
        _ = USER.email


def test_a_struct_matches_by_module_and_fields() -> None:
    match USER:
        case Struct(A.Elixir.User, {A.name: name}):
            assert name == b"Ann"
        case _:
            pytest.fail("no match")


def test_a_bit_string_clears_the_bits_that_it_does_not_use() -> None:
    assert Bitstring(b"\xff", 3) == Bitstring(b"\xe0", 3)
    assert len(Bitstring(b"\xff\x80", 1)) == 9
    for data, bits in ((b"", 1), (b"a", 0), (b"a", 9)):
        with pytest.raises(UsageError):
            Bitstring(data, bits)


def test_keyword_lists_are_lists_of_pairs() -> None:
    assert kw(a=1, nil=2) == [(A.a, 1), (None, 2)]
    options = [A.flag, (A.a, 1), (A.a, 2), (1, 2, 3)]
    assert (kwget(options, "a"), kwget(options, A.flag), kwget(options, "b", 7)) == (1, True, 7)


def test_text_and_charlists_become_str() -> None:
    assert text(b"\xc3\xa9") == text(bytearray(b"\xc3\xa9")) == text("é") == "é"
    assert charlist_to_str([104, 233, 0x1F600]) == "hé😀"
    with pytest.raises(UnicodeDecodeError):
        text(b"\xff")
    for wrong in ([-1], [0x110000], [A.a], 7):
        with pytest.raises(UsageError, match="code points"):
            charlist_to_str(wrong)  # type: ignore[arg-type]


def test_a_range_iterates_as_elixirs_does() -> None:
    assert list(Range(1, 5)) == [1, 2, 3, 4, 5]
    assert list(Range(5, 1, -2)) == [5, 3, 1]
    assert list(Range(5, 1)) == []
    assert 3 in Range(1, 5)
    assert len(Range(1, 10, 3)) == 4
    with pytest.raises(UsageError):
        Range(1, 2, 0)


def test_native_record_gives_its_fields() -> None:
    record = NativeRecord(A.m, A.r, (A.a, Atom("nil")), (1, 2))
    assert (record["a"], record[Atom("nil")], record["nil"]) == (1, 2, 2)
    with pytest.raises(KeyError):
        record["b"]


@pytest.mark.parametrize("levels", [20, KEY_NESTING - 1, KEY_NESTING, KEY_NESTING + 1, 1_000])
def test_keys_of_keys_are_frozen_once_at_each_level(levels: int) -> None:
    started = time.process_time()
    key: object = A.bottom
    for _ in range(levels):
        key = TermMap([(1.0, [1]), (1, 2), (key, [])])
    assert time.process_time() - started < 10
    assert TermMap([(key, 1)]).deep is (levels >= KEY_NESTING)


@pytest.mark.parametrize("levels", [30, 63, 64, 65, 1_000])
def test_a_peers_maps_as_keys_of_maps_are_decoded_in_linear_time(levels: int) -> None:
    wire = b"a\x03"
    for _ in range(levels):
        wire = b"t\0\0\0\x03a\x01jF?\xf0" + bytes(6) + b"j" + wire + b"j"
    started = time.process_time()
    for read, write in ((decode, encode), (_codec_py.decode, _codec_py.encode)):
        assert write(read(b"\x83" + wire)) == b"\x83" + wire
    assert time.process_time() - started < 10


def test_what_is_frozen_is_frozen_as_itself() -> None:
    for term in [(1, (2,)), FrozenList([1, (2,)]), FrozenMap({1: (2,)}), TermMap([(1, (2,)), (1.0, 2)])]:
        assert freeze(term) is term
    term = TermMap([(1, [2]), (1.0, {3: [4]})])
    assert freeze(term) == TermMap([(1, FrozenList([2])), (1.0, FrozenMap({3: FrozenList([4])}))])
    assert hash(freeze(term)) == hash(freeze(freeze(term)))
