"""`erl -remsh` and `iex --remsh` to a Python node: an answer at the terminal, and no hang."""

import os
import pty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gevent.os import make_nonblocking

from interop_tests.servers import Desk
from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]


class Terminal:
    """A program with a terminal of its own; `text` is what it has shown."""

    def __init__(self, beam: Beam, command: list[str]) -> None:
        self._master, slave = pty.openpty()
        make_nonblocking(self._master)
        env = {"ERL_EPMD_PORT": str(beam.epmd_port), "TERM": "xterm", "HOME": "/tmp"}
        self.program = beam.launcher.start(command, env, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._seen = b""

    @property
    def text(self) -> str:
        try:
            while data := os.read(self._master, 65536):
                self._seen += data
        except OSError:  # nothing now, or the program has closed its end
            pass
        return self._seen.decode(errors="replace")

    def shows(self, words: str) -> None:
        wait_for(lambda: words in self.text, what=f"{words!r} at the terminal")

    def close(self) -> None:
        self.program.kill()
        os.close(self._master)


@contextmanager
def terminal(beam: Beam, *command: str) -> Iterator[Terminal]:
    made = Terminal(beam, list(command))
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("name", ["undefined@127.0.0.1", "shell_1@127.0.0.1"])
def test_an_erlang_shell_is_told_at_its_terminal_what_it_has_reached(beam: Beam, node: Any, name: str) -> None:
    command = ("erl", "-name", name, "-setcookie", beam.cookie, "-remsh", node.name)
    with terminal(beam, *command) as shell:
        shell.shows(f"{node.name} is a Python node")
        shell.shows("erpc:call(")
        wait_for(lambda: "terminated" in shell.text)
    wait_for(lambda: not node.nodes())


@pytest.mark.beam(elixir=True)
def test_iex_ends_at_once_and_says_that_there_is_no_iex(beam: Beam, node: Any) -> None:
    with terminal(beam, "iex", "--name", "iex_1@127.0.0.1", "--cookie", beam.cookie, "--remsh", node.name) as shell:
        wait_for(lambda: not shell.program.running(), what="the end of iex")
        assert "IEx" in shell.text or "iex (nofile)" in shell.text


def test_what_a_shell_asks_for_is_answered_truthfully(beam: Beam, python: Factory) -> None:
    node = python(ticktime=33.0)
    node.export("Elixir.Model", {"predict": abs})
    ask = "erpc:call(N, M, F, A)"
    name = A[node.name]
    assert beam.eval(ask, N=name, M=A.code, F=A.ensure_loaded, A=[A["Elixir.Model"]]) == (A.module, A["Elixir.Model"])
    assert beam.eval(ask, N=name, M=A.code, F=A.ensure_loaded, A=[A.lists]) == (A.error, A.nofile)
    assert beam.eval(ask, N=name, M=A.net_kernel, F=A.get_net_ticktime, A=[]) == 33


def test_a_program_s_own_export_goes_before_the_answers_for_shells(beam: Beam, python: Factory) -> None:
    node = python()
    node.export("code", lambda module: (A.module, module), "ensure_loaded")
    node.start(Desk, name="desk")
    assert beam.eval("erpc:call(N, code, ensure_loaded, [lists])", N=A[node.name]) == (A.module, A.lists)
