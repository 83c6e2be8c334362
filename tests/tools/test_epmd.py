"""`epmd`: serves until it is told to end, and says why it can not."""

import re
import signal
import socket

from place import PYERLNODE, Place


def test_epmd_serves_names_until_a_signal_ends_it(here: Place) -> None:
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        program = here.start((*PYERLNODE, "epmd", "--port", "0"), "EPMD serves")
        [port] = re.findall(r":(\d+);", program.said)  # type: ignore[attr-defined]
        assert "no node is registered" in here.pyerlnode("names", "--epmd-port", port).stdout
        assert here.end(program, number) == status


def test_a_second_epmd_says_that_there_is_one(here: Place) -> None:
    ran = here.pyerlnode("epmd", "--port", str(here.epmd_port))
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert f"an EPMD already serves 127.0.0.1:{here.epmd_port}" in ran.stderr


def test_a_port_that_another_program_has_is_an_error_of_one_line(here: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ran = here.pyerlnode("epmd", "--port", str(other.getsockname()[1]))
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "already serves" not in ran.stderr
