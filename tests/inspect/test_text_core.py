"""Numbers, functions and shapes as a person reads them."""

from typing import Any

import pytest

from pyerlnode.inspect.process_core import shape
from pyerlnode.inspect.text_core import duration, mfa, number, size
from pyerlnode.term import A


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1254, "1.25 kB"), (99_940, "99.9 kB"),
     (99_960, "100 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (716_643_000, "717 MB"),
     (5 * 10**12, "5 TB"), (-1500, "-1.5 kB")],
)  # fmt: skip
def test_a_size_has_three_figures(count: int | None, text: str) -> None:
    assert size(count) == text


def test_a_number_has_spaces_between_thousands() -> None:
    assert (number(716643), number(7), number(None), number(-1000)) == ("716 643", "7", "-", "-1 000")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3700, "1 h 1 min"), (273_600, "3 d 4 h")],
)
def test_a_duration_has_its_two_largest_parts(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("call", "erlang", "elixir"),
    [
        ((A.gen_server, A.loop, 7), "gen_server:loop/7", ":gen_server.loop/7"),
        ((A["Elixir.MyApp.Server"], A.init, [1]), "'Elixir.MyApp.Server':init/1", "MyApp.Server.init/1"),
        ((A.prim_eval, A.receive, 2), "prim_eval:'receive'/2", ":prim_eval.receive/2"),
        (A.undefined, "-", "-"),
    ],
)
def test_a_function_is_told_in_either_style(call: Any, erlang: str, elixir: str) -> None:
    assert (mfa(call), mfa(call, "elixir")) == (erlang, elixir)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ((A.tuple, A.job, 3), "{job,_,_}"),
        ((A.tuple, A["_"], 2), "{_,_}"),
        ((A.tuple, A["_"], 0), "{}"),
        ((A.tuple, A["$gen_call"], 3), "{'$gen_call',_,_}"),
        ((A.atom, A["two words"], 0), "'two words'"),
        ((A.type, A.binary, 0), "<binary>"),
    ],
)
def test_a_shape_is_the_tag_and_the_size(kind: Any, text: str) -> None:
    assert shape(kind) == text
