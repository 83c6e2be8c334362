"""Printing and reading terms. Live BEAMs are asked in `interop_tests/test_term_text.py` and `test_term_elixir.py`."""

from typing import Any

import pytest

from pyerlnode.errors import EncodeError, TermSyntaxError, UsageError
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
    Port,
    Range,
    Reference,
    Struct,
    TermMap,
)
from pyerlnode.term.order import identical
from pyerlnode.term.text import consult, format_term, parse_term
from tests.term.generated import terms

NODE = A["a@b"]
PID = Pid(NODE, 1, 2, 3)
FUN = Fun(A.m, 1, bytes(16), 0, 5, 77, PID, ())

ERLANG: list[tuple[Any, str]] = [
    (A.ok, "ok"),
    (A["weird one"], "'weird one'"),
    (A["when"], "'when'"),
    (Atom("nil"), "nil"),
    ((None, True, False), "{nil,true,false}"),
    (1.0e22, "1.0e22"),
    (
        [1000.0, 100.0, 0.0001, 1.0e-5, 123456.0, -0.0, 9007199254740992.0, 5e-324],
        "[1.0e3,100.0,0.0001,1.0e-5,123456.0,-0.0,9.007199254740992e15,5.0e-324]",
    ),
    ("é", '<<"é"/utf8>>'),
    (b"\xe9", '<<"é">>'),
    (bytearray(b"a"), '<<"a">>'),
    (memoryview(b"a"), '<<"a">>'),
    (b"\x00", "<<0>>"),
    (Bitstring(b"\xff\x80", 1), "<<255,1:1>>"),
    ([104, 105], '"hi"'),
    (Charlist("hi"), '"hi"'),
    ([], "[]"),
    ([1, 2], "[1,2]"),
    ([97, True], "[97,true]"),
    (ImproperList((1, 2), A.x), "[1,2|x]"),
    ({A.a: 1, b"k": [2]}, '#{a => 1,<<"k">> => [2]}'),
    (TermMap([(1, 2), (1.0, 3)]), "#{1 => 2,1.0 => 3}"),
    (FrozenMap({A.a: FrozenList([1])}), "#{a => [1]}"),
    (Struct(A["Elixir.M"], {A.a: 1}), "#{'__struct__' => 'Elixir.M',a => 1}"),
    (Range(1, 2), "#{'__struct__' => 'Elixir.Range',first => 1,last => 2,step => 1}"),
    (PID, "<a@b.1.2>"),
    (Port(NODE, 7, 1), "#Port<a@b.7>"),
    (Reference(NODE, 1, (1, 2, 3)), "#Ref<a@b.3.2.1>"),
    (ExternalFun(A.lists, A.map, 2), "fun lists:map/2"),
    (FUN, "#Fun<m.5.77>"),
    (NativeRecord(A.m, A.r, (A.a, A.b), (1, [2])), "#m:r{a = 1,b = [2]}"),
    ((), "{}"),
    ({}, "#{}"),
]


@pytest.mark.parametrize(("term", "text"), ERLANG)
def test_a_term_prints_in_erlangs_notation(term: Any, text: str) -> None:
    assert format_term(term, width=0) == text


