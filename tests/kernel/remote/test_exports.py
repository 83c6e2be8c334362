"""Nothing is callable that was not exported, by name and by number of arguments."""

import os

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.term import A


def add(a, b=1):
    return a + b


@pytest.fixture
def exports():
    table = Exports()
    table.add("Elixir.Model", add)
    return table


def test_an_exported_function_is_found_by_each_arity_that_it_takes(exports):
    assert [exports.find(A["Elixir.Model"], A.add, n) is add for n in range(4)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (A.os, A.system),
        (A.builtins, A.eval),
        (A["Elixir.Model"], A.__class__),
        (A["Elixir.Model"], A["add.__globals__"]),
        (A["Elixir.Model"], A["__call__"]),
        (b"Elixir.Model", A.add),
        (A["Elixir.Model"], b"add"),
        ([1], {}),
    ],
)
def test_nothing_else_is_found(exports, module, function):
    assert exports.find(module, function, 1) is None


def test_a_mapping_is_exported_under_its_names(exports):
    exports.add_all("m", {"join": os.path.join})
    assert exports.find(A.m, A.join, 5) is os.path.join


def test_a_removed_function_is_gone(exports):
    exports.remove("Elixir.Model", "add")
    assert exports.find(A["Elixir.Model"], A.add, 1) is None


def test_what_can_not_be_called_is_refused(exports):
    with pytest.raises(UsageError, match="wants a function"):
        exports.add("m", 5)
    with pytest.raises(UsageError, match="name="):
        exports.add("m", lambda: 1)
    with pytest.raises(UsageError, match="keyword"):
        exports.add("m", lambda *, k: k, "f")
