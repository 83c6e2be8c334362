"""Results are folded and errors are three lines, whatever they hold."""

from pyerlnode import A
from pyerlnode.tools.shell.display_core import FOLDED, TERMS, error, shown
from tests.helpers.hostile import EDGES

NODE = A["app@h"]


def test_a_result_is_a_term_of_the_dialect() -> None:
    assert shown((A.ok, b"x"), "erlang", NODE) == '{ok,<<"x">>}'
    assert shown((A.ok, b"x"), "elixir", NODE) == '{:ok, "x"}'


def test_a_long_result_is_folded_and_says_how_much_more_there_is() -> None:
    for term in ([7] * 445_583, (7,) * 445_583, dict.fromkeys(range(445583), 7)):
        text = shown(term, "erlang", NODE)
        assert text.count("7") >= FOLDED
        assert f"… {445_583 - FOLDED} more" in text
        assert len(text) < 1000


def test_a_large_result_within_a_small_one_is_cut() -> None:
    assert len(shown((A.ok, list(range(100_000))), "erlang", NODE)) < 10_000


def test_hostile_terms_are_shown() -> None:
    for term in EDGES:
        if type(term) in TERMS:
            assert shown(term, "elixir", NODE)


def test_an_error_is_three_lines_however_long_its_text_is() -> None:
    lines = error("RemoteError", "a\nb" + "x" * 1000, "app.lists.reverse(1)").split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) < 400
    assert lines[1:] == ["  in app.lists.reverse(1)", "  (%tb shows all of it)"]
