"""Pids, ports and references are read relative to the node that printed them, and are what was printed."""

from typing import Any

import pytest

from pyerlnode.errors import TermSyntaxError
from pyerlnode.term import A, Pid, Port, Reference
from pyerlnode.term.text import Style, format_term, parse_identifier, parse_term

NODE = A["app@host.example.com"]
RABBIT = A["rabbit@host"]
ADDRESS = A["app@127.0.0.1"]
READ = [
    ("<0.858.0>", Pid(NODE, 858, 0, 7)),
    ("#PID<0.858.3>", Pid(NODE, 858, 3, 7)),
    (" <0.1.2> ", Pid(NODE, 1, 2, 7)),
    ("<rabbit@host.1630001234.858.0>", Pid(RABBIT, 858, 0, 1630001234)),
    ("<rabbit@host.858.0>", Pid(RABBIT, 858, 0, 0)),
    ("<app@127.0.0.1.858.0>", Pid(ADDRESS, 858, 0, 0)),
    ("<app@127.0.0.1.1630001234.858.0>", Pid(ADDRESS, 858, 0, 1630001234)),
    (f"#PID<{NODE}.858.0>", Pid(NODE, 858, 0, 7)),
    ("<a@::1.858.0>", Pid(A["a@::1"], 858, 0, 0)),
    ("#Port<0.6>", Port(NODE, 6, 7)),
    (f"#Port<0.{1 << 40}>", Port(NODE, 1 << 40, 7)),
    ("#Port<rabbit@host.5.6>", Port(RABBIT, 6, 5)),
    ("#Ref<0.1.2.3>", Reference(NODE, 7, (3, 2, 1))),
    ("#Reference<0.1.2.3>", Reference(NODE, 7, (3, 2, 1))),
    ("#Ref<app@127.0.0.1.1.2.3>", Reference(ADDRESS, 0, (3, 2, 1))),
]


@pytest.mark.parametrize(("text", "identifier"), READ)
def test_an_identifier_is_read(text: str, identifier: Any) -> None:
    assert parse_identifier(text, NODE, creation=7) == identifier
    assert parse_identifier(text, NODE.name, creation=7) == identifier
    for style in ("erlang", "elixir"):
        assert parse_term(f"[{text}, {{{text}}}]", style=style, node=NODE, creation=7) == [identifier, (identifier,)]


@pytest.mark.parametrize(
    "text",
    ["<1.858.0>", "<0.858>", "<0.1.2.3>", "<0.1.x>", "<0.-1.2>", f"<0.{1 << 32}.0>", "#Port<0>", "#Port<0.1.2>",
     f"#Port<0.{1 << 64}>", "#Ref<0>", "#Ref<0.1.2.3.4.5.6>", f"#Ref<0.{1 << 32}>", "<a@h.1>", "<a@h>", "<>",
     "#Fun<0.1>", "<a@h.1.2.3.4>", "<0.1.2", "0.1.2", "<@h.1.2>", "<0." + "9" * 5_000 + ".1>"],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(TermSyntaxError):
        parse_identifier(text, NODE)


def test_without_a_node_only_those_with_a_name_are_read() -> None:
    assert parse_identifier("<rabbit@host.1.2>") == Pid(RABBIT, 1, 2, 0)
    with pytest.raises(TermSyntaxError, match="relative to a node"):
        parse_identifier("<0.1.2>")
    for style in ("erlang", "elixir"):
        with pytest.raises(TermSyntaxError, match="relative to a node"):
            parse_term("#PID<0.1.2>" if style == "elixir" else "<0.1.2>", style=style)


@pytest.mark.parametrize("style", ["erlang", "elixir"])
@pytest.mark.parametrize("node", [NODE, RABBIT, ADDRESS, A["x@10.0.0.1"], A["ü@a-b.c"]])
def test_what_is_printed_is_read_back(style: Style, node: Any) -> None:
    for term in (Pid(node, 1, 2, 7), Port(node, 1 << 33, 7), Reference(node, 7, (1, 2, 3)), Reference(node, 7, (4,))):
        nested = {term: [term, (term,)]}
        for local in (node, None):
            text = format_term(nested, style=style, node=local)
            assert parse_term(text, style=style, node=node, creation=7) == nested


def test_binaries_and_comments_stay_what_they_are() -> None:
    assert parse_term("<<1,2>>", node=NODE) == b"\x01\x02"
    assert parse_term("[#{a => <<>>}]", node=NODE) == [{A.a: b""}]
    assert parse_term("[1, # PID<0.1.2>\n2]", style="elixir", node=NODE) == [1, 2]
