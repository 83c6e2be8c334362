"""What shells of several releases answered, and what a word becomes by it."""

from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.tools.remsh.completion_core import candidates


def chars(text: str) -> list[int]:
    return [ord(c) for c in text]


ARITY = [(chars("keyfind"), [(A.ending, chars("("))]), (chars("keymap"), [(A.ending, chars("("))])]
SECTION = {A.title: chars("Functions"), A.elems: ARITY, A.options: [A.highlight_all]}


@pytest.mark.parametrize(
    ("word", "answer", "becomes"),
    [
        ("rever", (A.yes, chars("se("), []), ["reverse("]),
        ("key", (A.yes, [], [SECTION]), ["keyfind", "keymap"]),
        ("key", (A.no, [], [(chars("keyfind"), 3), (chars("keymap"), 2)]), ["keyfind", "keymap"]),
        ("ma", (A.yes, [], [chars("map/2"), chars("map_join/2"), chars("map_join/3")]), ["map", "map_join"]),
        ("up", (A.yes, b"case", []), ["upcase"]),
        ("zzz", (A.no, [], []), []),
        ("x", A.undefined, []),
        ("x", (A.yes, [(1, 2)], [7, None, [], ()]), []),
    ],
)
def test_a_word_is_completed_or_its_completions_are_listed(word: str, answer: Any, becomes: list[str]) -> None:
    assert candidates(word, answer) == becomes
