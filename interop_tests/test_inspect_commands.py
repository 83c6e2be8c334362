"""The commands that look into a BEAM, run as an operator runs them, and what they say when it can not be."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.tools import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(beam: Beam, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the BEAM: its status, and what it wrote on both streams."""

    def go(
        command: str, *arguments: str, node: str = "", cookie: str = "", seconds: float = 30.0
    ) -> tuple[int, str, str]:
        where = ["--epmd-port", str(beam.epmd_port), "--cookie", cookie or beam.cookie]
        limits = ["--timeout", f"{patience(seconds):g}"]
        status = cli.main([command, node or beam.node.name, *arguments, *where, *limits])
        out, err = capsys.readouterr()
        return status, out, err

    return go


COMMANDS = [
    ("info",), ("nodes",), ("top",), ("proc", "kernel_sup"), ("mailbox", "init"), ("state", "kernel_sup"), ("tree",),
    ("tree", "kernel"), ("tree", "kernel_sup"), ("apps",), ("ets",), ("ports",), ("sched", "--window", "0.05"),
    ("find", "kernel_sup"), ("eval", "{ok, self()}.", "--yes"), ("gc", "kernel_sup", "--yes"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_prints_for_a_person_and_one_document_for_a_program(run: Run, command: tuple[str, ...]) -> None:
    status, out, err = run(*command)
    assert (status, err) == (0, ""), out
    assert len(out.splitlines()) > 1 or command[0] in ("mailbox", "eval", "gc")
    status, out, err = run(*command, "--json", "--elixir")
    assert (status, err) == (0, "")
    assert json.loads(out)["ok"] is True


def test_pids_print_as_the_node_that_was_asked_prints_them(beam: Beam, run: Run) -> None:
    text = beam.text("whereis(kernel_sup)")
    assert run("proc", text)[1].startswith(f"{text}  kernel_sup\n")
    elixir = f"#PID{text}"
    assert run("proc", elixir, "--elixir")[1].startswith(f"{elixir}  :kernel_sup\n")
    assert json.loads(run("proc", "kernel_sup", "--json")[1])["pid"] == text


def test_top_is_a_table_that_says_how_much_more_there_is(run: Run) -> None:
    status, out, _ = run("top", "--by", "queue", "--limit", "3")
    lines = out.splitlines()
    assert (status, len(lines)) == (0, 5)
    assert lines[0].split() == ["PID", "QUEUE", "MEMORY", "NAME", "CURRENT"]
    assert lines[-1].startswith("… ")


def test_a_name_that_gives_a_terminal_orders_is_printed_without_them(beam: Beam, run: Run) -> None:
    pid = beam.eval("""P = spawn(fun() -> receive stop -> ok end end),
        register(list_to_atom("red\\e[31m\\n\\"quoted\\" name"), P), [P ! x || _ <- lists:seq(1, 500)], P""")
    _, out, _ = run("top", "--by", "queue", "--limit", "1")
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3
    beam.eval("exit(P, kill)", P=pid)


EVERY = [
    *COMMANDS, ("stuck",), ("record", "-"), ("kill", "nobody", "--yes"), ("trace", "lists:reverse/1", "--yes"),
    ("remsh",), ("rpc", "erlang", "node"), ("call", "nobody", "hello"), ("ping",),
]  # fmt: skip


def test_every_command_on_a_node_that_is_down_unknown_or_of_another_cookie_is_one_line(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        down = str(free.getsockname()[1])
        for name, *arguments in EVERY:
            for how, options, says in (
                ({"node": "nobody@127.0.0.1"}, (), "nobody"),
                ({"cookie": "wrong"}, (), "cookie"),
                ({}, ("--peer-port", down), "nothing listens"),
            ):
                status, out, err = run(name, *arguments, *options, **how)
                assert (status, out, err.count("\n")) == (1, "", 1), (name, how, err)
                assert err.startswith("pyerlnode: ")
                assert says in err


def test_every_command_on_a_node_that_is_suspended_is_one_line_within_its_time(beam_factory: Any, run: Run) -> None:
    beam = beam_factory()
    beam.suspend()
    try:
        for name, *arguments in EVERY[::3]:
            status, out, err = run(name, *arguments, node=beam.node.name, cookie=beam.cookie, seconds=0.05)
            assert (status, out, err.count("\n")) == (1, "", 1), (name, err)
    finally:
        beam.resume()


def test_what_is_not_there_or_too_much_is_one_line(beam: Beam, run: Run) -> None:
    status, _, err = run("proc", "nobody")
    assert (status, err) == (1, f"pyerlnode: there is no process nobody on {beam.node}\n")
    status, _, err = run("proc", "<0.1")
    assert (status, err.count("\n")) == (2, 1)
    pid = beam.eval("P = spawn(fun() -> receive stop -> ok end end), [P ! I || I <- lists:seq(1, 10001)], P")
    status, _, err = run("mailbox", f"<0.{pid.id}.{pid.serial}>")
    assert status == 1
    assert "--force" in err
    status, out, _ = run("mailbox", f"<0.{pid.id}.{pid.serial}>", "--force", "--limit", "1")
    assert status == 0
    assert "10 001" in out
    beam.eval("exit(P, kill)", P=pid)


def test_what_changes_a_node_is_done_with_yes_only(beam: Beam, run: Run) -> None:
    pid = beam.eval("spawn(fun() -> receive stop -> ok end end)")
    text = f"<0.{pid.id}.{pid.serial}>"
    for command in (("kill", text), ("gc", text), ("eval", "exit(whereis(init), kill)"), ("trace", "lists:reverse/1")):
        status, out, err = run(*command)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "--yes" in err
    assert beam.eval("is_process_alive(P)", P=pid)
    assert run("kill", text, "--yes")[0] == 0
    assert not beam.eval("is_process_alive(P)", P=pid)


def test_stuck_and_find_say_by_their_status_whether_there_are_any(beam: Beam, run: Run) -> None:
    pid = beam.eval("""P = spawn(fun() -> receive never -> ok end end), register('A stuck one', P),
        [P ! {job, I} || I <- lists:seq(1, 5)], P""")
    status, out, _ = run("stuck", "--window", "0.05")
    assert status == 1
    assert "'A stuck one'  5 messages" in out
    assert run("find", "stuck ONE")[0] == 0
    beam.eval("exit(P, kill)", P=pid)
    assert run("find", "no such thing anywhere")[0] == 1


def test_trace_prints_calls_and_why_it_ended(beam: Beam, run: Run) -> None:
    pid = beam.eval("spawn(fun L() -> receive stop -> ok after 2 -> lists:keyfind(a, 1, [{a, 1}]), L() end end)")
    bounds = ("--process", f"<0.{pid.id}.{pid.serial}>", "--count", "4", "--returns", "--yes")
    status, out, err = run("trace", "lists:keyfind/3", *bounds)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("lists:keyfind [a,1,[{a,1}]]")
    assert lines[1].endswith("lists:keyfind -> {a,1}")
    assert lines[4:] == ["ended: as many events as were asked for"]
    told = json.loads(run("trace", "lists:keyfind/3", *bounds, "--json")[1])
    assert (told["ok"], told["ended"], len(told["events"])) == (True, "count", 4)
    beam.eval("P ! stop", P=pid)
    assert run("trace", "nothing:at_all/3", "--yes")[0] == 1


def test_a_node_is_recorded_and_compared_with_itself_later(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "before.json")
    assert run("record", file)[0] == 0
    status, out, _ = run("diff", file, "--limit", "3")
    assert status == 0
    assert out.splitlines()[1].split() == ["WHAT", "BEFORE", "AFTER", "CHANGE"]
    assert json.loads(run("diff", file, "--json")[1])["ok"] is True
    assert json.loads(run("record", "-")[1])["format"] == "pyerlnode snapshot 1"
    (tmp_path / "other").write_bytes(b"\xff")
    for bad in (str(tmp_path / "nothing"), str(tmp_path / "other"), str(tmp_path)):
        status, out, err = run("diff", bad)
        assert (status, out, err.count("\n")) == (2, "", 1)
    assert run("record", str(tmp_path))[0] == 2
