"""Terms, expressions and formatted input from a device of Python, beside the same text from a file of the BEAM."""

import io
from pathlib import Path
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.testing.beam import Beam

TEXTS = {
    "terms": "a.\n{b, [1, 2.5 | c]}. d. \n",
    "no dot at the end": "a. b",
    "nothing": "", "blanks": " \n\t ", "a comment": "% nothing\n% more",
    "a comment behind the dot": "foo.% c\nbar. % d\n baz.",
    "an open string": '"ab\nc', "an open atom": "x. 'q",
    "dots in quotes": "\"a. b\" 'c. d' $. . e.\n",
    "an escaped quote": "\"a\\\"b\" 'c\\'d' $\\\" $' $\" .\n",
    "lines in a string": '"a\nb". c.\n',
    "escapes": '$\\^a $\\x{41} $\\x41 $\\101 $\\s $  $\\n $\\q "\\x{400}\\d\\e\\7\\12x". \n',
    "too great a character": "$\\x{110000}. b.\n",
    "numbers": "16#fF 2#102 36#zZ 1_000 12a 1.5e-3 2.0E+5 1.e5 0010 1.5.\n",
    "bad numbers": "37#1. a. 1#0.\n", "a float that is too great": "1.0e999. a.\n", "no exponent": "1.5e. a.\n",
    "operators": "<<\"a\"/utf8>> =:= =/= ==> -> <- <= := => =< >= /= :: ++ -- || ... .. #{a:=1}?M ! !! & @ ^ ~ . \n",
    "words": "fun() -> receive of after x -> catch y end end, if not andalso xor bsl div rem let cond try when.\n",
    "variables": "X _ _a A@b Xä = ßa á@1 'É'.\n", "signs of Latin-1": "x § × ÷ ¿ .\n",
    "characters beyond": "a ∀ b. c.\n", "quoted beyond": "'∀' \"∀\" $∀ .\n",
    "an expression of several lines": "F = fun(X) ->\n  X + 1 % more\nend,\nF(2).\nnext.\n",
    "dots that are none": "a.b #r.f 1..2 X= ... ..\n", "empty quotes": "'' \"\" .\n", "form feeds": "a\f\v\x00b.\n",
}  # fmt: skip
"""What a user may write, and what he may not."""
SCAN = """Ask = fun(What) -> io:request(D, {get_until, unicode, '', erl_scan, tokens, What}) end,
    All = fun All(_, 0) -> [];
              All(What, N) -> case Ask(What) of {eof, _} = Eof -> [Eof]; Got -> [Got | All(What, N - 1)] end end,
    """
PLACES = ("[1]", "[7, []]", "[{1, 1}, [text]]", "[{3, 9}]")


