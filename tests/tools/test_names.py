"""`names`: the list, and the live view on a real terminal."""

import json

import pexpect
from place import PYERLNODE, Place
from terminal import spawn

from pyerlnode.testing.patience import patience
from pyerlnode.tools.names import GONE_FOR, View
from pyerlnode.tools.output import Output

OUTPUT = Output(json_=False)


def screen(view: View, now: float) -> str:
    return "\n".join(view.lines("h", now, OUTPUT))


def test_names_lists_each_node_with_its_port(here: Place, app: str) -> None:
    ran = here.pyerlnode("names")
    assert (ran.returncode, ran.stderr) == (0, "")
    name, port, number = ran.stdout.split()
    assert (name, port) == ("app", "port")
    assert json.loads(here.pyerlnode("names", "--json").stdout)["names"] == [{"name": "app", "port": int(number)}]


def test_names_without_an_epmd_says_so_in_one_line(here: Place) -> None:
    ran = here.pyerlnode("names", "--epmd-port", "1")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert "no EPMD answers at 127.0.0.1:1" in ran.stderr


def test_what_was_there_at_the_first_look_is_not_new() -> None:
    view = View()
    view.update([("a", 1)], 100.0)
    assert "+ a" not in screen(view, 100.0)
    assert "  a  port 1" in screen(view, 100.0)


def test_a_new_name_is_marked_for_a_while() -> None:
    view = View()
    view.update([("a", 1)], 100.0)
    view.update([("a", 1), ("b", 2)], 101.0)
    assert "+ b  port 2" in screen(view, 101.0)
    assert "+ b" not in screen(view, 101.0 + GONE_FOR)


def test_a_lost_name_stays_marked_for_a_while_and_then_goes() -> None:
    view = View()
    view.update([("a", 1)], 100.0)
    view.update([], 101.0)
    assert "- a  gone" in screen(view, 101.0)
    assert "gone" not in screen(view, 101.0 + GONE_FOR)


def test_a_name_that_comes_back_is_present_again() -> None:
    view = View()
    for found, now in (([("a", 1)], 1.0), ([], 2.0), ([("a", 9)], 3.0)):
        view.update(found, now)
    assert "+ a  port 9" in screen(view, 3.0)
    assert "gone" not in screen(view, 3.0)


def test_no_line_is_wider_than_the_terminal() -> None:
    view = View()
    view.update([("n" * 200, 1)], 100.0)
    view.trouble = "t" * 200
    assert {len(line) for line in view.lines("h", 100.0, OUTPUT, 40)} <= set(range(41))


def test_the_live_view_reads_single_keys_and_gives_the_terminal_back(here: Place, app: str) -> None:
    environment = {**here.environment, "TERM": "xterm"}
    terminal = spawn(PYERLNODE[0], [*PYERLNODE[1:], "names", "--watch"], env=environment, timeout=patience())
    try:
        terminal.expect_exact("\x1b[?1049h")
        terminal.expect("app  port")
        terminal.send(" ")
        terminal.expect("held")
        terminal.send(" ")
        terminal.expect("every 1 s")
        terminal.send("q")
        terminal.expect_exact("\x1b[?1049l")
        terminal.expect(pexpect.EOF)
        terminal.wait()
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 0


def test_an_interrupt_ends_the_live_view_and_gives_the_terminal_back(here: Place, app: str) -> None:
    environment = {**here.environment, "TERM": "xterm"}
    terminal = spawn(PYERLNODE[0], [*PYERLNODE[1:], "names", "--watch"], env=environment, timeout=patience())
    try:
        terminal.expect("app  port")
        terminal.sendintr()
        terminal.expect_exact("\x1b[?1049l")
        terminal.expect(pexpect.EOF)
        terminal.wait()
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 130
