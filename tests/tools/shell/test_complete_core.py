"""Tab offers what may follow a dot, with arities, and what may stand within quotes."""

import pytest

from pyerlnode.tools.shell.complete_core import attributes, dotted, quoted

MODULES = ["lists", "Elixir.MyApp", "Elixir.MyApp.Repo", "Elixir.String", "weird-one", "list_of"]
EXPORTS = {
    "lists": [("reverse", 2), ("reverse", 1), ("member", 2), ("not", 1), ("odd name", 0)],
    "Elixir.MyApp": [("start", 0)],
}


def offered(line: str) -> dict[str, str]:
    _, *path, begun = dotted(line)
    return attributes(path, begun, MODULES, lambda module: EXPORTS.get(module, []))


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("app.li", {"list_of": "", "lists": ""}),
        ("x = app.lists.", {"member": "/2", "reverse": "/1 /2"}),
        ("app.lists.rev", {"reverse": "/1 /2"}),
        ("f(app.Elixir.", {"MyApp": "", "String": ""}),
        ("app.Elixir.MyApp.", {"Repo": "", "start": "/0"}),
        ("app.nothing.", {}),
    ],
)
def test_after_a_dot_stand_modules_and_functions(line: str, offers: dict[str, str]) -> None:
    assert offered(line) == offers


def test_what_python_can_not_write_after_a_dot_is_left_out() -> None:
    assert "weird-one" not in offered("app.")
    assert not {"not", "odd name"} & offered("app.lists.").keys()


@pytest.mark.parametrize("line", ["", "app", "1.5", "f(x", "'a.b", "x[0]", "app."[:3] + " "])
def test_other_ends_of_a_line_are_no_dotted_names(line: str) -> None:
    assert dotted(line) in ([], ["a", "b"])


@pytest.mark.parametrize(
    ("line", "begun"),
    [
        ('cluster.ping("app@', "app@"),
        ("cluster.call('", ""),
        ('x = ["a", "b', "b"),
        ('f("done")', None),
        ('f("a" ', None),
        ("plain", None),
    ],
)
def test_within_quotes_is_a_text_that_is_begun(line: str, begun: str | None) -> None:
    assert quoted(line) == begun