ELIXIR: list[tuple[Any, str]] = [
    (A.ok, ":ok"),
    (A["a b"], ':"a b"'),
    (A.Elixir.MyApp.User, "MyApp.User"),
    (A["Elixir.not_alias"], ':"Elixir.not_alias"'),
    (A["+"], ":+"),
    (A["ok?"], ":ok?"),
    ((None, True), "{nil, true}"),
    (b"text #{", '"text \\#{"'),
    (b"\xff", "<<255>>"),
    (Bitstring(b"\xff\x80", 1), "<<255, 1::size(1)>>"),
    ([97, 98], '~c"ab"'),
    ([(A.a, 1), (A["b c"], 2)], '[a: 1, "b c": 2]'),
    ([(A.a, 1), 2], "[{:a, 1}, 2]"),
    ({A.a: 1}, "%{a: 1}"),
    ({1: 2, A.a: 3}, "%{1 => 2, :a => 3}"),
    (Struct(A["Elixir.M"], {A.a: 1}), "%M{a: 1}"),
    (Struct(A["Elixir.M"], {}), "%M{}"),
    (Struct(A["Elixir.Range"], {A.first: 1, A.last: A.x, A.step: 1}), "%Range{first: 1, last: :x, step: 1}"),
    (Struct(A["Elixir.MapSet"], {A.map: {1: []}}), "MapSet.new([1])"),
    (Struct(A["Elixir.MapSet"], {A.map: 1}), "%MapSet{map: 1}"),
    (Struct(A["Elixir.Date"], {A.calendar: A.x}), "%Date{calendar: :x}"),
    (ImproperList((1, 2), 3), "[1, 2 | 3]"),
    (PID, "#PID<a@b.1.2>"),
    (Port(NODE, 7, 1), "#Port<a@b.7>"),
    (Reference(NODE, 1, (1, 2, 3)), "#Reference<a@b.3.2.1>"),
    (ExternalFun(A["Elixir.String"], A.upcase, 1), "&String.upcase/1"),
    (ExternalFun(A.lists, A["a b"], 2), '&:lists."a b"/2'),
    (FUN, "#Function<5.77/1 in :m>"),
    (1000.0, "1000.0"),
    (1.0e-7, "1.0e-7"),
]


@pytest.mark.parametrize(("term", "text"), ELIXIR)
def test_a_term_prints_in_elixirs_notation(term: Any, text: str) -> None:
    assert format_term(term, style="elixir", width=0) == text


def test_an_integer_of_any_length_prints_and_is_read() -> None:
    text = "1" + "0" * 5000
    assert format_term(10**5000) == format_term(10**5000, style="elixir") == text
    assert parse_term(text) == parse_term(text, style="elixir") == 10**5000


def test_a_record_of_otp_29_breaks_its_lines_as_records_do() -> None:
    record = NativeRecord(A.m, A.r, (A.a, A.long), (1, list(range(5000, 5020))))
    assert format_term(record, width=60, charset="latin1") == (
        "#m:r{a = 1,\n"
        "     long = [5000,5001,5002,5003,5004,5005,5006,5007,5008,\n"
        "             5009,5010,5011,5012,5013,5014,5015,5016,5017,\n"
        "             5018,5019]}"
    )
    long = NativeRecord(A.m, A.r, (A.long_name_of_field_and_more_of_it,), ((list(range(1, 41)),),))
    assert format_term(long) == (
        "#m:r{\n"
        "    long_name_of_field_and_more_of_it =\n"
        "        {[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,\n"
        "          26,27,28,29,30,31,32,33,34,35,36,37,38,39,40]}}"
    )
    short = NativeRecord(A.m, A.r, (A.a, A.b), (1, [1000, 2]))
    assert [format_term(short, limit=n) for n in (1, 2, 3, 5)] == [
        "#m:r{...}", "#m:r{...}", "#m:r{a = 1,...}", "#m:r{a = 1,b = [1000|...]}",
    ]  # fmt: skip
    assert format_term(NativeRecord(A.m, A.r, (), ())) == "#m:r{}"


def test_identifiers_of_the_local_node_print_as_local() -> None:
    assert format_term(PID, node=NODE) == "<0.1.2>"
    assert format_term(PID, style="elixir", node=NODE) == "#PID<0.1.2>"


def test_lines_break_as_of_the_shell() -> None:
    term = (A.ok, [(A.name, b"a" * 30), (A.more, {A.key: list(range(20)), A.other: b"b" * 40})], A.done)
    assert format_term(term) == (
        '{ok,[{name,<<"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">>},\n'
        "     {more,#{key => [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19],\n"
        '             other => <<"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb">>}}],\n'
        "    done}"
    )
    assert format_term([A.alpha, {A.key: b"x" * 10}], style="elixir", width=20) == (
        '[\n  :alpha,\n  %{\n    key: "xxxxxxxxxx"\n  }\n]'
    )


