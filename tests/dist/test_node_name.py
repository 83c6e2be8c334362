"""Names of nodes: one @ with text on both sides, long or short."""

import pytest

from pyerlnode.dist.node_name import NodeName, check_style, parse, parse_peer
from pyerlnode.errors import BadName


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("app@127.0.0.1", True),
        ("a-b_C9@node.example.org", True),
        ("app@::1", True),
        ("app@box", False),
        ("app@localhost", False),
    ],
)
def test_a_name_is_long_when_its_host_has_a_dot_or_a_colon(text: str, long: bool) -> None:
    name = parse(text)
    assert str(name) == text
    assert name.is_long is long


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("app", "'app' has no host part: write it as app@host, e.g. app@127.0.0.1"),
        ("app@", "has no host part"),
        ("", "has no host part"),
        ("@h", "has no part before the @: write it as app@h"),
        ("a@b@c", "more than one @"),
        ("a b@c", "letters, digits, _ and - only"),
        ("a@b c", "blanks"),
        ("é@c", "letters, digits"),
        ("a" * 255 + "@b", "at most 255 characters, this one 257"),
    ],
)
def test_a_bad_name_is_one_line_that_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(BadName) as caught:
        parse(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_name_that_is_no_str_is_a_bad_name() -> None:
    with pytest.raises(BadName, match="not bytes"):
        parse(b"a@b")  # type: ignore[arg-type] - what a program may well do


def test_a_peer_may_have_a_name_that_we_would_not_take() -> None:
    assert parse_peer("é.x+1@h") == NodeName("é.x+1", "h")
    for text in ("a b@c", "a\n@c", "a\0@c", "x"):
        with pytest.raises(BadName):
            parse_peer(text)


def test_long_and_short_names_do_not_meet() -> None:
    check_style(parse("a@h.x"), parse("b@127.0.0.1"))
    check_style(parse("a@h"), parse("b@g"))
    with pytest.raises(BadName, match=r"b@g is a short name and this node, a@h.x, has a long one"):
        check_style(parse("a@h.x"), parse("b@g"))


@pytest.mark.parametrize("text", ["a\nb", "\n@", "@\n", "@a\nb", "a@\nb", "\x1b[2J"], ids=repr)
def test_what_is_said_of_a_name_is_one_printable_line(text: str) -> None:
    with pytest.raises(BadName) as caught:
        parse(text)
    assert str(caught.value).isprintable()
