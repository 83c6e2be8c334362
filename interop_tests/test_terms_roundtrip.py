"""Every kind of term goes from a BEAM to Python and back unchanged, and the other way."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A
from pyerlnode.term.containers import Bitstring, Charlist, ImproperList
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

THERE_AND_BACK = {
    # falsy terms: each was once lost for being false in Python
    "zero": "0",
    "zero float": "0.0",
    "minus zero": "-0.0",
    "empty list": "[]",
    "empty tuple": "{}",
    "empty map": "#{}",
    "empty binary": "<<>>",
    "false": "false",
    "nil": "nil",
    "undefined": "undefined",
    "empty atom": "''",
    # numbers
    "integers at every width": "[255, 256, -1, 2147483647, -2147483648, 2147483648, -2147483649, 134217727, 134217728]",
    "big integers": "[1 bsl 63, -(1 bsl 63), 1 bsl 64, 1 bsl 2039, 1 bsl 2040, -(1 bsl 20000)]",
    "floats": "[1.0, -1.5, 1.0e308, 2.2250738585072014e-308, 5.0e-324]",
    # names
    "atoms": "[ok, true, 'with space', 'Elixir.MyApp.User', 'é', '日本', list_to_atom(lists:duplicate(255, $a))]",
    "long utf8 atom": "list_to_atom(lists:duplicate(255, 16#65e5))",
    # identifiers
    "pid": "self()",
    "reference": "make_ref()",
    "port": "hd(erlang:ports())",
    "python's own pid": "gen_server:call(Desk, from_)",
    # functions
    "export": "fun lists:map/2",
    "closure of a module": "probe:closure({1, [2]})",
    "closure of the evaluator": "(fun(A) -> fun(B) -> A + B end end)(1)",
    # binaries
    "bitstrings": "[<<1:1>>, <<5:3>>, <<1, 2, 3:7>>, <<0:1>>]",
    "binary that is no text": "<<255, 254, 0, 128>>",
    "1 MB binary": "binary:copy(<<0, 1, 2, 255>>, 262144)",
    "16 MB binary": "binary:copy(<<0, 1, 2, 255>>, 4194304)",
    # lists
    "charlist": '"abc"',
    "long charlist": "lists:duplicate(70000, $a)",
    "list of small integers": "[0, 255]",
    "improper list": "[1, 2 | 3]",
    "improper list of a binary": "[<<1>> | <<2>>]",
    "1,000 deep": "lists:foldl(fun(_, L) -> [L] end, [], lists:seq(1, 1000))",
    "100,000 deep": "lists:foldl(fun(_, L) -> [L] end, [], lists:seq(1, 100000))",
    "tuples 1,000 deep": "lists:foldl(fun(_, L) -> {L} end, {}, lists:seq(1, 1000))",
    "long list": "lists:seq(1, 100000)",
    "tuple of 300": "list_to_tuple(lists:seq(1, 300))",
    # maps
    "map with a list as key": "#{[1, 2] => a, [] => b, \"abc\" => c}",
    "map with a map as key": "#{#{a => [1]} => a, #{} => b}",
    "map with keys that python holds equal": "#{1 => a, 1.0 => b, true => c, 0 => d, 0.0 => e, false => f}",
    "such keys deep inside": "#{{1, [1.0]} => a, {1.0, [1]} => b, {true, [1]} => c}",
    "map with a closure as key": "#{fun lists:map/2 => a, probe:closure(1) => b, self() => c}",
    "map of 1,000": "maps:from_list([{I, integer_to_binary(I)} || I <- lists:seq(1, 1000)])",
    "proplist": "[{a, 1}, {b, nil}, c]",
    "all of it": "{[0, [], <<>>, {}], #{[1] => #{1 => 1.0}}, [a | b], <<1:3>>, fun lists:map/2, -0.0}",
}  # fmt: skip

# `=:=` holds 0.0 and -0.0 equal before OTP 27, and two closures by more than their text: both must agree.
SAME = """
X = begin {source} end,
Y = gen_server:call({{desk, N}}, {{echo, X}}, 30000),
{{X =:= Y, term_to_binary(X) =:= term_to_binary(Y)}}
"""


@pytest.mark.parametrize("source", THERE_AND_BACK.values(), ids=THERE_AND_BACK)
def test_a_term_of_the_beam_comes_back_unchanged(helper: Callable[[str], Beam], node: Any, source: str) -> None:
    beam = helper("probe.erl")
    desk = node.start(Desk, name="desk")
    assert beam.eval(SAME.format(source=source), N=A[node.name], Desk=desk) == (True, True)


@pytest.mark.beam(elixir=True)
@pytest.mark.parametrize(
    "source",
    [
        "nil", '"é"', "'charlist'", "[a: nil, b: 2]", "%{a: %{1 => 2}}", '%URI{host: "x"}', "1..3", "~r/a/",
        "~D[2024-02-29]", "~U[2024-02-29 12:00:00.123Z]", "MapSet.new([1, 2])", "&Enum.map/2", "<<1::3>>",
        '%ArgumentError{message: "x"}',
    ],
)  # fmt: skip
def test_a_term_of_elixir_comes_back_unchanged(beam: Beam, node: Any, source: str) -> None:
    node.start(Desk, name="desk")
    assert beam.elixir(f"x = {source}; x === GenServer.call({{:desk, n}}, {{:echo, x}})", n=A[node.name]) is True


def test_a_closure_that_was_to_python_can_be_called(helper: Callable[[str], Beam], node: Any) -> None:
    beam = helper("probe.erl")
    node.start(Desk, name="desk")
    again = "F = gen_server:call({desk, N}, {echo, probe:closure(41)}), F(1)"
    assert beam.eval(again, N=A[node.name]) == (41, 1)


def test_a_port_an_export_and_a_closure_in_a_message_do_not_lose_it(helper: Callable[[str], Beam], node: Any) -> None:
    beam = helper("probe.erl")
    desk = node.start(Desk)
    beam.eval("[D ! {n, X} || X <- [hd(erlang:ports()), fun lists:map/2, probe:closure(1), done]]", D=desk)
    assert beam.eval("length(gen_server:call(D, kept))", D=desk) == 4


FROM_PYTHON = {
    "none is nil": (None, "nil"),
    "bools": ([True, False], "[true,false]"),
    "undefined": (A.undefined, "undefined"),
    "str is a utf8 binary": ("é", "<<\"é\"/utf8>>"),
    "bytes": (b"ab", '<<"ab">>'),
    "bytearray and memoryview": ([bytearray(b"a"), memoryview(b"b")], '[<<"a">>,<<"b">>]'),
    "charlist": (Charlist("abc"), '"abc"'),
    "floats": ([1.0, -0.0], "[1.0,-0.0]"),
    "big integer": (-(1 << 70), str(-(1 << 70))),
    "bitstring": (Bitstring(b"\xa0", 3), "<<5:3>>"),
    "improper list": (ImproperList((1, 2), 3), "[1,2|3]"),
    "map": ({A.a: {1: [b"x"]}}, '#{a => #{1 => [<<"x">>]}}'),
    "atom that wants quotes": (A["weird one"], "'weird one'"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "text"), FROM_PYTHON.values(), ids=FROM_PYTHON)
def test_a_value_of_python_arrives_as_the_term_that_the_table_says(
    helper: Callable[[str], Beam], node: Any, value: Any, text: str
) -> None:
    beam = helper("probe.erl")
    probe = beam.eval("probe:start()")
    node.send(probe, value)
    beam.wait_until("probe:count(P) =:= 1", P=probe)
    assert beam.text("hd(probe:messages(P))", P=probe) == text


@pytest.mark.parametrize("size", [1 << 20, 16 << 20], ids=["1 MB", "16 MB"])
def test_a_big_binary_of_python_arrives_whole(helper: Callable[[str], Beam], node: Any, size: int) -> None:
    pid = helper("desk.erl").eval("desk:start()")
    data = bytes(range(256)) * (size // 256)
    assert node.call(pid, (A.echo, data), timeout=patience()) == data


def test_small_messages_pass_a_big_one_in_both_directions(helper: Callable[[str], Beam], node: Any) -> None:
    pid = helper("desk.erl").eval("desk:start()")
    data = b"x" * (8 << 20)
    node.send(pid, data)
    node.send(pid, A.after)
    kept = node.call(pid, A.kept, timeout=patience())
    assert [item[1] if item[1] is A.after else len(item[1]) for item in kept] == [len(data), A.after]
