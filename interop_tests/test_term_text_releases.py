"""Erlang text is read, and refused, as the OTP release of the BEAM reads and refuses it."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

from pyerlnode.errors import TermSyntaxError
from pyerlnode.etf import decode
from pyerlnode.term import A
from pyerlnode.term.order import identical
from pyerlnode.term.text import parse_term
from pyerlnode.testing.beam import Beam
from tests.term.text.erlang_texts import TEXTS

REFUSED = A.refused
READ = """
    lists:map(fun(Text) ->
        try
            {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text)),
            {ok, Term} = erl_parse:parse_term(Tokens),
            term_to_binary(Term)
        catch _:_ -> refused
        end
    end, Texts)
"""
SEED = 7
MUTATIONS = 3_000
PIECES = [
    *"()[]{}<>|,:/#+-~\"'\\$ %.\n019aeZ_b",
    "<<",
    ">>",
    '"""\n',
    "=>",
    "\\x{41}",
    "\\^",
    "é",
    "☺",
    "/binary",
    "~b",
]


def mutated(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    for _ in range(MUTATIONS):
        text = chance.choice(TEXTS)
        for _ in range(chance.randint(1, 3)):
            at = chance.randint(0, len(text))
            text = text[:at] + chance.choice([*PIECES, "", chance.choice(TEXTS)]) + text[at + chance.randint(0, 2) :]
        yield text


def difference(text: str, answer: Any, release: int) -> str:
    """What `parse_term` makes of `text` that the BEAM does not; empty when both agree."""
    try:
        found = parse_term(text, release=release)
    except TermSyntaxError as error:
        return "" if answer is REFUSED else f"{text!r} is refused ({error}), not {decode(answer)!r}"
    if answer is REFUSED:
        return f"{text!r} is {found!r}, not refused"
    expected = decode(answer)
    return "" if identical(found, expected) else f"{text!r} is {found!r}, not {expected!r}"


def differences(beam: Beam, texts: Iterable[str]) -> list[str]:
    ended = [text + "\n." for text in texts]
    answers = beam.eval(READ, Texts=[text.encode() for text in ended])
    found = [difference(text, answer, beam.otp) for text, answer in zip(ended, answers, strict=True)]
    return [line for line in found if line]


def test_text_is_read_by_the_rules_of_the_release(beam: Beam) -> None:
    assert "\n".join(differences(beam, TEXTS)) == ""


def test_text_that_is_nearly_a_term_is_read_or_refused_alike(beam: Beam) -> None:
    assert "\n".join(differences(beam, mutated(SEED))) == ""
