"""Printing and parsing agree with a BEAM on generated terms of every kind."""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.etf import decode, encode
from pyerlnode.term import ImproperList, TermMap
from pyerlnode.term.order import identical
from pyerlnode.term.text import format_term, parse_term
from pyerlnode.testing.beam import Beam
from tests.term.generated import terms

BEAM_SRC = Path(__file__).parent / "beam_src"
COUNT = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 3_000
CHUNK = 2_000
STYLES = [{"unicode": unicode, "width": width} for unicode in (True, False) for width in (0, 80, 40)]


def holds_map(term: Any) -> bool:
    """Whether a map stands anywhere in a key."""
    if isinstance(term, (dict, TermMap)):
        return True
    if type(term) is ImproperList:
        term = (*term.items, term.tail)
    return isinstance(term, (tuple, list)) and any(map(holds_map, term))


def orderly(term: Any) -> bool:
    """Whether all maps in `term` print in the order of their terms.

    From OTP 26 on ``~k`` sorts keys that hold maps by the numbers of the node's atoms.
    """
    if isinstance(term, (dict, TermMap)):
        keys = list(term.keys())
        return (len(keys) < 2 or not any(map(holds_map, keys))) and all(map(orderly, [*keys, *term.values()]))
    if type(term) is ImproperList:
        term = (*term.items, term.tail)
    return not isinstance(term, (tuple, list)) or all(map(orderly, term))


def plain(term: Any) -> bool:
    """Whether all binaries in `term` are ASCII or no text: OTP 29 shows others by rules of its own."""
    if isinstance(term, (dict, TermMap)):
        return all(map(plain, [*term.keys(), *term.values()]))
    if type(term) is ImproperList:
        term = (*term.items, term.tail)
    if isinstance(term, bytes):
        return term.isascii()
    return not isinstance(term, (tuple, list)) or all(map(plain, term))


def chunks(seed: int, count: int = COUNT) -> Any:
    made = filter(orderly, terms(seed, count))
    while chunk := list(islice(made, CHUNK)):
        yield chunk


@pytest.mark.parametrize("charset", ["latin1", "unicode"])
def test_every_term_prints_as_on_the_beam(beam_factory: Callable[..., Beam], charset: Any) -> None:
    beam = beam_factory(args=("+pc", charset))
    beam.load(BEAM_SRC / "terms.erl")
    for chunk in chunks(1, COUNT // 2):
        if beam.otp >= 29 and charset == "latin1":
            chunk = list(filter(plain, chunk))
        texts = beam.eval("terms:show(Forms)", Forms=[encode(term) for term in chunk])
        for term, shown in zip(chunk, texts, strict=True):
            for style, text in zip(STYLES, shown, strict=True):
                assert format_term(term, sort_maps=True, charset=charset, **style) == text.decode(), style


def test_a_depth_limit_cuts_where_the_beam_cuts(beam_factory: Callable[..., Beam]) -> None:
    beam = beam_factory(args=("+pc", "unicode"))
    beam.load(BEAM_SRC / "terms.erl")
    made = list(filter(orderly, terms(3, COUNT // 6)))
    if beam.otp >= 29:
        made = list(filter(plain, made))
    forms = [encode(term) for term in made]
    for depth in (1, 2, 3, 5, 9):
        texts = beam.eval("terms:limited(Forms, Depth)", Forms=forms, Depth=depth)
        for term, text in zip(made, texts, strict=True):
            assert format_term(term, sort_maps=True, limit=depth) == text.decode(), depth


def test_every_printed_term_is_read_alike_by_the_beam_and_by_python(helper: Callable[[str], Beam]) -> None:
    beam = helper("terms.erl")
    for chunk in chunks(2):
        texts = [format_term(term, width=0) for term in chunk]
        forms = beam.eval("terms:read(Texts)", Texts=[text.encode() for text in texts])
        for term, text, form in zip(chunk, texts, forms, strict=True):
            assert identical(parse_term(text), term), text
            assert identical(decode(form), term), text
