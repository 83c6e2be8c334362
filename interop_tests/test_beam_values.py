"""What goes to a test's BEAM and comes from it: the values of the codec's own table, by the codec's own types."""

import datetime
import decimal
from typing import Any

import pytest

from pyerlnode import Node
from pyerlnode.schema import MapSet
from pyerlnode.term.atom import A
from pyerlnode.term.containers import (
    Bitstring,
    Charlist,
    FrozenList,
    FrozenMap,
    ImproperList,
    Range,
    Struct,
    TermMap,
    kw,
)
from pyerlnode.term.exact import same
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

ERLANG = {
    "#{[1] => a, {1} => b, #{x => 1} => c}": {FrozenList([1]): A.a, (1,): A.b, FrozenMap({A.x: 1}): A.c},
    '#{"ab" => 1, <<"ab">> => 2}': {FrozenList([97, 98]): 1, b"ab": 2},
    "#{1 => a, 1.0 => b, true => c}": TermMap([(1, A.a), (1.0, A.b), (True, A.c)]),
    "{0.0, -0.0}": (0.0, -0.0),
    "<<5:3>>": Bitstring(b"\xa0", 3),
    "[1 | 2]": ImproperList((1,), 2),
    "fun lists:map/2": ExternalFun(A.lists, A.map, 2),
    '{1, 1.5, <<"b">>, "abc", [true, nil, undefined]}': (1, 1.5, b"b", [97, 98, 99], [True, None, A.undefined]),
}
ELIXIR = {
    "MapSet.new([[1], {1}])": MapSet([FrozenList([1]), (1,)]),
    "~D[2020-02-29]": datetime.date(2020, 2, 29),
    "~N[2020-02-29 01:02:03.000004]": datetime.datetime(2020, 2, 29, 1, 2, 3, 4),
    "1..9//2": Range(1, 9, 2),
    "%Version{major: 1, minor: 2, patch: 3}": Struct(
        A["Elixir.Version"], {A.build: None, A.major: 1, A.minor: 2, A.patch: 3, A.pre: []}
    ),
}
SENT = {
    "Charlist": (Charlist("n€"), "[110,8364]"),
    "str": ("né", '<<"né"/utf8>>'),
    "Bitstring": (Bitstring(b"\xa0", 3), "<<5:3>>"),
    "ImproperList": (ImproperList([1], 2), "[1|2]"),
    "keywords": (kw(a=1), "[{a,1}]"),
    "keys": ({"ab": 1, FrozenList([97, 98]): 2, (1,): 3}, '#{{1} => 3,"ab" => 2,<<"ab">> => 1}'),
    "numbers as keys": (TermMap([(1, A.a), (1.0, A.b)]), "#{1 => a,1.0 => b}"),
}
SENT_TO_ELIXIR = {
    "date": (datetime.date(2020, 2, 29), "~D[2020-02-29]"),
    "time": (datetime.datetime(2020, 2, 29, 1, 2, 3, tzinfo=datetime.timezone.utc), "~U[2020-02-29 01:02:03Z]"),
    "frozenset": (frozenset([(1,)]), "MapSet.new([{1}])"),
    "range": (range(3), "0..2"),
    "Decimal": (decimal.Decimal("1.50"), "%{__struct__: Decimal, coef: 150, exp: -2, sign: 1}"),
    "Struct": (
        Struct(A["Elixir.Version"], {A.major: 1, A.minor: 2, A.patch: 3, A.pre: [], A.build: None}),
        "%Version{major: 1, minor: 2, patch: 3}",
    ),
}


@pytest.mark.parametrize("source", ERLANG)
def test_what_erlang_gives_is_what_the_codec_gives_and_goes_back(beam: Beam, source: str) -> None:
    value = beam.eval(source)
    assert same(value, ERLANG[source]), value
    assert beam.eval(f"X =:= ({source})", X=value) is True


@pytest.mark.parametrize("source", ELIXIR)
@pytest.mark.beam(elixir=True)
def test_what_elixir_gives_is_what_the_codec_gives_and_goes_back(beam: Beam, source: str) -> None:
    value = beam.elixir(source)
    assert value == ELIXIR[source]
    assert beam.elixir(f"x === ({source})", x=value) is True


@pytest.mark.parametrize("name", SENT)
def test_what_is_bound_is_what_the_codec_sends(beam: Beam, name: str) -> None:
    value, text = SENT[name]
    assert beam.text("X", X=value) == text
    assert beam.text("maps:get(x, X)", X={A.x: value}) == text


@pytest.mark.parametrize("name", SENT_TO_ELIXIR)
@pytest.mark.beam(elixir=True)
def test_what_is_bound_for_elixir_is_what_the_codec_sends(beam: Beam, name: str) -> None:
    value, text = SENT_TO_ELIXIR[name]
    assert beam.elixir_text("x", x=value) == beam.elixir_text(text)


def test_a_fun_comes_back_as_itself(beam: Beam) -> None:
    double = beam.eval("fun(X) -> 2 * X end")
    assert isinstance(double, Fun)
    assert beam.eval("F(X)", F=double, X=21) == 42


def test_a_node_receives_the_same_value(beam: Beam, erl_node: Node) -> None:
    """One table, whichever way a value has come."""
    source = '{#{[1] => a, {1} => b, 1.0 => c, 1 => d}, <<5:3>>, [1 | 2], "ab", nil}'
    assert erl_node.ping(beam.name)
    beam.eval(f"P ! {source}", P=erl_node.self_())
    assert same(erl_node.receive(timeout=patience()), beam.eval(source))


def test_what_has_no_form_is_refused_before_anything_is_sent_and_says_where(beam: Beam) -> None:
    def refuse(value: Any) -> str:
        with pytest.raises(ValueError, match="has no form on the wire") as caught:
            beam.eval("X", X=value)
        return str(caught.value)

    assert "[2]" in refuse([1, 2, object()])
    assert beam.eval("1") == 1
