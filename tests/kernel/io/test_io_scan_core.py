"""The tokens that `io:read` wants."""

import pytest

from pyerlnode.errors import TermSyntaxError
from pyerlnode.kernel.io.io_scan_core import complete, tokens
from pyerlnode.term import A


def test_a_term_is_complete_behind_its_dot_and_line():
    assert complete("{a, 1.5}") == 0
    assert complete("{a, 1.5}.") == 0
    assert complete("{a, 1.5}.\nrest") == 10
    assert complete('"a. b".\n') == 8


def test_tokens_have_the_shape_of_erl_scan():
    assert tokens("{ok, $a, \"hi\", 1.5}.\n") == [
        (A["{"], 1), (A.atom, 1, A.ok), (A[","], 1), (A.char, 1, 97), (A[","], 1), (A.string, 1, [104, 105]),
        (A[","], 1), (A.float, 1, 1.5), (A["}"], 1), (A.dot, 1),
    ]  # fmt: skip
    assert tokens("true")[0][0] is A.atom
    assert tokens("")[-1] == (A.dot, 1)


def test_what_is_no_term_is_a_syntax_error():
    with pytest.raises(TermSyntaxError):
        tokens("Variable.\n")
