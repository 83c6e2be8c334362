"""Output and input across nodes: Python as a device of BEAM processes, and a client of theirs."""

import io
from typing import Any

import pytest

from pyerlnode import A, process_info, self_, send
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
      [IO.gets(device, "Name? "), :io.setopts(device, [:binary]), IO.read(device, :line), IO.gets(device, "")]
    """
    assert beam.elixir(script, device=device) == [[*b"Ada\n"], A.ok, b"Lovelace\n", A.eof]
    assert made.getvalue() == "hello é\nabc\n%{a: 1}\nName? "


def test_erlang_reads_lines_characters_and_terms(beam: Beam, node: Any) -> None:
    given = io.StringIO('abcde\n{ok, [1, 2.5, "text", \'Odd\', $a, #{k => <<"b">>}]}.\nlast')
    device = node.open_device(io.StringIO(), given)
    assert beam.eval("io:get_chars(D, '', 2)", D=device) == [*b"ab"]
    assert beam.eval("ok = io:setopts(D, [binary]), io:get_line(D, '')", D=device) == b"cde\n"
    assert beam.eval("io:setopts(D, [list])", D=device) is A.ok
    text = beam.text("io:read(D, '')", D=device)
    assert text == '{ok,{ok,[1,2.5,"text",\'Odd\',97,#{k => <<"b">>}]}}'
    assert beam.eval("io:get_line(D, '')", D=device) == [*b"last"]
    assert beam.eval("io:get_line(D, '')", D=device) is A.eof


def test_a_device_gives_what_a_device_of_the_beam_gives(beam: Beam, node: Any, tmp_path: Any) -> None:
    file = tmp_path / "lines"
    file.write_text("one\ntwo three\nfour")
    source = """
    [io:get_line(D, ''), io:get_chars(D, '', 3), io:get_line(D, prompt), io:get_line(D, ''), io:get_line(D, ''),
     io:get_chars(D, '', 1), proplists:get_value(binary, io:getopts(D))]
    """
    erlang = beam.text(f"{{ok, D}} = file:open(Path, [read]), {source}", Path=str(file))
    python = beam.text(source, D=node.open_device(io.StringIO(), io.StringIO(file.read_text())))
    assert python == erlang


def test_get_until_takes_what_an_exported_function_wants(beam: Beam, node: Any) -> None:
    def word(before: Any, data: Any, end: int) -> Any:
        """Text up to the character `end`, over as many lines as it takes."""
        if data is A.eof:
            return A.done, (A.ok, before), A.eof
        if end in data:
            at = data.index(end)
            return A.done, (A.ok, [*before, *data[:at]]), data[at + 1 :]
        return A.more, [*before, *data]

    node.export("words", word, name="word")
    device = node.open_device(io.StringIO(), io.StringIO("one\ntwo;three;\nfour"))
    ask = "Ask = fun(R) -> D ! {io_request, self(), r, R}, receive {io_reply, r, Answer} -> Answer end end, "
    source = ask + "[Ask({get_until, unicode, '', words, word, [$;]}) || _ <- [1, 2, 3]] ++ [io:get_line(D, '')]"
    assert beam.eval(source, D=device) == [
        (A.ok, [*b"one\ntwo"]), (A.ok, [*b"three"]), (A.ok, [*b"\nfour"]), A.eof,
    ]  # fmt: skip
    assert beam.eval(ask + "Ask({get_until, unicode, '', words, none, []})", D=device) == (
        A.error, (A.get_until, A.words, A.none),
    )  # fmt: skip


def test_what_rex_runs_has_the_group_leader_of_its_call(beam: Beam, node: Any) -> None:
    node.export("led", lambda: process_info(self_(), "group_leader"), name="by")
    node.export("led", lambda to: send(to, (A.led, process_info(self_(), "group_leader"))), name="tell")
    source = """
    GL = spawn(fun() -> receive stop -> ok end end),
    Ask = fun(What) -> gen_server:call({rex, N}, {What, led, by, [], GL}) end,
    gen_server:cast({rex, N}, {cast, led, tell, [self()], GL}),
    Cast = receive {led, L} -> L end,
    Own = group_leader(),
    group_leader(GL, self()),
    Rpc = [rpc:call(N, led, by, []), rpc:block_call(N, led, by, []), erpc:call(N, led, by, []),
           rpc:yield(rpc:async_call(N, led, by, []))],
    rpc:cast(N, led, tell, [self()]),
    RpcCast = receive {led, L2} -> L2 end,
    group_leader(Own, self()),
    Seen = [X =:= GL || X <- [Ask(call), Ask(block_call), Cast, RpcCast | Rpc]],
    {Seen, [gen_server:call({rex, N}, {What, led, by, [], user}) || What <- [call, block_call]]}
    """
    user = node.whereis("user")
    assert beam.eval(source, N=A[node.name]) == ([True] * 8, [user, user])
    assert node.process_info(node.whereis("rex"), "group_leader") == user


def test_a_request_that_a_device_does_not_know_is_an_error_and_never_silence(beam: Beam, node: Any) -> None:
    device = node.open_device(io.StringIO())
    ask = """D ! {io_request, self(), 7, R}, receive {io_reply, 7, Answer} -> Answer after 60000 -> none end"""
    assert beam.eval(ask, D=device, R=A.nonsense) == (A.error, A.request)
    assert beam.eval(ask, D=device, R=(A.put_chars, A.unicode, [A.no_text])) == (A.error, A.badarg)
    assert beam.eval(ask, D=device, R=(A.put_chars, A.unicode, A.os, A.cmd, [b"true"]))[0] is A.error
    assert beam.eval(ask, D=device, R=(A.requests, [(A.put_chars, A.unicode, b"x"), A.getopts])) == [
        (A.binary, False),
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
