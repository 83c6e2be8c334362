"""Output and input across nodes: Python as a device of BEAM processes, and a client of theirs."""

import io
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.kernel.io import DeviceError
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

FORMATS = r"""[
  {"~p ~w~n", [[1, 2], "abc"]}, {"~p", [{a, "str", <<"bin">>, #{a => 1}}]}, {"~10s|~-10s|~.3s|~2s", ["abc", abc, "abcdef", <<"abc">>]},
  {"~5w|~-5w|~2w", [abc, abc, abc]}, {"~c~c~3c", [65, 66, 67]}, {"~tc ~ts", [955, [955, 956]]}, {"~B ~.16B ~.2b ~.36b", [10, 255, 5, 123456]},
  {"~X ~.16x ~.16# ~.16+", [10, "0x", 255, "0x", 255, 255]}, {"~f ~.2f ~e ~.3e ~g ~g ~10.2f", [1.5, 2.345, 3.14159, 12345.678, 0.5, 123456.0, 2.5]},
  {"~~ ~i~n~2n", [a]}, {"~W ~P", [[1, 2, 3, 4, 5, 6], 4, {a, b, c, d}, 3]}, {"~5..0B", [42]}, {"~*s|", [6, "abc"]}, {"~tp ~p", [[955], [955]]},
  {"~w", [<<"abc">>]}, {"~lp", ["abc"]}, {"x: ~p~n", [lists:seq(1, 60)]}, {"~-8.3s|~8.3s|", ["abcdef", "abcdef"]}, {"~6.2f|", [1234567.0]},
  {"~0p", [lists:seq(1, 60)]}, {"~s and ~p", ["hi", 'Odd Atom']}, {"~p", [{key, "some rather long text", [{k, "and a second one that goes on"}]}]}
]"""  # noqa: E501


def test_python_formats_as_io_lib_does(beam: Beam, node: Any) -> None:
    made = io.StringIO()
    device = node.open_device(made)
    expected = beam.eval(f"[unicode:characters_to_binary(io_lib:format(F, A)) || {{F, A}} <- {FORMATS}]")
    beam.eval(f"[io:format(D, F, A) || {{F, A}} <- {FORMATS}]", D=device)
    assert made.getvalue() == "".join(text.decode() for text in expected)


@pytest.mark.beam(elixir=True)
def test_elixir_prints_to_a_device_of_python_and_reads_from_it(beam: Beam, node: Any) -> None:
    made = io.StringIO()
    device = node.open_device(made, io.StringIO("Ada\nLovelace\n"))
    script = """
      IO.puts(device, "hello é"); IO.write(device, ["a", ?b, 'c', "\\n"]); IO.inspect(device, %{a: 1}, [])
      [IO.gets(device, "Name? "), IO.read(device, :line), IO.gets(device, "")]
    """
    assert beam.elixir(script, device=device) == [b"Ada\n", b"Lovelace\n", A.eof]
    assert made.getvalue() == "hello é\nabc\n%{a: 1}\nName? "


def test_erlang_reads_lines_characters_and_terms(beam: Beam, node: Any) -> None:
    given = io.StringIO('abcde\n{ok, [1, 2.5, "text", \'Odd\', $a, #{k => <<"b">>}]}.\nlast')
    device = node.open_device(io.StringIO(), given)
    assert beam.eval("io:get_chars(D, '', 2)", D=device) == b"ab"
    assert beam.eval("ok = io:setopts(D, [list]), io:get_line(D, '')", D=device) == [*b"cde\n"]
    text = beam.text("io:read(D, '')", D=device)
    assert text == '{ok,{ok,[1,2.5,"text",\'Odd\',97,#{k => <<"b">>}]}}'
    assert beam.eval("io:get_line(D, '')", D=device) == [*b"last"]
    assert beam.eval("io:get_line(D, '')", D=device) is A.eof


def test_a_request_that_a_device_does_not_know_is_an_error_and_never_silence(beam: Beam, node: Any) -> None:
    device = node.open_device(io.StringIO())
    ask = """D ! {io_request, self(), 7, R}, receive {io_reply, 7, Answer} -> Answer after 60000 -> none end"""
    assert beam.eval(ask, D=device, R=A.nonsense) == (A.error, A.request)
    assert beam.eval(ask, D=device, R=(A.put_chars, A.unicode, [A.no_text])) == (A.error, A.badarg)
    assert beam.eval(ask, D=device, R=(A.put_chars, A.unicode, A.os, A.cmd, [b"true"]))[0] is A.error
    assert beam.eval(ask, D=device, R=(A.requests, [(A.put_chars, A.unicode, b"x"), A.getopts])) == [
        (A.binary, True),
        (A.encoding, A.unicode),
    ]
    assert beam.eval(ask, D=device, R=(A.get_geometry, A.columns)) == (A.error, A.enotsup)
    assert beam.eval("io:columns(D)", D=device) == (A.error, A.enotsup)


def test_processes_without_another_group_leader_print_at_pythons_standard_output(
    beam: Beam, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    beam.eval(
        """spawn(fun() -> group_leader(D, self()), io:format("~s~n", ["to python"]) end)""", D=node.whereis("user")
    )
    seen: list[str] = []
    wait_for(lambda: bool(seen.append(capsys.readouterr().out) or "".join(seen)))
    assert "".join(seen) == "to python\n"


@pytest.mark.beam(elixir=True)
def test_python_prints_to_a_device_of_the_beam_and_reads_from_it(beam: Beam, node: Any) -> None:
    pid = beam.elixir("""
    me = self()
    spawn(fn ->
      {:ok, device} = StringIO.open("first\\nsecond\\n") # it ends with its owner
      send(me, device)
      Process.sleep(:infinity)
    end)
    receive do device -> device end
    """)
    screen = node.device(pid)
    print("done", 42, "é", file=screen)
    assert screen.ask("next? ") == "first\n"
    assert list(screen) == ["second\n"]
    assert beam.elixir("StringIO.contents(d)", d=pid) == (b"", "done 42 é\n".encode())
    node.exit(pid, A.kill)


def test_a_device_that_is_gone_is_an_error_at_once(beam: Beam, node: Any) -> None:
    with pytest.raises(DeviceError) as gone:
        print("x", file=node.device(beam.eval("spawn(fun() -> ok end)")))
    assert gone.value.reason is A.terminated
    with pytest.raises(DeviceError) as lost:
        node.device(("user", "nobody_here@127.0.0.1")).write("x")
    assert lost.value.reason is A.noconnection


def test_the_group_leader_of_a_remote_process_can_be_set(beam: Beam, node: Any) -> None:
    made = io.StringIO()
    pid = beam.eval("""spawn(fun() -> receive go -> io:put_chars("mine\\n") end end)""")
    node.set_group_leader(node.open_device(made), pid)
    node.send(pid, A.go)
    wait_for(lambda: made.getvalue() == "mine\n")
