"""Port mode: a Python program on the other end of `open_port`, owned by `pyerlnode_port`, with no network between."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(__file__).parent / "ports" / "counter.py"
Ask = Callable[..., Any]


@pytest.fixture
def owner(beam: Beam) -> Any:
    """Opens the program; ``owner(packet=2)`` gives a function that evaluates Erlang with its owner as `O`."""
    beam.load(ROOT / "beam" / "pyerlnode_port.erl")
    opened: list[Any] = []

    def open_it(packet: int = 4, nouse_stdio: bool = False) -> Ask:
        args = [f"packet={packet}".encode()] + ([b"nouse_stdio=1"] if nouse_stdio else [])
        pid = beam.eval(
            "{ok, O} = gen_server:start(pyerlnode_port, #{executable => binary_to_list(Exe),"
            " args => [binary_to_list(X) || X <- [Script | Args]], packet => Packet, nouse_stdio => Nouse,"
            ' env => [{"PYTHONPATH", binary_to_list(Path)}]}, []), O',
            Exe=sys.executable.encode(), Script=str(PROGRAM).encode(), Args=args, Packet=packet, Nouse=nouse_stdio,
            Path=str(ROOT).encode(),
        )  # fmt: skip
        opened.append(pid)
        return lambda source, **values: beam.eval(source, O=pid, **values)

    yield open_it
    for pid in opened:
        beam.eval("catch gen_server:stop(O)", O=pid)


@pytest.mark.parametrize(("packet", "nouse_stdio"), [(1, False), (2, False), (4, False), (4, True)])
def test_functions_and_servers_are_reached_in_every_packet_size(owner: Any, packet: int, nouse_stdio: bool) -> None:
    ask = owner(packet, nouse_stdio)
    assert ask("pyerlnode_port:rpc(O, m, double, [21])") == 42
    assert ask("pyerlnode_port:call(O, counter, {add, 1})") == 42


def test_terms_come_back_unchanged_and_large_ones_too(owner: Any) -> None:
    ask = owner()
    assert ask("T = {[], 0, 1.5, <<1:3>>, #{1 => a, 1.0 => b}, self(), make_ref(), fun lists:map/2}, "
               "{echo, T} =:= pyerlnode_port:call(O, counter, T)") is True  # fmt: skip
    assert ask("B = binary:copy(<<7>>, 16000000), {echo, B} =:= pyerlnode_port:call(O, counter, B)") is True


def test_how_a_function_ends_is_told_apart(owner: Any) -> None:
    ask = owner()
    caught = "try pyerlnode_port:rpc(O, m, {0}, {1}) catch C:R -> {{C, R}} end"
    assert ask(caught.format("fail", "[throw]")) == (A.throw, A.thrown)
    assert ask(caught.format("fail", "[exit]")) == (A.exit, (A.exception, A.left))
    kind, (_, reason, _) = ask(caught.format("fail", "[error]"))
    assert (kind, reason) == (A.error, (A.python_error, b"KeyError", b"'k'"))
    assert ask(caught.format("bad", "[]"))[1][1][0] is A.unencodable_reason


@pytest.mark.parametrize("call", ['os, cmd, ["id"]', "builtins, eval, [<<>>]", "m, '__class__', []"])
def test_what_is_not_exported_is_undef(owner: Any, call: str) -> None:
    ask = owner()
    kind, (_, reason, _) = ask(f"try pyerlnode_port:rpc(O, {call}) catch C:R -> {{C, R}} end")
    assert (kind, reason) == (A.error, A.undef)


def test_python_calls_the_beams_functions_and_servers(owner: Any) -> None:
    ask = owner()
    assert ask("pyerlnode_port:rpc(O, m, ask_beam, [lists, sum, [[1, 2, 3]]])") == 6
    assert ask("pyerlnode_port:rpc(O, m, ask_beam, [erlang, error, [oops]])") == (A.error, A.oops)
    assert ask("pyerlnode_port:rpc(O, m, ask_server, [net_kernel, {is_auth, x}])") is A.yes
    kind, reason = ask("try pyerlnode_port:rpc(O, m, ask_server, [nobody, x]) catch C:{exception, R} -> {C, R} end")
    assert (kind, reason[0]) == (A.exit, A.noproc)


def test_a_monitor_of_a_python_process_gives_one_down_with_pythons_stack(owner: Any) -> None:
    ask = owner()
    down = ask(
        "R = pyerlnode_port:monitor(O, counter), catch pyerlnode_port:call(O, counter, crash),"
        "receive {'DOWN', R, process, counter, Why} -> receive {'DOWN', R, _, _, _} -> twice after 0 -> Why end end"
    )
    assert down[:3] == (A.python_error, b"ValueError", b"as asked")
    assert ask("catch pyerlnode_port:call(O, counter, x)")[1][0] is A.noproc
    assert ask("R = pyerlnode_port:monitor(O, counter), receive {'DOWN', R, _, _, W} -> W end") is A.noproc


def test_a_monitor_of_a_beam_process_gives_down_to_python(owner: Any) -> None:
    ask = owner()
    assert ask(
        "register(collector, self()), P = spawn(fun() -> receive X -> exit(X) end end),"
        "pyerlnode_port:send(O, counter, {monitor, P}), _ = pyerlnode_port:call(O, counter, sync), P ! bye,"
        "Got = receive M -> M end, unregister(collector), Got"
    ) == (A.down, A.bye)


def test_a_link_breaks_both_ways(owner: Any) -> None:
    ask = owner()
    linked = (
        "P = spawn(fun() -> receive X -> exit(X) end end), pyerlnode_port:send(O, counter, {link, P}),"
        "_ = pyerlnode_port:call(O, counter, sync), M = monitor(process, P), "
    )
    assert ask(linked + "pyerlnode_port:exit(O, counter, boom), receive {'DOWN', M, _, _, W} -> W end") is A.boom
    ask = owner()
    assert (
        ask(linked + "R = pyerlnode_port:monitor(O, counter), P ! crash, receive {'DOWN', R, _, _, W} -> W end")
        is A.crash
    )


def test_the_program_ends_when_its_owner_does(owner: Any) -> None:
    ask = owner()
    os_pid = ask("pyerlnode_port:os_pid(O)")
    ask("gen_server:stop(O)")
    wait_for(lambda: not alive(os_pid), what="the end of the OS process")


def test_the_owner_ends_with_the_exit_status_of_the_program(owner: Any) -> None:
    ask = owner()
    os_pid = ask("pyerlnode_port:os_pid(O)")
    down = ask(
        "M = monitor(process, O), R = pyerlnode_port:monitor(O, counter), os:cmd(binary_to_list(Kill)),"
        "{receive {'DOWN', M, _, _, W} -> W end, receive {'DOWN', R, _, _, V} -> V end}",
        Kill=f"kill -9 {os_pid}".encode(),
    )
    assert down == ((A.exit_status, 137), A.noconnection)


def test_a_program_that_is_not_there_is_a_clear_reason(beam: Beam) -> None:
    beam.load(ROOT / "beam" / "pyerlnode_port.erl")
    reason = beam.eval('gen_server:start(pyerlnode_port, #{executable => "no-such-program"}, [])')
    assert reason[0] is A.error
    assert reason[1][0] is A.enoent


def alive(os_pid: int) -> bool:
    try:
        os.kill(os_pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_nothing_that_code_raises_ends_the_program_and_an_answer_that_is_no_term_ends_nothing(owner: Any) -> None:
    ask = owner()
    caught = "try pyerlnode_port:rpc(O, m, fail, [{0}]) catch error:{{exception, {{python_error, T, _}}, _}} -> T end"
    assert ask(caught.format("leave")) == b"SystemExit"
    assert ask(caught.format("interrupt")) == b"KeyboardInterrupt"
    called = "try pyerlnode_port:call(O, counter, {0}) catch exit:{{{{python_error, T, _, _}}, _}} -> T end"
    assert ask(called.format("bad")) == b"pyerlnode.errors.EncodeError"
    assert ask("pyerlnode_port:call(O, counter, {add, 1})") == 42
    assert ask(called.format("leave")) == b"SystemExit"
    assert ask("pyerlnode_port:rpc(O, m, double, [21])") == 42
