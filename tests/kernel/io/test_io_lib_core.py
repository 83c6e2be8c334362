"""What `io_lib:format` makes of a format; the whole table is compared with a BEAM in `interop_tests`."""

import pytest

from pyerlnode.kernel.io import io_lib_core
from pyerlnode.kernel.io.io_lib_core import BadFormat, chars
from pyerlnode.term import A
from pyerlnode.term.containers import ImproperList


@pytest.mark.parametrize(
    ("template", "args", "made"),
    [
        ("~p and ~w", [[97, 98], [97, 98]], '"ab" and [97,98]'),
        ("~s|~5s|~-5s|~.2s|~2s", [b"abc", b"abc", A.abc, [97, 98, 99], "abc"], "abc|  abc|abc  |ab|ab"),
        ("~ts~tc", ["é".encode(), 955], "éλ"),
        ("~3w|~-3w|~1w", [A.a, A.a, A.abc], "  a|a  |*"),
        ("~B ~.16B ~.16b ~.36B ~5..0B", [10, 255, 255, -35, 42], "10 FF ff -Z 00042"),
        ("~.16# ~.16+ ~.10X", [255, 255, -3, b"n"], "16#FF 16#ff -n3"),
        ("~f ~.1f ~e ~g ~g", [1.5, 2, 1234.5, 0.5, 1e9], "1.500000 2.0 1.23450e+3 0.500000 1.00000e+9"),
        ("~c~3c~~~n~i", [65, 66, A.gone], "ABBB~\n"),
        ("~W", [[1, 2, 3, 4], 3], "[1,2|...]"),
        ("~*s", [4, b"x"], "   x"),
        ("~5..*s", [42, b"x"], "****x"),
        ("ends with ~p", [1], "ends with 1"),
    ],
)
def test_a_format_gives_the_text_of_otp(template, args, made):
    assert io_lib_core.format(template, args) == made


@pytest.mark.parametrize(
    ("template", "args"),
    [
        ("~p", []), ("~p", [1, 2]), ("~q", [1]), ("~", []), ("~5", []), ("~s", [1.5]), ("~s", [[955]]), ("~B", [1.0]),
        ("~.99B", [1]), ("~f", [A.a]), ("~.0f", [1.0]), ("~tc", [-1]), ("~ts", [[0xD800]]), ("~9999999w", [1]),
        ("~*s", [A.a, b"x"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_documented_error(template, args):
    with pytest.raises(BadFormat):
        io_lib_core.format(template, args)


def test_lines_of_a_term_begin_where_the_first_one_does():
    text = io_lib_core.format("items: ~p", [list(range(100, 140))])
    lines = text.split("\n")
    assert len(lines) > 1
    assert all(line.startswith(" " * 8) for line in lines[1:])


def test_chardata_of_any_nesting_is_text():
    deep = b"x"
    for _ in range(50_000):
        deep = [deep]
    assert chars([deep, ImproperList((104, "é"), "ö".encode()), [], "!"]) == "xhéö!"
    assert chars(b"\xff") == "ÿ"
    assert chars(b"\xc3\xa9", "latin-1") == "Ã©"
    with pytest.raises(BadFormat):
        chars([A.a])


@pytest.mark.parametrize(
    ("template", "args"),
    [
        ("~900000s" * 2, [b"", b""]),
        ("~*c" * 40, [30_000, 65] * 40),
        ("~99999c~p", [65, [[b"line" * 20] * 3] * 20]),
        ("~999999n~2n", []),
        ("~b" * 3, [1 << 400_000] * 3),
    ],
)
def test_the_fields_of_a_format_are_bounded_together(template, args):
    with pytest.raises(BadFormat, match="together"):
        io_lib_core.format(template, args)


DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_large_integers_are_written_in_any_base():
    for base in (2, 3, 7, 10, 36):
        for value in (0, 1, base - 1, base, base**100, base**100 - 1, 3**5000):
            text = io_lib_core.based(value, base)
            digits = [DIGITS.index(character) for character in reversed(text)]
            assert sum(digit * base**place for place, digit in enumerate(digits)) == value
            assert io_lib_core.based(-value, base) == ("-" if value else "") + text
    assert len(io_lib_core.based(1 << 400_000, 3)) == 252_372
