"""`Codec`: terms in a form that loses something, for those who ask for it."""

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.etf import encode
from pyerlnode.etf.codec import Codec
from pyerlnode.term import A, Atom, Bitstring, FrozenList, FrozenMap, ImproperList, NativeRecord, Pid, Struct, TermMap
from pyerlnode.term.exact import same

PLAIN = Codec(binaries="str", atoms="str")
NIL = Atom("nil")
PID = Pid(A["a@b"], 1, 2, 3)
FORMS = [
    (b"abc", "abc"),
    ("é".encode(), "é"),
    (b"\xff\xd8", b"\xff\xd8"),
    (b"", ""),
    (A.ok, "ok"),
    (True, True),
    (None, None),
    (1.5, 1.5),
    (PID, PID),
    (Bitstring(b"\xa0", 3), Bitstring(b"\xa0", 3)),
    ((A.ok, [b"a", (A.b, b"c")]), ("ok", ["a", ("b", "c")])),
    ({A.k: {b"x": A.y}}, {"k": {"x": "y"}}),
    ({FrozenList([b"k"]): 1, (A.a,): 2}, {FrozenList(["k"]): 1, ("a",): 2}),
    ({FrozenMap({A.a: b"b"}): 3}, {FrozenMap({"a": "b"}): 3}),
    ({A.a: 1, b"a": 2, A.b: 3}, {A.a: 1, b"a": 2, "b": 3}),
    (TermMap([(1, A.a), (1.0, b"b")]), TermMap([(1, "a"), (1.0, "b")])),
    (ImproperList((b"a",), A.b), ImproperList(("a",), "b")),
    (Struct(A["Elixir.U"], {A.name: b"Ann"}), Struct(A["Elixir.U"], {A.name: "Ann"})),
    (NativeRecord(A.m, A.r, (A.f,), (b"v",)), NativeRecord(A.m, A.r, (A.f,), ("v",))),
]  # fmt: skip


@pytest.mark.parametrize(("term", "plain"), FORMS, ids=repr)
def test_binaries_and_atoms_are_text_wherever_they_stand(term: object, plain: object) -> None:
    assert PLAIN.read(term) == plain
    assert type(PLAIN.read(term)) is type(plain)
    assert PLAIN.decode(encode(term)) == plain


@pytest.mark.parametrize(("term", "_plain"), FORMS, ids=repr)
def test_without_a_choice_terms_stay_what_they_are(term: object, _plain: object) -> None:
    assert same(Codec().read(term), term)


def test_each_choice_stands_alone() -> None:
    assert Codec(binaries="str").read((A.ok, b"a")) == (A.ok, "a")
    assert Codec(atoms="str").read((A.ok, b"a")) == ("ok", b"a")


def test_the_profile_of_erlang() -> None:
    erlang = Codec(profile="erlang")
    assert erlang.decode(encode([A.undefined, None])) == [None, NIL] == erlang.read([A.undefined, None])
    assert erlang.encode(None) == encode(A.undefined)
    assert Codec(profile="erlang", atoms="str").decode(encode([A.undefined, None])) == [None, "nil"]


def test_a_term_of_any_nesting_is_read() -> None:
    term: object = b"deep"
    for _ in range(50_000):
        term = [term]
    read = PLAIN.read(term)
    for _ in range(50_000):
        (read,) = read
    assert read == "deep"


def test_a_key_of_any_nesting_stays_what_it_is() -> None:
    key: object = b"deep"
    for _ in range(200):
        key = (key,)
    assert same(PLAIN.read(TermMap([(key, b"v")])), TermMap([(key, "v")]))


def test_what_is_written_is_written_as_ever() -> None:
    assert PLAIN.encode((A.ok, "a", b"b")) == encode((A.ok, "a", b"b"))


@pytest.mark.parametrize("wrong", [{"binaries": "text"}, {"atoms": "bytes"}, {"profile": "gleam"}, {"binaries": None}])
def test_another_word_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Codec(**wrong)  # type: ignore[arg-type]
