"""Functions are read as they are written, and no trace is without bounds."""

from typing import Any

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.inspect.trace_core import event, question, read_mfa
from pyerlnode.term import A
from pyerlnode.term.pid import Pid


@pytest.mark.parametrize(
    ("text", "mfa"),
    [
        ("lists:reverse/1", (A.lists, A.reverse, 1)),
        ("lists:reverse", (A.lists, A.reverse, A["_"])),
        ("MyApp.Server.handle_call/3", (A["Elixir.MyApp.Server"], A.handle_call, 3)),
        ("String.valid?/1", (A["Elixir.String"], A["valid?"], 1)),
        ("'Elixir.My':'odd name'/2", (A["Elixir.My"], A["odd name"], 2)),
        ("my:'-f/1-fun-0-'/1", (A.my, A["-f/1-fun-0-"], 1)),
    ],
)
def test_a_function_is_read(text: str, mfa: Any) -> None:
    assert read_mfa(text) == mfa


@pytest.mark.parametrize("text", ["", "reverse", "lists", ":f/1", "MyApp", "/1"])
def test_what_is_no_function_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a function"):
        read_mfa(text)


@pytest.mark.parametrize("bad", [{"count": 0}, {"count": 10_001}, {"rate": 10_001}, {"seconds": 3601}, {"size": 0}])
def test_a_trace_has_bounds(bad: dict[str, Any]) -> None:
    bounds = {"count": 1, "rate": 1, "seconds": 1.0, "size": 1, "returns": False, **bad}
    with pytest.raises(UsageError, match="at most"):
        question("lists:reverse/1", A.all, **bounds)


def test_an_event_has_the_time_of_the_peer() -> None:
    pid = Pid(A.a, 1, 0, 1)
    told = event(pid, A.call, "[ü]".encode(), (1764, 550000, 250000))
    assert (told.kind, told.text, told.at) == ("call", "[ü]", 1764550000.25)
