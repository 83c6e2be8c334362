"""Any text is a term or a `TermSyntaxError`; any term prints, is read back, and keeps its order and its hash.

With ``HYPOTHESIS_PROFILE=long`` fifty times as many.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term import A, Bitstring, ExternalFun, ImproperList
from pyerlnode.term.order import compare, identical, sort_key
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.text import consult, format_term, parse_term
from pyerlnode.term.text.parse import make_map
from tests.helpers import hostile

pytestmark = pytest.mark.timeout(1800)  # the long profile
TIMES = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ATOMS = NAMES.map(lambda name: A[name])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
BITS = st.builds(Bitstring, st.binary(min_size=1, max_size=5), st.integers(1, 7))
FUNS = st.builds(
    ExternalFun, *[NAMES.map(lambda name: A[name or "f"]).filter(lambda a: hasattr(a, "utf8"))] * 2, st.integers(0, 255)
)
LEAVES = (
    ATOMS | st.integers() | FLOATS | st.binary(max_size=20) | BITS | FUNS | NAMES.map(lambda t: [ord(c) for c in t])
)


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.lists(st.tuples(inner, inner), max_size=4)
    return (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | keys.map(make_map)
        | st.builds(
            ImproperList,
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            LEAVES.filter(lambda t: t.__class__ is not list),
        )
    )


TERMS = st.recursive(LEAVES, compound, max_leaves=15)
SCRAPS = st.lists(
    st.sampled_from(
        [
            *(
                "[",
                "]",
                "{",
                "}",
                "#{",
                "=>",
                ",",
                "|",
                "<<",
                ">>",
                "/utf8",
                ":",
                "a",
                "'a b'",
                '"s"',
                '"',
                "'",
                "$",
                "$a",
            ),
            *(
                "1",
                "1.5",
                "16#F",
                "-",
                ".",
                " ",
                "\n",
                "%",
                "fun",
                "m:f/1",
                "\\",
                "X",
                "<0.1.2>",
                "%{",
                ":a",
                "a: ",
                "?a",
            ),
            *("..", "&M.f/1", "~c", "nil", "::", "\x00", "é", "日"),
        ]
    ),
    max_size=20,
).map("".join)


def syntax_error(read: Callable[[str], Any], text: str) -> TermSyntaxError | None:
    """The error that `text` gives, if any; any other exception goes through."""
    try:
        read(text)
    except TermSyntaxError as error:
        return error
    return None


@pytest.mark.parametrize("style", ["erlang", "elixir"])
@given(text=st.text(max_size=30) | SCRAPS)
@settings(max_examples=400 * TIMES, deadline=None)
def test_any_text_is_a_term_or_a_syntax_error(style: Any, text: str) -> None:
    for read in (lambda text: parse_term(text, style=style), consult):
        error = syntax_error(read, text)
        assert error is None or 0 <= error.position <= len(text)
    if syntax_error(lambda text: parse_term(text, style=style), text) is None:
        term = parse_term(text, style=style)
        assert identical(parse_term(format_term(term, style=style), style=style), term)


@given(term=TERMS, width=st.sampled_from([0, 1, 20, 80]))
@settings(max_examples=200 * TIMES, deadline=None)
def test_any_term_prints_and_is_read_back(term: Any, width: int) -> None:
    for style in ("erlang", "elixir"):
        assert identical(parse_term(format_term(term, style=style, width=width), style=style), term)  # type: ignore[arg-type]
    assert identical(parse_term(format_term(term, unicode=False, charset="latin1", width=width)), term)


ANY = TERMS | hostile.terms()


@given(one=ANY, other=ANY, third=ANY)
@settings(max_examples=200 * TIMES, deadline=None)
def test_the_order_is_total_and_equal_terms_hash_alike(one: Any, other: Any, third: Any) -> None:
    for exact in (False, True):
        assert compare(one, one, exact=exact) == 0
        assert compare(one, other, exact=exact) == -compare(other, one, exact=exact)
        low, middle, high = sorted((one, other, third), key=lambda term: sort_key(term, exact=exact))
        assert compare(low, middle, exact=exact) <= 0
        assert compare(low, high, exact=exact) <= 0
        assert compare(middle, high, exact=exact) <= 0
    if identical(one, other):
        assert phash2(one) == phash2(other)