@pytest.mark.parametrize("place", PLACES)
def test_the_tokens_of_a_device_are_those_of_a_file(place: str, beam: Beam, node: Any, tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        if name in _differs(beam.otp):
            continue
        (tmp_path / "text").write_text(text, encoding="utf-8", newline="")
        theirs = beam.eval(
            f"{{ok, D}} = file:open(Path, [read, {{encoding, utf8}}]), {SCAN} All({place}, 20)",
            Path=str(tmp_path / "text"),
        )
        device = node.open_device(io.StringIO(), io.StringIO(text, newline=""))
        assert (name, beam.eval(f"{SCAN} All({place}, 20)", D=device)) == (name, theirs)


def _differs(release: int) -> set[str]:
    """Texts that other releases than 25 and 26 read otherwise."""
    newer = {"an open string", "an open atom", "operators"} if release >= 27 else set()
    return newer | ({"numbers", "bad numbers"} if release >= 28 else set())


def test_expressions_and_terms_are_read_as_from_a_file(beam: Beam, node: Any, tmp_path: Path) -> None:
    text = "X = 1 +\n 2. {a, \"b\"}. -module(m). f(X) ->\n X. what is. } .\n'last'"
    (tmp_path / "text").write_text(text)
    reads = """[io:parse_erl_exprs(D, ''), io:read(D, ''), io:scan_erl_exprs(D, '', 5), io:parse_erl_form(D, '', 7),
        io:read(D, ''), io:read(D, '', 9), io:read(D, ''), io:read(D, '')]"""
    theirs = beam.text(f"{{ok, D}} = file:open(Path, [read]), {reads}", Path=str(tmp_path / "text"))
    assert beam.text(reads, D=node.open_device(io.StringIO(), io.StringIO(text))) == theirs


FREADS = [
    ("~d ~d", "12 -3\n"), ("~d", "  +7 rest\nnext\n"), ("~d~d", "1\n2\n"), ("~d", "x\nnext\n"), ("~d", ""),
    ("~d ~d", "1"), ("~3d~d", "12345\n"), ("~9d", "12\nx\n"), ("~s ~s", "one  two three\nfour\n"),
    ("~3s|~s", "abc|d\n"), ("~a ~a", "ok 'x'\n"), ("~f", "1.5\n"), ("~f", "1\n"), ("~f ~f", "-1.5e3 +2.0E-1\n"),
    ("~c~2c", "abcd\n"), ("~c", "\nx\n"), ("~4c", "ab\nx\n"), ("~*d ~d", "1 2\n"), ("~*s~l", "abc\n"),
    ("~d~l ~s", "12 ab\n"), ("~u ~16u", "12 ff\n"), ("~u", "-1\n"), ("~-~u", "-12\n"), ("~-~u", "+12\n"),
    ("~-~u", "12\n"), ("~#", "16#ff x\n"), ("~#", "-2#101\n"), ("~#", "37#1\n"), ("~#", "ff\n"),
    ("~6#~s", "16#fffx\n"), ("a~db", "a12b\n"), ("a~db", "x12\n"), ("~~~d", "~5\n"), ("~~", "x\n"),
    ("~q", "1\n"), ("~td", "1\n"), ("~ts ~tc", "∀b ∀\n"), ("~s", "a∀b\n"), ("~s", "∀\n"), ("~c", "∀\n"),
    ("~a", "∀\n"), ("", "x\n"), (" ", "  x\n"), ("~d,~d", "1,\n2\n"), ("~d", "\n\n 3\n"), ("~s", "abc\r\nd\n"),
    ("~d ~s", "1\r\n x\r\n"), ("~s", "last"), ("x ~d", "x\n\n9 y\n"), ("~40u", "1\n"), ("~1u", "1\n"),
    ("~f", "1.\n"), ("~0s", "abc\n"), ("~d", "1_0\n"), ("~16u", "f_f\n"), ("abc", "ab"), ("abc", ""),
    ("~d,", "1"), ("a~d", ""), ("abc", "abc\n"),
    ("~d ", "1 \nx\n"),
]  # fmt: skip
"""Formats and what they read."""


def test_formatted_input_is_read_as_from_a_file(beam: Beam, node: Any, tmp_path: Path) -> None:
    reads = "[io:fread(D, '', F), io:get_line(D, ''), io:fread(D, '', F)]"
    for format, text in FREADS:
        (tmp_path / "text").write_text(text, encoding="utf-8", newline="")
        codes = list(map(ord, format))
        theirs = beam.eval(
            f"{{ok, D}} = file:open(Path, [read, {{encoding, utf8}}]), {reads}", Path=str(tmp_path / "text"), F=codes
        )
        device = node.open_device(io.StringIO(), io.StringIO(text, newline=""))
        assert (format, text, beam.eval(reads, D=device, F=codes)) == (format, text, theirs)


def test_a_prompt_stands_before_what_is_read(beam: Beam, node: Any) -> None:
    made = io.StringIO()
    device = node.open_device(made, io.StringIO("1 2\nx.\n"))
    assert beam.eval('[io:fread(D, "n> ", "~d~d"), io:read(D, \'t> \')]', D=device) == [(A.ok, [1, 2]), (A.ok, A.x)]
    assert made.getvalue() == "n> t> "