def test_a_limit_cuts() -> None:
    assert format_term([1, [2, [3, [4]]], A.a, A.b], limit=3) == "[1,[...]|...]"
    assert format_term((1, 2, 3), limit=0) == "..."
    assert format_term([A.a, A.b, A.c], style="elixir", limit=2) == "[:a, :b, ...]"
    assert format_term({A.a: 1, A.b: 2}, style="elixir", limit=1) == "%{a: 1, ...}"


def test_latin1_printing_escapes_what_is_above() -> None:
    assert format_term((A["日本"], "é"), unicode=False) == "{'\\x{65E5}\\x{672C}',<<\"Ã©\">>}"
    assert format_term([0x65E5], charset="latin1") == "[26085]"
    assert format_term([0x65E5]) == '"日"'


def test_maps_print_in_their_order_or_sorted() -> None:
    assert format_term({A.b: 1, 2: 1, A.a: 1}) == "#{b => 1,2 => 1,a => 1}"
    assert format_term({A.b: 1, 2: 1, A.a: 1}, sort_maps=True) == "#{2 => 1,a => 1,b => 1}"


def nested(depth: int) -> Any:
    term: Any = []
    for _ in range(depth):
        term = [term]
    return term


@pytest.mark.parametrize("style", ["erlang", "elixir"])
def test_any_nesting_prints_and_is_read(style: Any) -> None:
    text = format_term(nested(20_000), style=style, width=0)
    assert text == "[" * 20_001 + "]" * 20_001
    assert format_term(parse_term(text, style=style), style=style, width=0) == text


@pytest.mark.parametrize("style", ["erlang", "elixir"])
def test_a_term_of_absurd_nesting_prints_on_one_line(style: Any) -> None:
    assert "\n" not in format_term(nested(2_000), style=style)
    assert "\n" in format_term(nested(400), style="elixir")


def test_a_value_that_is_no_term_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="object has no form as a term"):
        format_term([object()])


@pytest.mark.parametrize("call", [lambda: format_term(1, style="lfe"), lambda: parse_term("1", style="lfe")])  # type: ignore[arg-type]
def test_an_unknown_style_is_a_usage_error(call: Any) -> None:
    with pytest.raises(UsageError, match="'erlang' or 'elixir', not 'lfe'"):
        call()


READ: list[tuple[str, Any]] = [
    (" ok . % the end", A.ok),
    ('{a, \'B c\', "x\\ty", <<"z">>}', (A.a, A["B c"], [120, 9, 121], b"z")),
    ("[1, 2 | [3 | 4]]", ImproperList((1, 2, 3), 4)),
    ("[1 | [2, 3]]", [1, 2, 3]),
    ('"ab" "cd"\n"e"', [97, 98, 99, 100, 101]),
    ("16#f_F", 255),
    ("36#Z", 35),
    ("1_000.5e-1", 100.05),
    ("-1.5E3", -1500.0),
    ("+7", 7),
    ("- 7", -7),
    ("[$a, $\\n, $\\\\, $\\x{65E5}, $ , $\\^A, $\\101, $\\s]", [97, 10, 92, 0x65E5, 32, 1, 65, 32]),
    ("'a\\'b\\\\'", A["a'b\\"]),
    ("'\\x{65E5}本'", A["日本"]),
    ("[true, false, nil, undefined]", [True, False, None, A.undefined]),
    ("#{a => 1, 1 => x, 1.0 => y}", TermMap([(A.a, 1), (1, A.x), (1.0, A.y)])),
    ("#{a => 1, a => 2}", {A.a: 2}),
    ("#{[1] => #{}}", {FrozenList([1]): {}}),
    ("#{}", {}),
    ("fun m:'f g'/3", ExternalFun(A.m, A["f g"], 3)),
    ('<<1, -1, 257, "é", "日"/utf8, 1:4, 5:12>>', b"\x01\xff\x01\xe9\xe6\x97\xa5\x10\x05"),
    ("<<1:1, 0:2>>", Bitstring(b"\x80", 3)),
    ("<<1:16/little, 1.5/float, 1.0:32/float, $a/utf16>>", b"\x01\x00\x3f\xf8" + bytes(6) + b"\x3f\x80\x00\x00\x00a"),
    ("<<>>", b""),
    ("['maybe', 'else']", [A.maybe, A["else"]]),
]


