"""The plugin in a run of its own, on a machine without a BEAM: options, skips and failures."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pyerlnode.testing.patience import patience

ROOT = Path(__file__).parents[2]
INSTALLED = any(entry.name == "pyerlnode" for entry in metadata.entry_points(group="pytest11"))
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # without what else is installed pytest starts twice as fast


class Run:
    """pytest in a process of its own, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {"PYTHONPATH": str(ROOT), "PATH": str(directory / "empty"), "HOME": str(directory)}
        self.load, self.alone = ["-p", "pyerlnode.testing.plugin"], ALONE

    def __call__(self, source: str, *options: str, ini: str = "", cached: bool = False, **env: str) -> tuple[int, str]:
        (self.directory / "test_it.py").write_text(source)
        (self.directory / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
        plugins = [*self.load, *([] if cached else ["-p", "no:cacheprovider"]), "-p", "no:randomly"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "-ra", *options], cwd=self.directory,
            env={**self.env, **self.alone, **env}, capture_output=True, text=True, check=False, timeout=patience(),
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


USES_BEAM = "def test_it(beam):\n    assert beam.eval('1') == 1\n"
USES_NONE = (
    "def test_it():\n    import sys\n    assert 'gevent' not in sys.modules\n    assert 'erlang' not in sys.modules\n"
)


def test_a_test_that_needs_no_beam_does_not_load_gevent(run: Run) -> None:
    """The one run with all plugins that are installed, ours by its entry point when it is one of them."""
    run.alone = {}
    if INSTALLED:
        run.load = []
    status, output = run(USES_NONE)
    assert (status, "1 passed" in output) == (0, True)


def test_without_a_beam_a_test_is_skipped_with_the_reason(run: Run) -> None:
    status, output = run(USES_BEAM)
    assert status == 0
    assert "SKIPPED" in output
    assert "no BEAM: no `erl` on PATH" in output
    assert "beam: none: no `erl` and no `docker` on PATH" in output


@pytest.mark.parametrize("how", ["option", "ini", "environment"])
def test_without_a_beam_a_test_fails_when_one_is_required(run: Run, how: str) -> None:
    status, output = run(
        USES_BEAM,
        *(["--beam-required"] if how == "option" else []),
        ini="beam_required = true" if how == "ini" else "",
        **({"PYERLNODE_BEAM_REQUIRED": "1"} if how == "environment" else {}),
    )
    assert status == 1
    assert "no BEAM, and --beam-required: no `erl` on PATH" in output


@pytest.mark.parametrize("options", [("--beam", "/no/where"), ("--beam-image", "elixir:1.18")])
def test_a_beam_that_was_named_and_can_not_be_had_is_a_failure(run: Run, options: tuple[str, ...]) -> None:
    """Only `auto` may skip: whoever names a BEAM wants to see their tests run on it."""
    status, output = run(USES_BEAM, *options)
    assert "1 error" in output, output
    assert "the BEAM that was asked for can not be had" in output
    assert status == 1


def test_a_network_of_containers_is_skipped_unless_they_were_asked_for(run: Run) -> None:
    uses = "def test_it(beam_network):\n    pass\n"
    status, output = run(uses, "--beam", "local")
    assert (status, "1 skipped" in output) == (0, True), output
    status, output = run(uses, "--beam", "docker")
    assert (status, "1 error" in output) == (1, True), output


def test_a_file_of_exunit_without_the_beam_that_was_named_is_a_failure(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_theirs.exs").write_text("defmodule T do\n  use ExUnit.Case\nend\n")
    status, output = run(USES_NONE, "--beam", "local", "test_theirs.exs")
    assert (status, "1 error" in output) == (1, True), output


def test_a_marker_alone_asks_for_a_beam_too(run: Run) -> None:
    _, output = run("import pytest\n@pytest.mark.beam(otp='>=27')\ndef test_it(): pass\n", "--strict-markers")
    assert "1 skipped" in output


@pytest.mark.parametrize("required", [False, True])
def test_without_a_beam_a_file_of_exunit_is_one_item_that_is_skipped_or_fails(
    run: Run, tmp_path: Path, required: bool
) -> None:
    (tmp_path / "test_theirs.exs").write_text("defmodule T do\n  use ExUnit.Case\nend\n")
    (tmp_path / "test_helper.exs").write_text("ExUnit.start()\n")
    status, output = run(USES_NONE, *(["--beam-required"] if required else []), "test_theirs.exs")
    assert "no `erl` on PATH" in output
    assert ("1 error" if required else "1 skipped") in output
    assert status == required


def test_a_matrix_makes_one_test_of_each_release(run: Run) -> None:
    _, output = run(USES_BEAM, "--beam", f"{sys.executable} {{otp}}", "--beam-matrix", "25,27", "--collect-only", "-q")
    assert {"test_it.py::test_it[otp25]", "test_it.py::test_it[otp27]"} <= set(output.split())


def test_the_command_line_goes_before_the_environment_and_that_before_ini(run: Run) -> None:
    header = "beam: none: --beam /from/{}: neither"
    assert header.format("ini") in run(USES_NONE, ini="beam = /from/ini")[1]
    assert header.format("env") in run(USES_NONE, ini="beam = /from/ini", PYERLNODE_BEAM="/from/env")[1]
    assert header.format("line") in run(USES_NONE, "--beam", "/from/line", PYERLNODE_BEAM="/from/env")[1]


def test_patience_is_told_to_the_test_and_what_it_starts(run: Run) -> None:
    source = (
        "import os\nfrom pyerlnode.testing.patience import patience\n"
        "def test_it():\n    assert (patience(1.0), os.environ['PYERLNODE_BEAM_PATIENCE']) == (2.5, '2.5')\n"
    )
    assert run(source, "--beam-patience", "2.5")[0] == 0
    status, output = run(source, ini="beam_patience = long")
    assert (status, "--beam-patience: 'long' is no number above 0" in output) == (4, True)


def test_a_matrix_that_is_no_list_of_releases_is_one_line(run: Run) -> None:
    status, output = run(USES_NONE, "--beam-matrix", "new")
    assert status == 4
    assert "--beam-matrix: 'new' is not an OTP release; write 25,27,29" in output


def test_a_beam_that_ends_while_it_boots_is_a_failure_with_its_last_words(run: Run, tmp_path: Path) -> None:
    bin = tmp_path / "prefix" / "bin"
    bin.mkdir(parents=True)
    for name, text in (("erl", "echo 'this erl is broken' >&2; exit 3"), ("epmd", "exec sleep 60")):
        (bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin / name).chmod(0o755)
    # An `epmd` that listens: the port is all that is looked at before the BEAM boots.
    (bin / "epmd").write_text(f"#!{sys.executable}\n{EPMD}")
    status, output = run(USES_BEAM, "--beam", str(bin.parent), PATH=os.environ["PATH"])
    assert status == 1
    assert "did not boot" in output
    assert "exited with status 3" in output
    assert "this erl is broken" in output


EPMD = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[2]))) as server:
    while True:
        sock, _ = server.accept()
        with sock:
            sock.recv(100)
            sock.sendall(b"\\0\\0\\0\\0")
