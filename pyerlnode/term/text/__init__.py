r"""Terms as text and text as terms, in Erlang's and in Elixir's notation.

    >>> from pyerlnode.term import A
    >>> from pyerlnode.term.text import consult, format_term, parse_term
    >>> print(format_term((A.ok, [1, 2.5, b"text"], {A.key: "é"})))
    {ok,[1,2.5,<<"text">>],#{key => <<"é"/utf8>>}}
    >>> parse_term('{ok, [1, 2.5, <<"text">>]}')
    (A.ok, [1, 2.5, b'text'])
    >>> print(format_term({A.key: [(A.a, 1)]}, style="elixir"))
    %{key: [a: 1]}
    >>> consult('{port, 8080}. {host, "localhost"}.')
    [(A.port, 8080), (A.host, [108, 111, 99, 97, 108, 104, 111, 115, 116])]

Printing takes any value that has a form as a term and terms of any nesting; parsing refuses more than
`pyerlnode.limits.Limits.nesting` levels. Identifiers (pids, ports, references) are read when it is said which node has
printed them (`identifiers`); closures print, and can not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import Atom
from pyerlnode.term.text.chars import NEWEST
from pyerlnode.term.text.identifiers import Owner, parse_identifier
from pyerlnode.term.text.layout import pretty
from pyerlnode.term.text.print import Printer

Style = Literal["erlang", "elixir"]

MAX_LAYOUT_NESTING = 500
"""A term of more levels prints on one line: indenting it would take room by the square of its nesting."""

__all__ = ["consult", "format_term", "parse_identifier", "parse_term"]


def format_term(
    term: Any,
    *,
    style: Style = "erlang",
    width: int = 80,
    limit: int | None = None,
    unicode: bool = True,
    charset: Literal["unicode", "latin1"] = "unicode",
    sort_maps: bool = False,
    node: Atom | None = None,
    fields: Mapping[Atom, Sequence[Atom]] | None = None,
    release: int = NEWEST,
) -> str:
    """`term` as ``io:format("~tp")`` prints it, or as Elixir's ``inspect(term, pretty: true)`` does.

    Args:
        term: any value that has a form as a term.
        style: "erlang" or "elixir".
        width: characters of a line; 0 gives one line (``~0tp``; ``inspect`` without ``pretty``).
        limit: how much to show. Erlang: the depth, as of ``~tP``. Elixir: elements in all containers together,
            as of ``limit:``; `None` shows all.
        unicode: False prints as ``~p`` does: latin-1 text only, other characters of atoms as ``\\x{…}``.
        charset: which characters count as text in lists and binaries: "unicode" as on a VM started with
            ``+pc unicode``, "latin1" as on one without (Erlang only).
        sort_maps: print maps in the order of their keys (``~ktp``), not in the order that they have.
        node: the local node, whose identifiers print as ``<0.1.2>``; those of others show their node's name.
        fields: the order of the fields of structs, by their modules, as ``Module.__info__(:struct)`` of their node
            tells it (Elixir only); of others it is the order that they have.
        release: the OTP release of the node: Elixir shows maps of more than 32 keys in the order of the BEAM's
            ``maps:to_list/1``, which OTP 29 changed (Elixir only).

    Raises:
        EncodeError: a value in `term` has no form as a term.
        UsageError: an unknown style.
    """
    if style == "erlang":
        depth = -1 if limit is None else limit
        printer = Printer(charset=charset, unicode=unicode, depth=depth, sort_maps=sort_maps, node=node)
        root = printer.tree(term)
        return pretty(root, width if printer.deepest <= MAX_LAYOUT_NESTING else 0)
    if style == "elixir":
        from pyerlnode.term.text.algebra import layout  # Elixir's notation, for those who ask for it
        from pyerlnode.term.text.inspect import Inspector

        inspector = Inspector(limit=limit, sort_maps=sort_maps, node=node, fields=fields, release=release)
        doc = inspector.doc(term)
        return layout(doc, width if inspector.deepest <= MAX_LAYOUT_NESTING else 0)
    raise UsageError(f"the style of a text is 'erlang' or 'elixir', not {style!r}")


def parse_term(
    text: str,
    *,
    style: Style = "erlang",
    release: int = NEWEST,
    node: Atom | str | None = None,
    creation: int = 0,
) -> Any:
    """The one term that `text` holds, with or without a final dot.

    Erlang strings are lists of code points, Elixir strings are binaries. `release` is the OTP release whose rules hold
    for Erlang text: 27 brought sigils and strings in three quotes, and took the atoms `maybe` and `else`; 28 floats
    with a base.

    `node` is the node whose text it is, in its life `creation`: its identifiers are read (``<0.858.0>``), and those
    with a node's name in them. Without it none is.

    Raises `TermSyntaxError` with the position and what was expected there.
    """
    owner = None if node is None else Owner(Atom(node) if isinstance(node, str) else node, creation)
    if style == "erlang":
        from pyerlnode.term.text.parse import parse_erlang  # most programs print, and parse nothing

        return parse_erlang(text, release, owner)
    if style == "elixir":
        from pyerlnode.term.text.elixir import parse_elixir  # as above

        return parse_elixir(text, owner)
    raise UsageError(f"the style of a text is 'erlang' or 'elixir', not {style!r}")


def consult(text: str, *, release: int = NEWEST) -> list[Any]:
    """All terms of `text`, each ended by a dot, as ``file:consult/1`` of that release reads a file.

    Raises `TermSyntaxError`.
    """
    from pyerlnode.term.text.parse import consult as terms_of  # as above

    return terms_of(text, release)
