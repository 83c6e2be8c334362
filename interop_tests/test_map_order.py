"""Maps of any size print in the order in which the BEAM that sent them prints them."""

from typing import Any

import pytest

from pyerlnode.etf import decode, encode
from pyerlnode.term.order import identical
from pyerlnode.term.text import format_term, parse_term
from pyerlnode.testing.beam import Beam

MAPS = 200
MAKE = """
    rand:seed(exsss, {1, 2, 3}),
    Some = fun() -> rand:uniform(5_000) end,
    Kinds = [
        fun() -> Some() - 2_500 end,
        fun() -> Some() bsl 70 end,
        fun() -> Some() / 7 end,
        fun() -> integer_to_binary(Some()) end,
        fun() -> <<(Some()):13>> end,
        fun() -> list_to_atom([$k | integer_to_list(Some())]) end,
        fun() -> {Some(), [Some()]} end,
        fun() -> [a | Some()] end,
        fun() -> #{Some() => 1} end,
        fun() -> maps:from_keys(lists:seq(1, Some() div 100), x) end
    ],
    Any = fun() -> (lists:nth(rand:uniform(length(Kinds)), Kinds))() end,
    Map = fun(I) ->
        Key = lists:nth(1 + I rem (length(Kinds) + 1), [Any | Kinds]),
        maps:from_list([{Key(), At} || At <- lists:seq(1, rand:uniform(201) - 1)])
    end,
    Made = [Map(I) || I <- lists:seq(1, Count)] ++ [maps:from_keys(lists:seq(1, N), v) || N <- lists:seq(30, 35)],
"""
PRINTED = (
    MAKE
    + """
    [{term_to_binary(M), [unicode:characters_to_binary(io_lib:format(F, [M])) || F <- ["~0tp", "~tp", "~0tkp"]]}
        || M <- Made]
"""
)
OLD = PRINTED.replace(', "~0tkp"', "")
INSPECTED = """
keys = [
  fn -> :rand.uniform(5_000) end, fn -> "b#{:rand.uniform(5_000)}" end, fn -> :"k#{:rand.uniform(5_000)}" end,
  fn -> {:rand.uniform(5_000), 1.5} end, fn -> [:a, :rand.uniform(5_000)] end, fn -> %{:rand.uniform(5_000) => 1} end
]
:rand.seed(:exsss, {1, 2, 3})
made = for at <- 1..count, into: [] do
  for place <- 1..:rand.uniform(200), into: %{}, do: {Enum.at(keys, rem(at + rem(place, rem(at, 3) + 1), 6)).(), place}
end
sets = for at <- [0, 1, 31, 32, 33, 34, 100, 500], do: MapSet.new(1_000..(at + 1_000))
for term <- made ++ sets do
  {:erlang.term_to_binary(term), inspect(term, limit: :infinity, printable_limit: :infinity)}
end
"""


def test_a_map_prints_in_the_order_of_the_beam(beam: Beam) -> None:
    sorts = beam.otp >= 26
    found: list[Any] = beam.eval(PRINTED if sorts else OLD, Count=MAPS)
    assert max(len(decode(form)) for form, _ in found) > 150
    for form, (line, lines, *ordered) in found:
        term = decode(form)
        assert format_term(term, width=0, charset="latin1") == line.decode()
        assert format_term(term, charset="latin1") == lines.decode()
        for text in ordered:
            assert format_term(term, width=0, charset="latin1", sort_maps=True) == text.decode()


@pytest.mark.parametrize("style", ["erlang", "elixir"])
def test_the_text_of_a_map_is_printed_again_as_it_was_read(beam: Beam, style: Any) -> None:
    for form, _ in beam.eval(OLD, Count=MAPS // 4):
        term = decode(form)
        text = format_term(term, style=style, width=0)
        read = parse_term(text, style=style)
        assert identical(read, term)
        assert format_term(read, style=style, width=0) == text
        assert encode(read) == encode(term)


@pytest.mark.beam(elixir=True)
def test_a_map_and_a_set_are_inspected_in_the_order_of_elixir(beam: Beam) -> None:
    for form, text in beam.elixir(INSPECTED, count=MAPS):
        ours = format_term(decode(form), style="elixir", width=0, release=beam.otp)
        assert ours == text.decode()
