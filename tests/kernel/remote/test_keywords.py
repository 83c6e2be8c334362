"""Keyword arguments across: only where the export says so, and then always in the last argument."""

from collections.abc import Iterator
from typing import Any

import pytest

from pyerlnode import A, ExternalFun, Node, RemoteError, TermMap, UsageError


def predict(x: Any, y: Any = 0, *, best: Any, worst: Any = None) -> Any:
    return x, y, best, worst


@pytest.fixture
def node() -> Iterator[Node]:
    with Node("keywords@127.0.0.1", cookie="c", epmd="none") as node:
        node.export("m", predict, keywords=True)
        yield node


def ask(node: Node, *args: Any) -> Any:
    return node.rpc(node.name, "m", "predict", args)


def test_the_last_argument_goes_by_keywords(node: Node) -> None:
    assert ask(node, 1, [(A.best, 2)]) == (1, 0, 2, None)
    assert ask(node, 1, 5, {A.best: 2, A.worst: [3]}) == (1, 5, 2, [3])
    assert ask(node, [(A.x, 1), (A.best, 2), (A.y, 3)]) == (1, 3, 2, None)
    assert ask(node, 1, TermMap([(A.best, 2)])) == (1, 0, 2, None)


def test_of_a_keyword_that_is_given_twice_the_first_counts_as_in_elixir(node: Node) -> None:
    assert ask(node, 1, [(A.best, 2), (A.best, 3)]) == (1, 0, 2, None)


@pytest.mark.parametrize(
    "last", [2, b"best", [A.best], [(b"best", 2)], [(A.best, 2, 3)], {b"best": 2}, [(A.best, 2), 3], None]
)
def test_what_is_no_keyword_list_is_refused(node: Node, last: Any) -> None:
    with pytest.raises(RemoteError, match="keyword list"):
        ask(node, 1, last)


def test_an_unknown_keyword_and_a_missing_one_are_errors_of_the_caller(node: Node) -> None:
    with pytest.raises(RemoteError, match="unexpected keyword argument 'other'"):
        ask(node, 1, [(A.best, 1), (A.other, 1)])
    with pytest.raises(RemoteError, match="best"):
        ask(node, 1, [])


def test_more_arguments_than_it_has_are_another_function(node: Node) -> None:
    for args in ((), (1, 2, 3, [])):
        with pytest.raises(RemoteError, match="undef"):
            ask(node, *args)


def test_without_the_word_a_list_is_a_list(node: Node) -> None:
    node.export("m", lambda x, options: [x, options], "plain")
    assert node.rpc(node.name, "m", "plain", [1, [(A.best, 2)]]) == [1, [(A.best, 2)]]
    with pytest.raises(UsageError, match="must be given by keyword"):
        node.export("m", predict)


def test_a_function_of_every_node_needs_one_to_run_at(node: Node) -> None:
    node.export("lists", lambda items: items[::-1], "reverse")
    fun = ExternalFun(A.lists, A.reverse, 1)
    with pytest.raises(UsageError, match="say at="):
        node.apply(fun, [[1, 2]])
    assert node.apply(fun, [[1, 2]], at=node.name) == [2, 1]
