"""`top` and `tree` at a terminal, beside a BEAM that works, dies, comes back and hangs."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from screen import Screen

from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

PID = re.compile(r"^<0\.", re.MULTILINE)
Look = Callable[..., Screen]


@pytest.fixture
def look() -> Iterator[Look]:
    """Starts a live view of a BEAM at a terminal."""
    begun: list[Screen] = []

    def start(
        beam: Beam, *command: str, rows: int = 24, columns: int = 80, shell: str = "", **environment: str
    ) -> Screen:
        where = ["--epmd-port", str(beam.epmd_port), "--cookie", beam.cookie, "--timeout", f"{patience(30.0):g}"]
        program = [sys.executable, "-m", "pyerlnode", command[0], beam.node.name, *command[1:], *where]
        kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        program = ["bash", "-c", shell, "bash", *program] if shell else program
        begun.append(Screen(program, {**kept, "LC_ALL": "C.UTF-8", **environment}, rows, columns))
        return begun[-1]

    yield start
    for screen in begun:
        screen.close()


def named(beam: Beam, name: str, messages: int = 0) -> Any:
    """A process of that name with so many messages."""
    source = "P = spawn(fun() -> receive stop -> ok end end), register(N, P), [P ! {x, I} || I <- lists:seq(1, M)], P"
    return beam.eval(source, N=A[name], M=messages)


def test_top_sorts_opens_kills_and_leaves(beam: Beam, look: Look) -> None:
    victim = named(beam, "top_victim", 90)
    screen = look(beam, "top", "--by", "memory")
    screen.shows("by memory", "application_controller", "ready to run", f"OTP {beam.otp}")
    screen.press("Q")
    screen.shows("by queue", "top_victim")
    screen.press("\r")
    screen.shows("process ", "messages      90", "reductions")
    screen.press("m")
    screen.shows("90 messages", "{x,_}", "{x,1}")
    screen.press("\x1b")
    screen.shows("by queue")
    screen.press("k")
    screen.shows("top_victim? y kills it")
    screen.press("y")
    screen.shows("was killed")
    wait_for(lambda: not beam.eval("is_process_alive(P)", P=victim))
    screen.hides("top_victim")
    screen.press("q")
    assert screen.ends() == 0


def test_top_shows_what_is_added(beam: Beam, look: Look) -> None:
    busy = beam.eval("""P = spawn(fun L() -> receive stop -> ok after 1 -> lists:seq(1, 20000), L() end end),
        register(always_busy, P), P""")
    screen = look(beam, "top", "--window", "0.2", "--by", "reductions")
    screen.shows("+REDUCTIONS", "always_busy", "every 0.2 s")
    beam.eval("exit(P, kill)", P=busy)
    screen.hides("always_busy")
    screen.press("d")
    screen.shows(" processes by reductions  ")
    screen.press("q")
    assert screen.ends() == 0


@pytest.fixture
def child(beam: Beam) -> Iterator[str]:
    """A child of a supervisor that starts it again."""
    beam.eval("""{ok, _} = supervisor:start_child(kernel_safe_sup, #{id => live_child,
        start => {gen_event, start_link, [{local, live_child}]}}), ok""")
    yield "live_child"
    beam.eval("[supervisor:F(kernel_safe_sup, live_child) || F <- [terminate_child, delete_child]]")


def test_tree_shows_a_restart_and_opens_what_is_chosen(beam: Beam, look: Look, child: str) -> None:
    screen = look(beam, "tree", "kernel", "--elixir", rows=60, columns=120)
    text = screen.shows(":kernel_sup", ":kernel_safe_sup", f":{child}")
    before = re.search(rf"(#PID<\S+>)  :{child}", text).group(1)  # type: ignore[union-attr]
    beam.eval("exit(whereis(live_child), kill)")
    screen.hides(before)
    screen.shows(f":{child}")
    screen.press(f"/{child}\r")
    screen.shows(f"with '{child}'")
    screen.press("\x1b[F\r")
    screen.shows("process #PID<", ":gen_event.fetch_msg")
    screen.press("l")
    screen.shows("ancestor      :kernel_safe_sup")
    screen.press("l")
    screen.shows("  :kernel_safe_sup", "[info]", ":gen_server.loop/7")
    screen.press("s")
    screen.shows("waiting in :gen_server.loop/7", "live_child")
    screen.press("q")
    assert screen.ends() == 0


def test_a_node_that_dies_is_said_and_shown_again_when_it_is_back(beam_factory: Any, look: Look) -> None:
    beam = beam_factory()
    screen = look(beam, "top")
    screen.shows("application_controller")
    beam.kill9()
    text = screen.shows("lost")
    assert "application_controller" in text  # what was there is kept
    screen.press("r")
    beam.start()
    screen.shows("processes by reductions", "every 1 s", "application_controller")
    screen.press("q")
    assert screen.ends() == 0


def test_a_node_that_hangs_leaves_the_keys_alive(beam_factory: Any, look: Look) -> None:
    beam = beam_factory()
    screen = look(beam, "top", NO_COLOR="1")
    screen.shows("application_controller")
    beam.suspend()
    try:
        screen.shows("no answer for ")
        screen.press("?")
        screen.shows("any key goes back")
        screen.press("?")
        screen.shows("no answer for ", "application_controller")
        screen.press("q")
        assert screen.ends() == 0
    finally:
        beam.resume()
    assert screen.emulator.styles <= {"0", "1", "7"}


def test_every_size_and_each_change_of_it(beam: Beam, look: Look) -> None:
    screen = look(beam, "top", rows=10, columns=40, LINES="24", COLUMNS="80")  # as a shell exported them before
    screen.shows("PID", "MEMORY", "NAME")
    for rows, columns, seen in ((60, 200, 15), (24, 80, 15), (10, 40, 6)):
        screen.resize(rows, columns)
        wait_for(lambda many=seen: len(PID.findall(screen.read())) >= many)
    screen.press("q")
    assert screen.ends() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_however_the_view_ends(beam: Beam, look: Look, number: int) -> None:
    screen = look(beam, "tree")
    screen.shows("kernel_sup")
    assert screen.emulator.alternate
    assert not screen.emulator.cursor
    screen.program.kill(number)
    assert screen.ends() == 128 + number


def test_the_terminal_is_the_shells_while_the_view_is_stopped(beam: Beam, look: Look) -> None:
    """By Ctrl-Z, which stops only what a shell with jobs has started."""
    screen = look(beam, "top", shell='set -m; "$@"; echo it is stopped; read line; echo $line; fg >/dev/null')
    screen.shows("application_controller")
    screen.press("\x1a")
    screen.shows("it is stopped")
    assert not screen.emulator.alternate
    assert screen.emulator.cursor
    screen.press("typed\r")  # what is typed is seen again
    screen.shows("application_controller")
    screen.press("?")
    screen.shows("any key goes back")
    screen.press("q")
    assert screen.ends() == 0


def test_a_view_that_only_reads_does_not_kill(beam: Beam, look: Look) -> None:
    screen = look(beam, "top", "--read-only")
    screen.shows("application_controller")
    screen.press("k")
    screen.shows("only reads")
    screen.press("\x03")
    assert screen.ends() == 130


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {}])
def test_once_and_a_dumb_terminal_get_lines(beam: Beam, look: Look, environment: dict[str, str]) -> None:
    screen = look(beam, "top", "--limit", "3", *([] if environment else ["--once"]), **environment)
    assert screen.ends() == 0
    assert screen.read().split()[0] == "PID"


def test_a_node_that_is_not_there_is_one_line_at_a_terminal_too(beam: Beam, look: Look) -> None:
    screen = look(beam, "top", "--cookie-file", "/dev/null")
    assert screen.ends() == 2
