"""The scanner, as text comes in; that its tokens are those of `erl_scan` is held beside a BEAM."""

import pytest

from pyerlnode.kernel.io.erl_scan_core import Scanned, tokens
from pyerlnode.term import A

TEXT = "F = fun(X) -> \"a. b\" ++ 'c. d' end, % so. far\n $. + 1.5e3 = 16#ff. rest"


def test_an_expression_is_wanted_to_its_dot_however_it_comes() -> None:
    whole = tokens(TEXT, 1, [], True)
    assert whole is not None
    assert TEXT[whole.end :] == "rest"
    for cut in range(len(TEXT)):
        early = tokens(TEXT[:cut], 1, [], False)
        assert early == (None if cut < whole.end else whole)


def test_tokens_have_the_shape_of_erl_scan() -> None:
    assert tokens('{X, $a, "hi"}.\n', (2, 5), [], False) == Scanned(
        (A.ok, [(A["{"], (2, 5)), (A.var, (2, 6), A.X), (A[","], (2, 7)), (A.char, (2, 9), 97), (A[","], (2, 11)),
                (A.string, (2, 13), [104, 105]), (A["}"], (2, 17)), (A.dot, (2, 18))], (3, 1)), 15,
    )  # fmt: skip
    assert tokens("", 4, [], True) == Scanned((A.eof, 4), 0)


@pytest.mark.parametrize("digits", ["9" * 5000, "2#" + "1" * 20_000])
def test_a_number_of_any_length_is_a_token_or_an_error(digits: str) -> None:
    scanned = tokens(f"{digits}. ", 1, [], False)
    assert scanned is not None
    assert scanned.answer[0] in (A.ok, A.error)
