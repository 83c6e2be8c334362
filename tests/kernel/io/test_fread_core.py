"""Formatted input; that it reads as `io_lib` does is held beside a BEAM."""

from pyerlnode.kernel.io.fread_core import Reader
from pyerlnode.term import A


def test_a_format_asks_for_lines_until_it_has_all() -> None:
    reader = Reader("~d ~s")
    assert reader.line("12\n") is None
    assert reader.line("\n") is None
    assert reader.line("word rest\n") == (A.ok, [12, [*b"word"]])
    assert reader.rest == " rest\n"


def test_an_input_that_ends_is_eof_or_an_error() -> None:
    assert Reader("~d").line(None) is A.eof
    assert Reader("~d ~d").line("1") == (A.error, (A.fread, A.input))
    assert Reader("~d").line("x\n") == (A.error, (A.fread, A.integer))
    assert Reader("~q").line("x\n") == (A.error, (A.fread, A.format))