"""


# --- what a failure shows ------------------------------------------------------------------------------
FAILS = """
import pytest
from pyerlnode import A, Exit, NodeDown
from pyerlnode.testing.waiting import wait_for

def never():
    return False

def test_exit(node_pair):
    node_pair.left.call(("nobody", "right@pair"), A.get)  # the line of exit

def test_received(node_pair):
    node_pair.left.assert_received(A.hello)  # the line of received

def test_wait():
    wait_for(never, 0.01)  # the line of wait

def test_long():
    raise Exit([A.a, *range(3000)])

def test_fault(node_pair):
    node_pair.left.assert_down()
"""


def test_the_last_line_that_is_shown_is_the_tests_own(run: Run) -> None:
    _, output = run(FAILS, PYERLNODE_BEAM_PATIENCE="1")
    sections = {part.split(" ")[0]: part for part in output.split("_ test_")[1:]}
    for name in ("exit", "received", "wait"):
        assert f"the line of {name}" in sections[name], output
        assert "pyerlnode/" not in sections[name].partition("the whole reason")[0], sections[name]
    assert ", 2999]" in sections["long"], "a reason is cut"
    assert "pyerlnode/testing/pair.py" in output or "TypeError" in sections["fault"]


def test_all_frames_are_shown_when_that_is_wanted(run: Run) -> None:
    _, output = run(FAILS, "--full-trace", "-k", "test_exit", PYERLNODE_BEAM_PATIENCE="1")
    assert "pyerlnode/otp/" in output, output


SIGNALS = """
from pyerlnode import A
def test_it(node_pair):
    node_pair.left.send(node_pair.right.self_(), A.a_word_on_its_way)
    node_pair.right.assert_received(A.another)
"""


def test_the_last_signals_are_told_of_a_test_that_fails_once_more(run: Run) -> None:
    """And when that is wanted; nothing is kept before a test has failed."""
    title = "The last signals of this process's nodes, call"
    assert title not in run(SIGNALS, cached=True)[1]
    _, output = run(SIGNALS, cached=True)
    assert title in output, output
    assert "a_word_on_its_way" in output.partition(title)[2]
    assert title in run(SIGNALS, "--beam-signals", "5")[1]
    assert title not in run(SIGNALS, "--beam-signals", "0", cached=True)[1]
