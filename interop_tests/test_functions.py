"""Functions that are terms are called like functions, and terms look as a `Codec` says where one is given."""

from typing import Any

import pytest

from pyerlnode import A, Codec, Error, ExternalFun, RemoteError, UsageError, connect
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

PLAIN = Codec(binaries="str", atoms="str")
REVERSE = ExternalFun(A.lists, A.reverse, 1)


def test_a_closure_is_called_where_it_was_made(beam: Beam, node: Any) -> None:
    assert node.ping(beam.name)
    closure = beam.eval("N = 40, fun(X) -> {N + X, node()} end")
    assert closure(2) == (42, A[beam.name])
    with pytest.raises(RemoteError, match="badarith"):
        closure(A.x)


def test_a_named_function_is_called_on_the_one_node_that_is_connected(beam: Beam, node: Any) -> None:
    assert node.ping(beam.name)
    assert REVERSE([1, 2, 3]) == [3, 2, 1]
    with pytest.raises(RemoteError, match="undef"):
        ExternalFun(A.lists, A.no_such, 1)(1)


def test_a_named_function_that_is_exported_here_is_called_here(beam: Beam, node: Any) -> None:
    assert node.ping(beam.name)
    node.export("lists", lambda items: ("here", *items), "reverse")
    fun = beam.eval("fun lists:reverse/1")
    assert fun([1, 2]) == ("here", 1, 2)
    assert beam.eval("F = fun lists:reverse/1, F([1, 2])") == [2, 1]


def test_the_wrong_number_of_arguments_is_the_error_of_a_beam(node: Any) -> None:
    assert node.self_()
    with pytest.raises(Error) as caught:
        REVERSE(1, 2)
    assert caught.value.reason == (A.badarity, (REVERSE, [1, 2]))


def test_without_a_node_that_is_connected_it_is_to_be_said_which(node: Any) -> None:
    assert node.self_()
    with pytest.raises(UsageError, match=r"0 nodes are connected: .* node\.apply"):
        REVERSE([1])


def test_in_a_script_functions_are_called_in_the_hub(beam: Beam) -> None:
    closure = beam.eval("fun(X) -> 2 * X end")
    with connect(beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as cluster:
        assert cluster.call
        assert closure(21) == 42
        assert REVERSE([1, 2]) == [2, 1]
    with pytest.raises(UsageError, match="none of them is open"):
        closure(21)


def test_answers_look_as_the_call_says(beam: Beam, node: Any) -> None:
    assert node.rpc(beam.name, "erlang", "list_to_tuple", [[A.ok, b"a"]], codec=PLAIN) == ("ok", "a")
    assert node.rpc(beam.name, "erlang", "list_to_tuple", [[A.ok, b"a"]]) == (A.ok, b"a")
    assert node.apply(beam.eval('fun() -> #{name => <<"Ann">>} end'), codec=PLAIN) == {"name": "Ann"}
    beam.eval('P ! {hello, <<"you">>}', P=node.self_())
    assert node.receive(timeout=patience(), codec=PLAIN) == ("hello", "you")


def test_answers_look_as_the_node_says(beam: Beam) -> None:
    with connect(beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port, codec=PLAIN) as cluster:
        assert cluster.rpc(beam.name, "erlang", "list_to_tuple", [[A.ok, b"a"]]) == ("ok", "a")
        assert cluster.rpc(beam.name, "erlang", "list_to_tuple", [[A.ok, b"a"]], codec=Codec()) == (A.ok, b"a")
        assert cluster.peer().erlang.list_to_tuple([A.ok, b"a"]) == ("ok", "a")
        beam.eval("register(echo, spawn(fun Loop() -> receive {'$gen_call', {P, T}, R} -> P ! {T, R}, Loop() end end))")
        assert cluster.call(("echo", beam.name), (A.a, {A.b: b"c"})) == ("a", {"b": "c"})
