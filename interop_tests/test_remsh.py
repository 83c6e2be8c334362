"""`pyerlnode remsh` at a terminal: Erlang's shell and IEx of a real BEAM, and what happens when that goes away."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest
from terminal import spawn

from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

Open = Callable[..., Any]
LINE = 30


class Shell:
    """What a person types and sees; prompts have a number, so each answer is awaited by the next one."""

    def __init__(self, beam: Beam, home: Path, *options: str) -> None:
        where = ("--cookie", beam.cookie, "--epmd-port", str(beam.epmd_port), "--timeout", f"{patience(LINE):g}")
        env = {**os.environ, "TERM": "xterm", "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
        self.seen = spawn(
            sys.executable, ["-m", "pyerlnode", "remsh", beam.node.name, *where, *options],
            env=env, timeout=patience(), encoding="utf-8", dimensions=(30, 300),
        )  # fmt: skip
        self.number = 0
        self.before = f"{'iex' if '--elixir' in options else ''}({beam.node.name})"

    def prompt(self) -> str:
        """What was shown up to the next prompt that has a number of its own."""
        self.number += 1
        self.seen.expect_exact(f"{self.before}{self.number}> ")
        return str(self.seen.before)

    def says(self, line: str) -> str:
        """The answer to a line."""
        self.seen.send(f"{line}\r")
        return self.prompt().partition("\n")[2].strip()

    def ended(self) -> tuple[str, int]:
        self.seen.expect(pexpect.EOF)
        text = str(self.seen.before)
        self.seen.close()
        assert self.seen.exitstatus is not None, self.seen
        return text, self.seen.exitstatus


@pytest.fixture
def remsh(beam: Beam, tmp_path: Path) -> Iterator[Open]:
    @contextmanager
    def open_(*options: str, on: Beam = beam) -> Iterator[Shell]:
        shell = Shell(on, tmp_path, *options)
        try:
            yield shell
        finally:
            shell.seen.close(force=True)

    return open_


def test_erlang_s_shell_has_variables_history_completion_and_input(beam: Beam, remsh: Open) -> None:
    before = beam.eval("length(processes())")
    with remsh("--erlang") as shell:
        assert "Ctrl-D leaves this shell" in shell.prompt()
        assert shell.says("X = 40 + 1.") == "41"
        assert shell.says("X + 1.") == "42"
        shell.seen.send("{X,\r")  # an expression of two lines
        shell.seen.expect_exact(")3> ")
        assert shell.says("'b c'}.") == "{41,'b c'}"
        assert "syntax error before: '.'" in _unnumbered(shell, "1 + .")
        assert shell.says('"naïve".') == '"naïve"'
        assert shell.says("v(1).") == "41"
        assert "X = 41" in shell.says("b().")
        assert shell.says("lists:rever\t[1, 2]).") == "[2,1]"  # the Tab has added se(
        shell.seen.send("lists:keyf\x08\t\t")
        shell.seen.expect_exact("keyreplace")
        shell.seen.send("\x15")  # away with what was typed
        assert shell.says('io:format("~p ~s~n", [[1], "a b"]).').splitlines()[-2:] == ["[1] a b", "ok"]
        shell.seen.send("io:get_line('name? ').\r")
        shell.seen.expect_exact("name? ")
        assert shell.says("some body").splitlines()[-1] == '"some body\\n"'
        assert shell.says("\x1b[A\x1b[A\x1b[A\x01\x0b7 * 6.") == "42"  # the line before last, and another instead
        shell.seen.send("\x04")
        assert shell.ended()[1] == 0
    beam.wait_until("length(processes()) =< Before", Before=before)  # and the node was not halted


def _unnumbered(shell: Shell, line: str) -> str:
    """The answer to a line that the shell does not count."""
    shell.number -= 1
    return shell.says(line)


def test_the_history_of_one_shell_is_there_in_the_next(remsh: Open) -> None:
    for _ in range(2):
        with remsh("--erlang") as shell:
            shell.prompt()
            answer = shell.says("\x1b[A" if _ else "11 * 11.")
            assert answer == "121"
            shell.seen.send("\x04")
            assert shell.ended()[1] == 0


def test_ctrl_c_ends_what_runs_and_clears_what_is_typed_and_nothing_else(beam: Beam, remsh: Open) -> None:
    with remsh("--erlang") as shell:
        shell.prompt()
        assert shell.says("X = 7.") == "7"
        beam.eval("register(test_interrupted, spawn(fun() -> receive never -> ok end end))")
        shell.seen.send("test_interrupted ! started, register(waits_here, self()), receive never -> ok end.\r")
        beam.wait_until("whereis(waits_here) =/= undefined")
        shell.seen.send("\x03")
        shell.prompt()
        assert shell.says("X.") == "7"
        shell.seen.send("half a li\x03")
        shell.seen.expect_exact(f"){shell.number}> ")
        assert shell.says("X + 1.") == "8"
        shell.seen.send("\x04")
        assert shell.ended()[1] == 0
    beam.eval("exit(whereis(test_interrupted), kill)")


def test_lines_from_a_pipe_are_evaluated_to_their_end(beam: Beam, tmp_path: Path) -> None:
    where = ("--cookie", beam.cookie, "--epmd-port", str(beam.epmd_port), "--timeout", f"{patience(LINE):g}")
    ran = subprocess.run(
        [sys.executable, "-m", "pyerlnode", "remsh", beam.node.name, "--erlang", *where],
        input="X = 20.\nX + 1.\n", capture_output=True, text=True, timeout=patience(), check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr, re.findall(r"> (\d+)", ran.stdout)) == (0, "", ["20", "21"])
    assert beam.eval("1") == 1


@pytest.mark.parametrize("end", ["kill9", "suspend"])
def test_typing_while_the_peer_dies_or_hangs_ends_in_one_line(beam_factory: Any, remsh: Open, end: str) -> None:
    other = beam_factory()
    with remsh("--erlang", on=other) as shell:
        shell.prompt()
        shell.seen.send("half a li")
        if end == "kill9":
            other.kill9()
            text, status = shell.ended()
            assert (status, text.count(f"pyerlnode: the connection to {other.node.name} was lost")) == (1, 1)
            return
        other.suspend()
        try:
            shell.seen.send("\x151 + 1.\r")
            shell.seen.expect_exact("1 + 1.\r\n")
            shell.seen.send("\x03")  # it can not be interrupted
            shell.seen.expect_exact("^C")
            shell.seen.send("\x03")  # but it can be left
            assert shell.ended()[1] == 0
        finally:
            other.resume()


def test_a_node_that_is_stopped_from_its_shell_ends_it(beam_factory: Any, remsh: Open) -> None:
    other = beam_factory()
    with remsh("--erlang", on=other) as shell:
        shell.prompt()
        shell.seen.send("halt().\r")
        assert shell.ended()[1] == 1


@pytest.mark.beam(elixir=True)
def test_iex_has_variables_lines_that_go_on_completion_and_help(beam: Beam, remsh: Open) -> None:
    with remsh("--elixir") as shell:
        shell.prompt()
        assert shell.says("x = 40 + 1") == "41"
        shell.seen.send("y = [\r")
        shell.seen.expect_exact(")2> ")
        assert shell.says("x + 1, 1.5]") == "[42, 1.5]"
        assert shell.says("Enum.rever\t([1, 2])") == "[2, 1]"
        shell.seen.send("Enum.ma\t\t")
        shell.seen.expect_exact("map_every")
        shell.seen.send("\x15")
        assert "String.upcase(" in shell.says("h String.upcase/1")
        shell.seen.send('IO.gets("name? ")\r')
        shell.seen.expect_exact("name? ")
        assert shell.says("some body").splitlines()[-1] == '"some body\\n"'
        shell.seen.send("\x04")
        assert shell.ended()[1] == 0
    assert beam.eval("1") == 1


def test_what_it_can_not_do_is_one_line(beam: Beam, remsh: Open) -> None:
    with remsh("--json") as shell:
        text, status = shell.ended()
        assert (status, "has no --json" in text) == (2, True)
    if beam.eval("code:which('Elixir.IEx.Server')") is A.non_existing:
        with remsh("--elixir") as shell:
            assert "has no IEx" in shell.ended()[0]
