"""A process is read as an operator writes it, and only where it is meant."""

from typing import Any

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.inspect.target_core import read_target
from pyerlnode.term import A
from pyerlnode.term.pid import Pid

NODE = "rabbit@host.example.com"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("<0.858.0>", (A.pid, b"<0.858.0>", A.any)),
        ("#PID<0.858.3>", (A.pid, b"<0.858.3>", A.any)),
        (" 0.858.0 ", (A.pid, b"<0.858.0>", A.any)),
        (f"<{NODE}.1630001234.858.0>", (A.pid, b"<0.858.0>", 1630001234)),
        (f"<{NODE}.858.0>", (A.pid, b"<0.858.0>", A.any)),
        ("#PID<" + NODE + ".5.858.0>", (A.pid, b"<0.858.0>", 5)),
        ("kernel_sup", (A.name, A.kernel_sup)),
        ("MyApp.Repo", (A.name, A["Elixir.MyApp.Repo"])),
        ("Elixir.MyApp.Repo", (A.name, A["Elixir.MyApp.Repo"])),
        (":user", (A.name, A.user)),
        ("'an odd \\'name\\''", (A.name, A["an odd 'name'"])),
        ("ünï", (A.name, A["ünï"])),
        (A["<0.1.2>"], (A.name, A["<0.1.2>"])),
        (Pid(A[NODE], 1, 2, 3), (A.term, Pid(A[NODE], 1, 2, 3))),
    ],
)
def test_a_process_is_read(text: Any, target: Any) -> None:
    assert read_target(text, NODE) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<1.858.0>", "another node"),
        ("<other@host.1.858.0>", "ask other@host"),
        (Pid(A["other@host"], 1, 2, 3), "ask other@host"),
        ("", "is not a process"),
        ("<0.858>", "is not a process"),
        ("#Ref<0.1.2.3>", "is not a process"),
        ("'a'b'", "is not a name"),
        (858, "not int"),
    ],
)
def test_what_is_no_process_of_that_node_is_a_usage_error(text: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_target(text, NODE)


def test_a_node_at_an_address_is_not_cut_at_its_dots() -> None:
    assert read_target("<app@127.0.0.1.858.0>", "app@127.0.0.1") == (A.pid, b"<0.858.0>", A.any)
    assert read_target("<app@127.0.0.1.7.858.0>", "app@127.0.0.1") == (A.pid, b"<0.858.0>", 7)
