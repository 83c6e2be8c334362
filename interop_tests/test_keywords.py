"""Keyword arguments from Elixir, and functions of a BEAM that Python calls."""

from typing import Any

import pytest

from pyerlnode import A, RemoteError
from pyerlnode.testing.beam import Beam

pytestmark = pytest.mark.beam(elixir=True)


def test_elixir_gives_keyword_arguments(beam: Beam, node: Any) -> None:
    node.export("Elixir.Model", lambda x, *, best=1, **more: [x, best, sorted(more)], "predict", keywords=True)
    job = ':erpc.call(node, Model, :predict, ["a", [best: 3, z: 1]])'
    assert beam.elixir(job, node=A[node.name]) == [b"a", 3, [b"z"]]
    assert beam.elixir(":erpc.call(node, Model, :predict, [1, %{best: 2}])", node=A[node.name]) == [1, 2, []]
    assert beam.elixir(":erpc.call(node, Model, :predict, [1, []])", node=A[node.name]) == [1, 1, []]


def test_a_closure_runs_where_it_was_made_and_a_named_function_where_it_is_asked_to(beam: Beam, node: Any) -> None:
    closure = beam.elixir("n = 40; fn x -> {n + x, node()} end")
    assert node.apply(closure, [2]) == (42, A[beam.name])
    assert node.apply(beam.elixir("&String.upcase/1"), ["a"], at=beam.name) == b"A"
    with pytest.raises(RemoteError, match="badarity"):
        node.apply(closure, [1, 2])