@pytest.mark.parametrize(("text", "term"), READ)
def test_erlang_text_is_read(text: str, term: Any) -> None:
    assert identical(parse_term(text), term)


READ_ELIXIR: list[tuple[str, Any]] = [
    ('[:a, :"b c", B.C, nil, true, :+, :ok?]', [A.a, A["b c"], A["Elixir.B.C"], None, True, A["+"], A["ok?"]]),
    ("{}", ()),
    ('%{:a => 1, "k" => 2.5, c: ~c"x"}', {A.a: 1, b"k": 2.5, A.c: [120]}),
    ('%User{name: "Ann",}', Struct(A["Elixir.User"], {A.name: b"Ann"})),
    ("%User{}", Struct(A["Elixir.User"], {})),
    ('[1, a: 1, "b c": 2]', [1, (A.a, 1), (A["b c"], 2)]),
    ("{:ok, a: 1}", (A.ok, [(A.a, 1)])),
    ("[1 | 2]", ImproperList((1,), 2)),
    ("[0xFF, 0b11, 0o17, ?a, ?\\n, 1_0, -5, 1.0e3]", [255, 3, 15, 97, 10, 10, -5, 1000.0]),
    ('"\\u00e9\\x41\\xff\\u{1F600}\\s\\0"', "éA".encode() + b"\xff" + "\U0001f600 \0".encode()),
    ("'abc'", [97, 98, 99]),
    ('<<1, 2::4, 3::size(4), "é", "é"::utf16>>', b"\x01\x23\xc3\xa9\x00\xe9"),
    ("1..5//2", Range(1, 5, 2)),
    ("-1..-5", Range(-1, -5, -1)),
    ("&String.upcase/1", ExternalFun(A["Elixir.String"], A.upcase, 1)),
    ('&:m."a b"/1', ExternalFun(A.m, A["a b"], 1)),
    ("[] # nothing", []),
]


@pytest.mark.parametrize(("text", "term"), READ_ELIXIR)
def test_elixir_text_is_read(text: str, term: Any) -> None:
    assert identical(parse_term(text, style="elixir"), term)


BROKEN = [
    ("{ok", "expected ',' or '}', not the end of the text, at character 4"),
    ("[1,}", "expected a term, not '}', at character 4"),
    ("[1 2]", "expected ',', '|' or ']', not what follows, at character 4"),
    ("[1|2,3]", "expected ']', not ',', at character 5"),
    ("#{a}", "expected '=>', not '}', at character 4"),
    ("#{a => 1; b}", "';' begins no term at character 9"),
    ("<<1,a>>", "expected a number, a string or a binary, not what follows, at character 5"),
    ("<<1/wide>>", "'wide' is no type of a segment in a term at character 3"),
    ("<<1:x>>", "expected a size, not what follows, at character 5"),
    ("<<1.5:7/float>>", "a float has 16, 32 or 64 bits at character 3"),
    ('"abc', 'no closing " for the one at character 1'),
    ("Abc", "Abc is a variable; an atom that begins so is written 'Abc' at character 1"),
    ("<0.1.2>", "a pid is read relative to a node, and none is given at character 1"),
    ("#Ref<0.1>", "Ref is a variable; an atom that begins so is written 'Ref' at character 2"),
    ("#rec{}", "'#' begins a map, #{…}; records and identifiers can not be read from text at character 1"),
    ("case", "expected a term, not 'case', at character 1"),
    ("fun x", "expected ':', not the end of the text, at character 6"),
    ("fun m:f/256", "expected an arity of 0..255, not what follows, at character 9"),
    ("a b", "expected the end of the text, not what follows, at character 3"),
    ("", "expected a term, not the end of the text, at character 1"),
    ("-a", "expected a number, not what follows, at character 2"),
    ("37#1", "the base of a number is 2..36, not 37 at character 1"),
    ("2#12", "not a number of base 2 at character 1"),
    ("1.0e400", "a float beyond 1.8e308 at character 1"),
    ('"\\x{110000}"', "\\x{110000} is not a character at character 2"),
    ("'" + "a" * 256 + "'", "an atom has at most 255 characters, this one 256 at character 1"),
    ("\x01\U0001f600", "'\U0001f600' begins no term at character 2"),
]


