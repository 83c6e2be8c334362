"""Elixir's notation agrees with a live Elixir, and its structs are equal there after a round trip."""

import random
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

import pyerlnode.schema
from pyerlnode.etf import decode, encode
from pyerlnode.term import ImproperList, TermMap
from pyerlnode.term.order import identical
from pyerlnode.term.text import format_term, parse_term
from pyerlnode.testing.beam import Beam
from tests.term.generated import terms

assert pyerlnode.schema  # it registers the structs

SHOW = """
for form <- forms do
  term = :erlang.binary_to_term(form)
  for opts <- [[], [pretty: true], [pretty: true, width: 30], [limit: 4]] do
    inspect(term, [limit: :infinity, printable_limit: :infinity] ++ opts |> Keyword.new())
  end
end
"""
STYLES: list[dict[str, Any]] = [{"width": 0}, {"width": 80}, {"width": 30}, {"width": 0, "limit": 4}]


def small_maps(term: Any) -> bool:
    """No map of several keys: Elixir prints them in the order of the node."""
    if isinstance(term, (dict, TermMap)):
        return len(term) < 2 and all(map(small_maps, [*term.keys(), *term.values()]))
    if type(term) is ImproperList:
        term = (*term.items, term.tail)
    return not isinstance(term, (tuple, list)) or all(map(small_maps, term))


@pytest.mark.beam(elixir=True)
def test_every_term_is_inspected_as_elixir_does(beam: Beam) -> None:
    made = list(islice(filter(small_maps, terms(11, 20_000)), 3_000))
    shown = beam.elixir(SHOW, forms=[encode(term) for term in made])
    old, newer = beam.elixir_version < "1.15", beam.elixir_version >= "1.19"
    for term, texts in zip(made, shown, strict=True):
        for style, text in zip(STYLES, texts, strict=True):
            if newer and style != STYLES[0]:
                continue  # Elixir 1.19 and later count the limit and break lines otherwise
            ours = format_term(term, style="elixir", **style)
            if old and ('~c"' in ours or "\\u" in ours):
                continue  # charlists were in single quotes, and what does not show was not escaped
            assert ours == text.decode(), style


@pytest.mark.beam(elixir=True)
def test_every_inspected_term_is_read_alike_by_elixir_and_by_python(beam: Beam) -> None:
    made = list(terms(12, 3_000))
    texts = [format_term(term, style="elixir", width=random.Random(1).choice([0, 80])) for term in made]
    source = "for text <- texts, do: text |> Code.eval_string() |> elem(0) |> :erlang.term_to_binary(minor_version: 2)"
    forms = beam.elixir(source, texts=[text.encode() for text in texts])
    for term, text, form in zip(made, texts, forms, strict=True):
        assert identical(parse_term(text, style="elixir"), term), text
        assert identical(decode(form), term), text


STRUCTS = [
    "~D[2020-02-29]", "~D[-0001-01-01]", "~D[0000-01-01]", "%{~D[2020-01-01] | year: 12000}",
    "~T[23:59:59]", "~T[23:59:59.120]", "~N[2020-02-29 10:00:00.000001]", "~U[2020-02-29 10:00:00.5Z]",
    'DateTime.from_naive!(~N[2020-07-01 10:00:00], "Etc/UTC")',
    '%{~U[2020-02-29 10:00:00Z] | time_zone: "Europe/Paris", zone_abbr: "CET", utc_offset: 3600}',
    "MapSet.new()", "MapSet.new([1, :a, \"b\", [1], %{a: 1}])", "MapSet.new([1, 1.0, true])", "MapSet.new(1..100)",
    "1..10", "1..10//3", "10..1//-1", "%RuntimeError{message: \"oops\"}", "%ArgumentError{}",
    "~r/a.b/i", "URI.parse(\"http://example.com/x?y=1\")", "Version.parse!(\"1.2.3-rc.1\")",
    "%{__struct__: Decimal, coef: 150, exp: -2, sign: -1}", "%{__struct__: Decimal, coef: :NaN, exp: 0, sign: 1}",
    "%{__struct__: 1}", "%{__struct__: :not_a_module, a: 1}", "%{__struct__: MapSet}",
]  # fmt: skip


@pytest.mark.beam(elixir=True)
@pytest.mark.parametrize("source", STRUCTS)
def test_a_struct_of_elixir_is_equal_there_after_a_round_trip(beam: Beam, source: str) -> None:
    form = beam.elixir(f":erlang.term_to_binary({source}, minor_version: 2)")
    back = encode(decode(form))
    assert back == form or b"Regex" in form  # a reference of the node's own may be written in another way
    assert beam.elixir(
        f"(fn x -> {{x == :erlang.binary_to_term(back), x === :erlang.binary_to_term(back)}} end).({source})"
        if "~r" not in source
        else "{true, true}",
        back=back,
    ) == (True, True)


@pytest.mark.beam(elixir=True)
def test_values_of_python_are_what_elixir_makes_itself(helper: Callable[[str], Beam], beam: Beam) -> None:
    from datetime import date, datetime, time, timezone

    from pyerlnode.schema import MapSet
    from pyerlnode.term import Range, Struct

    template = beam.elixir("MapSet.new([]) |> Map.from_struct() |> Map.delete(:map) |> Map.to_list()")
    like = Struct(pyerlnode.schema.elixir.MAP_SET, {pyerlnode.term.Atom("map"): {}, **dict(template)})
    for value, source in [
        (date(2020, 2, 29), "~D[2020-02-29]"),
        (time(1, 2, 3), "~T[01:02:03]"),
        (datetime(2020, 2, 29, 1, 2, 3, 4), "~N[2020-02-29 01:02:03.000004]"),
        (datetime(2020, 2, 29, 1, 2, 3, tzinfo=timezone.utc), "~U[2020-02-29 01:02:03Z]"),
        (Range(1, 10, 3), "1..10//3"),
        (range(1, 5), "1..4"),
        (MapSet([1, b"a"], like=like), 'MapSet.new([1, "a"])'),
    ]:
        assert beam.elixir(f":erlang.binary_to_term(form) == {source}", form=encode(value)) is True, source
