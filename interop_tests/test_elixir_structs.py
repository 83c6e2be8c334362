"""Elixir's structs as text: Python reads what `inspect` prints there, and Elixir evaluates what Python prints."""

import random
from typing import Any

import pytest

from pyerlnode.etf import decode
from pyerlnode.term import A, Struct
from pyerlnode.term.order import identical
from pyerlnode.term.text import format_term, parse_term
from pyerlnode.testing.beam import Beam
from tests.term.generated import terms

pytestmark = pytest.mark.beam(elixir=True)

MADE = """
import Enum
:rand.seed(:exsss, {1, 2, 3})
pick = fn list -> random(list) end
one = fn one, deep ->
  case :rand.uniform(if deep > 0, do: 11, else: 8) do
    1 -> Date.add(~D[1970-01-01], :rand.uniform(2_000_000) - 800_000)
    2 -> Time.truncate(Time.from_seconds_after_midnight(:rand.uniform(86_000), {:rand.uniform(999_999), 6}),
                       pick.([:second, :millisecond, :microsecond]))
    3 -> NaiveDateTime.add(~N[2020-02-29 10:00:00.000], :rand.uniform(1_000_000_000), :millisecond)
    4 -> DateTime.from_unix!(:rand.uniform(4_000_000_000), :second)
    5 -> Range.new(:rand.uniform(9), :rand.uniform(20), pick.([1, 2, -1]))
    6 -> pick.([%ArgumentError{message: "x"}, %RuntimeError{}, %KeyError{key: :a, term: %{}}])
    7 -> pick.([:a, nil, 1, 1.5, "text", URI.parse("http://h/p?q"), %{__struct__: :odd, a: 1}])
    8 -> :rand.uniform(100)
    9 -> MapSet.new(for _ <- 1..3, do: one.(one, deep - 1))
    10 -> %{one.(one, deep - 1) => one.(one, deep - 1)}
    11 -> [{:key, one.(one, deep - 1)}, one.(one, deep - 1)]
  end
end
for _ <- 1..400, do: one.(one, 3)
"""


def test_what_elixir_inspects_is_read_as_the_value_that_it_sends(beam: Beam) -> None:
    source = f"for term <- ({MADE}), do: {{:erlang.term_to_binary(term), inspect(term, limit: :infinity)}}"
    for form, text in beam.elixir(source):
        read = parse_term(text.decode(), style="elixir")
        assert read == decode(form), text


def test_what_python_prints_is_evaluated_to_the_same(beam: Beam) -> None:
    forms = beam.elixir(f"for term <- ({MADE}), do: :erlang.term_to_binary(term)")
    texts = [format_term(decode(form), style="elixir").encode() for form in forms]
    source = """
    for {form, text} <- Enum.zip(forms, texts),
        term = :erlang.binary_to_term(form),
        {made, _} = Code.eval_string(text),
        made !== term, do: {text, inspect(term)}
    """
    assert beam.elixir(source, forms=forms, texts=texts) == []


def test_a_struct_prints_as_elixir_inspects_it_when_its_order_is_told(beam: Beam) -> None:
    module = A["Elixir.URI"]
    told = beam.elixir("for field <- URI.__info__(:struct), do: Map.take(field, [:field])")
    form, text = beam.elixir('u = URI.parse("http://a/b?c"); {:erlang.term_to_binary(u), inspect(u)}')
    order = [field[A.field] for field in told]
    value = decode(form)
    assert isinstance(value, Struct)
    printed = format_term(value, style="elixir", width=0, fields={module: order})
    assert printed == text.decode()


@pytest.mark.parametrize("style", ["erlang", "elixir"])
def test_print_and_parse_are_the_identity(beam: Beam, style: Any) -> None:
    for term in terms(77, 2_000, identifiers=True):
        text = format_term(term, style=style, width=random.Random(1).choice([0, 40]))
        read = parse_term(text, style=style, release=beam.otp, node=A["a@h"])
        assert format_term(read, style=style) == format_term(term, style=style), text
    for term in terms(78, 2_000):
        assert identical(parse_term(format_term(term, style=style), style=style, release=beam.otp), term)