@pytest.mark.parametrize("style", ["erlang", "elixir"])
def test_a_map_with_keys_of_any_nesting_is_read_and_printed(style: Any) -> None:
    deep = "[" * 3_000 + "]" * 3_000
    text = {"erlang": f"#{{{deep} => 2,a => 1}}", "elixir": f"%{{{deep} => 2, :a => 1}}"}[style]
    read = parse_term(text, style=style)
    assert type(read) is TermMap
    assert read[A.a] == 1
    assert parse_term(format_term(read, style=style, width=0), style=style) == read


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_broken_text_is_refused_with_its_position(text: str, message: str) -> None:
    with pytest.raises(TermSyntaxError) as caught:
        parse_term(text)
    assert str(caught.value) == message
    assert message.endswith(str(caught.value.position + 1))


BROKEN_ELIXIR = [
    ("%{1}", "expected '=>', not '}', at character 4"),
    ('"a#{1}"', "interpolation is code, not a term at character 2"),
    ("foo", "expected a term, not 'foo', at character 1"),
    ("#PID<0.1.2>", "an identifier is read relative to a node, and none is given at character 1"),
    ("{<: }", "expected a term, not '}', at character 5"),
    ("%Foo{1}", "expected a key, not what follows, at character 6"),
    ("[a: 1, 2]", "expected a key, not what follows, at character 8"),
    ("1 + 2", "expected the end of the text, not '+', at character 3"),
    ("[1", "expected ',', '|' or ']', not the end of the text, at character 3"),
    ("{1 2}", "expected ',' or '}', not what follows, at character 4"),
    ("[1 | 2, 3]", "expected ']', not ',', at character 7"),
    ("&foo/1", "'&' begins a function, &Module.name/arity at character 1"),
    ("&M.f/256", "an arity is 0..255 at character 1"),
    ('"abc', 'no closing " for the one at character 1'),
    (':"\\xff"', "bytes that are no UTF-8 at character 2"),
    ("1..a", "expected the end of a range, not 'a', at character 4"),
    ("<<a>>", "expected a number or a string, not 'a', at character 3"),
    ("<<1::2.5>>", "expected a size or a type, not what follows, at character 6"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_ELIXIR)
def test_broken_elixir_text_is_refused_with_its_position(text: str, message: str) -> None:
    with pytest.raises(TermSyntaxError) as caught:
        parse_term(text, style="elixir")
    assert str(caught.value) == message


def test_consult_reads_terms_that_end_with_dots() -> None:
    assert consult("% config\n{port, 80}.\n{name, x}. \n") == [(A.port, 80), (A.name, A.x)]
    assert consult("") == []
    with pytest.raises(TermSyntaxError, match=r"expected '\.', not the end of the text, at character 4"):
        consult("ok ")


@pytest.mark.parametrize("style", ["erlang", "elixir"])
def test_generated_terms_are_read_back_exactly(style: Any) -> None:
    for term in terms(21, 500):
        for width in (0, 40):
            assert identical(parse_term(format_term(term, style=style, width=width), style=style), term)
