"""The fixture itself: a BEAM that boots, obeys, is cleaned, dies and comes back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyerlnode import Node
from pyerlnode.term.atom import A
from pyerlnode.testing.beam import AGENT, COMPILED, Beam
from pyerlnode.testing.epmd import listeners
from pyerlnode.testing.errors import BeamDown, BeamError, BeamTimeout
from pyerlnode.testing.patience import patience
from pyerlnode.testing.plugin import python_name
from pyerlnode.testing.waiting import wait_for


def test_eval_gives_plain_values(beam: Beam) -> None:
    assert beam.eval('{1, 1.5, <<"b">>, "abc", #{a => [true, nil, undefined]}}') == (
        1, 1.5, b"b", [97, 98, 99], {A.a: [True, None, A.undefined]},
    )  # fmt: skip


def test_bindings_arrive_as_they_are(beam: Beam) -> None:
    pid = beam.eval("self()")
    values = [1, 1 << 80, -1.5, b"\xff", A.ok, None, True, pid, (), [], {A.a: [b"x"]}, ([1, A["weird one"]], "é")]
    assert beam.eval("X", X=values) == [*values[:-1], ([1, A["weird one"]], "é".encode())]


def test_text_holds_apart_what_python_would_merge(beam: Beam) -> None:
    assert beam.text("#{1 => a, 1.0 => b, true => c}") == "#{1 => a,1.0 => b,true => c}"


@pytest.mark.beam(elixir=True)
def test_elixir_is_there_after_the_same_boot(beam: Beam) -> None:
    assert beam.elixir("Enum.sum(list)", list=[1, 2, 39]) == 42
    assert beam.elixir_text("%{a: x}", x="é") == '%{a: "é"}'


# --- modules of a test ------------------------------------------------------------------------------------
def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_that_was_loaded_is_what_runs_whoever_came_between(beam: Beam, tmp_path: Path) -> None:
    one, two = (
        write(tmp_path / name / "same.erl", f"-module(same).\n-export([which/0]).\nwhich() -> {name}.\n")
        for name in ("one", "two")
    )
    for path in (one, two, one, one, two):
        assert beam.load(path) == [A.same]
        assert beam.rpc("same", "which") is A[path.parent.name]
    beam.eval("code:purge(same), code:delete(same)")
    beam.load(two)
    assert beam.rpc("same", "which") is A.two


@pytest.mark.beam(elixir=True)
def test_a_module_that_a_test_has_defined_anew_is_loaded_again(beam: Beam, tmp_path: Path) -> None:
    path = write(tmp_path / "same.ex", "defmodule Same do\n  def which, do: :file\nend\n")
    beam.load(path)
    beam.elixir("defmodule Same do\n  def which, do: :test\nend")
    assert beam.rpc("Elixir.Same", "which") is A.test
    beam.load(path)
    assert beam.rpc("Elixir.Same", "which") is A.file


def test_what_a_file_includes_comes_with_it_and_a_change_there_is_seen(beam: Beam, tmp_path: Path) -> None:
    source = '-module(with).\n-include("outer.hrl").\n-include_lib("kernel/include/file.hrl").\n'
    path = write(tmp_path / "src" / "with.erl", f"{source}-export([value/0]).\nvalue() -> ?VALUE.\n")
    write(tmp_path / "include" / "outer.hrl", '-include("deep/inner.hrl").\n')
    write(tmp_path / "include" / "deep" / "inner.hrl", '-include("../beside.hrl").\n')
    beside = write(tmp_path / "include" / "beside.hrl", "-define(VALUE, 1).\n")
    beam.load(path)
    assert beam.rpc("with", "value") == 1
    write(beside, "-define(VALUE, 2).\n")
    beam.load(path)
    assert beam.rpc("with", "value") == 2
    beside.unlink()
    with pytest.raises(BeamError, match="can't find include file"):
        beam.load(path)


def test_an_exception_there_is_a_beam_error_here(beam: Beam) -> None:
    with pytest.raises(BeamError) as caught:
        beam.eval("throw({not_this, 1})")
    assert (caught.value.kind, caught.value.reason) == ("throw", (A.not_this, 1))


def test_an_exception_is_told_as_erlangs_shell_does_with_its_stack(beam: Beam) -> None:
    with pytest.raises(BeamError) as caught:
        beam.eval("lists:map(fun(X) -> X + a end, [1])")
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[:4] == [
        "error on the BEAM: badarith",
        "exception error: an error occurred when evaluating an arithmetic expression",
        "in operator  +/2",
        "called as 1 + a",
    ]
    assert lines[4].startswith("in call from lists:map/2 (lists.erl")
    assert len(lines) == 5, "frames of what evaluates are shown"


def test_a_stack_names_the_line_of_a_file_that_was_loaded(beam: Beam, tmp_path: Path) -> None:
    beam.load(write(tmp_path / "deep.erl", "-module(deep).\n-export([f/1]).\nf(X) ->\n    1 + f2(X).\nf2(a) -> 1.\n"))
    line = "deep.erl:5" if beam.otp >= 29 else "deep.erl, line 5"
    with pytest.raises(BeamError, match=rf"(?s)no function clause matching deep:f2\(b\).*{line}\)"):
        beam.eval("deep:f(b)")


@pytest.mark.parametrize("source", ["exit(X)", "error({wrong, X})", "{} = X", "throw(X)"])
def test_a_long_reason_is_told_whole(beam: Beam, source: str) -> None:
    with pytest.raises(BeamError) as caught:
        beam.eval(source, X=[(A.item, number) for number in range(3000)])
    assert "{item,2999}]" in str(caught.value)


@pytest.mark.beam(elixir=True)
def test_an_exception_of_elixir_is_told_as_elixir_does(beam: Beam) -> None:
    def told(source: str) -> str:
        with pytest.raises(BeamError) as caught:
            beam.elixir(source)
        return str(caught.value)

    assert told('raise ArgumentError, "no"').startswith("error on the BEAM: ** (ArgumentError) no")
    clauses = told("String.length(:a)")
    assert clauses.startswith(
        "error on the BEAM: ** (FunctionClauseError) no function clause matching in String.length/1"
    )
    assert "# 1\n    :a\n" in clauses
    assert "lib/string.ex:" in clauses
    assert "GenServer.call(:nobody, :x, 5000)\n    ** (EXIT) no process" in told("GenServer.call(:nobody, :x)")
    place = "" if beam.elixir("System.version()") < b"1.18" else "\n    nofile:1: (file)"
    assert told("throw(:x)") == f"throw on the BEAM: ** (throw) :x{place}"
    assert ", 2999]" in told("%{} = Enum.to_list(0..2999)")
    assert "nofile:1" in told("foo(")


@pytest.mark.beam(elixir=True)
def test_an_exception_of_elixir_in_erlang_is_told_as_elixir_does(beam: Beam) -> None:
    with pytest.raises(BeamError, match=r"^error on the BEAM: \*\* \(KeyError\) key :b not found"):
        beam.eval("'Elixir.Keyword':'fetch!'([], b)")


def test_source_that_does_not_parse_says_where(beam: Beam) -> None:
    with pytest.raises(BeamError, match="line 2"):
        beam.eval("1,\n2 +")


def test_an_answer_that_does_not_come_is_a_timeout_and_the_next_one_arrives(beam: Beam) -> None:
    with pytest.raises(BeamTimeout, match=f"within {patience(0.05):g} s"):
        beam.eval("receive never -> ok end", 0.05)
    with pytest.raises(BeamTimeout, match=f"within {patience(0.05):g} s"):
        beam.eval("receive X -> ok end", timeout=0.05, X=1)
    assert beam.eval("1") == 1


@pytest.mark.parametrize(
    "source",
    [
        'io:format("a word~n")',
        'io:format(user, "a word~n", [])',
        "erlang:display('a word')",
    ],
)
def test_the_beams_own_output_does_not_disturb_and_is_in_the_logs(beam: Beam, source: str) -> None:
    position = beam.log_position
    assert beam.eval(f"{source}, 7") == 7
    wait_for(lambda: "a word" in beam.logs_since(position), what="the word in the logs")


def test_clean_kills_what_was_spawned_and_only_that(beam: Beam) -> None:
    before = beam.eval("length(processes())")
    pid = beam.eval("spawn(fun() -> process_flag(trap_exit, true), receive never -> ok end end)")
    assert beam.clean() == 1
    assert beam.eval("is_process_alive(P)", P=pid) is False
    beam.wait_until("length(processes()) =< N", N=before)


def test_wait_until_says_what_it_saw_last(beam: Beam) -> None:
    beam.wait_until("true")
    with pytest.raises(AssertionError, match=r"last seen: A\.almost"):
        beam.wait_until("almost", 0.05)


def test_a_big_term_passes_both_ways(beam: Beam) -> None:
    data = bytes(range(256)) * 8192
    assert beam.eval("{byte_size(B), B}", B=data) == (len(data), data)


def test_a_killed_beam_says_so_and_restarts_under_its_name(beam_factory: Callable[..., Beam]) -> None:
    beam = beam_factory()
    creation = beam.eval("erlang:system_info(creation)")
    beam.kill9()
    with pytest.raises(BeamDown, match="SIGKILL"):
        beam.eval("1")
    beam.restart()
    assert beam.eval("node()") is beam.node
    assert beam.eval("erlang:system_info(creation)") != creation


def test_a_suspended_beam_is_silent_until_it_is_resumed(beam_factory: Callable[..., Beam]) -> None:
    beam = beam_factory()
    with beam.suspended_for_block(), pytest.raises(BeamTimeout):
        beam.eval("1", 0.05)
    assert beam.eval("2") == 2


def test_two_beams_meet_and_block_dist_parts_them(beam: Beam, beam_factory: Callable[..., Beam]) -> None:
    other = beam_factory(cookie=beam.cookie)
    assert beam.eval("net_adm:ping(N)", N=other.node) is A.pong
    beam.block_dist(other.name)
    beam.wait_until("not lists:member(N, nodes(connected))", N=other.node)
    assert other.eval("net_adm:ping(N)", N=beam.node) is A.pang
    beam.unblock_dist(other.name)
    assert other.eval("net_adm:ping(N)", N=beam.node) is A.pong


def test_epmd_dies_and_comes_back_at_its_port(beam_factory: Callable[..., Beam]) -> None:
    beam = beam_factory(own_epmd=True)
    port = beam.epmd_port
    assert list(beam.epmd.names()) == [beam.name.partition("@")[0]]
    beam.stop_epmd()
    beam.start_epmd()
    assert beam.epmd_port == port


def test_epmd_comes_back_though_a_node_has_started_one_in_its_place(beam_factory: Callable[..., Beam]) -> None:
    beam = beam_factory(own_epmd=True)
    with Node(python_name(), cookie=beam.cookie, epmd="auto", epmd_port=beam.epmd_port) as node:
        assert node.ping(beam.name)
        beam.stop_epmd()
        wait_for(lambda: listeners(beam.epmd_port), what="the daemon that the node starts")
        beam.start_epmd()
        assert beam.epmd.running()
        assert len(listeners(beam.epmd_port)) == 1
        beam.stop_epmd()
        wait_for(lambda: listeners(beam.epmd_port), what="the daemon that the node starts again")
    beam.stop_epmd()
    assert listeners(beam.epmd_port) == []


@pytest.mark.beam(otp="25")
def test_the_compiled_agent_is_what_its_source_compiles_to(beam: Beam) -> None:
    """`.ci/agent` makes it, with OTP 25: for nodes that have no compiler."""
    compiled = "{ok, _, Code} = compile:file(File, [binary, deterministic]), {ok, {_, Md5}} = beam_lib:md5(Code), Md5"
    made = beam.eval(compiled, File=list(bytes(AGENT)))
    assert beam.eval("element(2, element(2, beam_lib:md5(Code)))", Code=COMPILED.read_bytes()) == made, "run .ci/agent"
