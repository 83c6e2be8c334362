"""With a limit, what is not shown is not looked at: a mailbox of any length is shown at once."""

import pytest

from pyerlnode.errors import EncodeError
from pyerlnode.term import A
from pyerlnode.term.text import Style, format_term


@pytest.mark.parametrize("width", [0, 80])
@pytest.mark.parametrize("style", ["erlang", "elixir"])
def test_what_is_beyond_the_limit_is_not_looked_at(style: Style, width: int) -> None:
    rows: list[object] = [(A.message, number, b"text") for number in range(100)]
    short = format_term(rows, style=style, width=width, limit=10)
    rows.append((object(), 1, 2))
    assert format_term(rows, style=style, width=width, limit=10) == short
    assert short.replace("\n", "").endswith("...]")
    with pytest.raises(EncodeError):
        format_term(rows, style=style, width=width)
