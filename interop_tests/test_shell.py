"""The prompt beside a BEAM: completion, Erlang and Elixir with variables, documents, time-outs and Ctrl-C."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from terminal import spawn
from traitlets.config import Config

from pyerlnode import A, connect
from pyerlnode.errors import CallTimeout, RpcFailed
from pyerlnode.inspect import Cluster, InspectError, Late
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.tools.shell.ipython import install
from pyerlnode.tools.shell.node import Evaluator, documentation
from pyerlnode.tools.shell.prompt import Prompt

PLAIN = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "IPython" else find(name, *more)
from pyerlnode.tools.cli import main
sys.exit(main())
"""


@pytest.fixture
def prompt(beam: Beam) -> Iterator[Prompt]:
    with (
        connect(beam.node.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as link,
        Cluster(link, timeout=patience(30.0), read_only=False) as cluster,
    ):
        yield Prompt(link, cluster, beam.node.name, patience(30.0), "erlang")


def test_tab_offers_what_the_live_node_has(beam: Beam, prompt: Prompt) -> None:
    beam.eval("register(shell_server, spawn(fun() -> receive stop -> ok end end)), lists:seq(1, 2)")
    assert "lists" in prompt.offers("app.li", prompt.names)[1]
    assert prompt.offers("app.lists.revers", prompt.names) == ("revers", {"reverse": "/1 /2"})
    assert "shell_server" in prompt.offers('cluster.call("shell_s', prompt.names)[1]
    assert prompt.offers(f'cluster.ping("{prompt.node[:6]}', prompt.names)[1] == {prompt.node: ""}
    assert prompt.offers("nobody.lists.", prompt.names)[1] == {}
    beam.eval("shell_server ! stop")


@pytest.fixture
def ipython(prompt: Prompt, tmp_path: Path) -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False  # has a thread of its own, that nothing ends
    shell = InteractiveShell(user_ns=prompt.names, config=config, ipython_dir=str(tmp_path))
    install(shell, prompt)
    yield shell
    shell.restore_sys_module_state()


def test_ipython_completes_shows_and_evaluates(ipython: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell = ipython
    with provisionalcompleter():
        offers = {c.text: c.type for c in shell.Completer.completions("app.lists.revers", 16)}
    assert offers == {"reverse": "/1 /2"}
    shell.run_cell("%erl X = 41.", store_history=True)
    assert "Out[1]: 41" in capsys.readouterr().out
    shell.run_cell("%erl {value, X + 1}.", store_history=True)
    assert "Out[2]: {value,42}" in capsys.readouterr().out
    shell.run_cell("app.erlang.binary_to_atom(1)", store_history=True)
    said = capsys.readouterr()
    assert [line.split(":")[0].strip() for line in said.err.strip().split("\n")] == [
        "RemoteError", "in app.erlang.binary_to_atom(1)", "(%tb shows all of it)"
    ]  # fmt: skip
    shell.run_cell("app.nothing.here?", store_history=True)
    assert "has no documents" in capsys.readouterr().out


def test_variables_of_the_evaluator_stay_after_each_failure(prompt: Prompt) -> None:
    evaluate = Evaluator(prompt.inspector, prompt.node, patience(30.0))
    assert evaluate("erlang", "X = 41.") == 41
    for source, why in (
        ("X = 42.", "badmatch"),
        ("foo(.", "no Erlang"),
        ("exit(kill).", "exit"),
        ("throw(x).", "throw"),
    ):
        with pytest.raises(InspectError, match=why):
            evaluate("erlang", source)
    with pytest.raises(InspectError, match="bytes"):
        evaluate("erlang", "binary:copy(<<0>>, 20000000).")
    assert evaluate("erlang", "X + 1.") == 42


def test_an_expression_that_is_late_is_ended_there_and_the_variables_stay(beam: Beam, prompt: Prompt) -> None:
    evaluate = Evaluator(prompt.inspector, prompt.node, patience(30.0))
    evaluate("erlang", "X = 1.")
    evaluate._timeout = 0.2
    with pytest.raises(Late):
        evaluate("erlang", "register(shell_sleeper, self()), timer:sleep(infinity).")
    wait_for(lambda: beam.eval("whereis(shell_sleeper)") is A.undefined)
    evaluate._timeout = patience(30.0)
    assert evaluate("erlang", "X + 1.") == 2


@pytest.mark.beam(elixir=True)
def test_elixir_keeps_its_variables_and_documents_are_shown(beam_factory: Any) -> None:
    beam = beam_factory(elixir=True)
    with (
        connect(beam.node.name, cookie=beam.cookie, epmd_port=beam.epmd_port) as link,
        Cluster(link, timeout=patience(30.0), read_only=False) as cluster,
    ):
        prompt = Prompt(link, cluster, beam.node.name, patience(30.0), "elixir")
        elixir = prompt.names["elixir"]
        assert elixir('name = "é"\nString.upcase(name)') == "É".encode()
        assert elixir("{name, 1}") == ("é".encode(), 1)
        text = documentation(prompt.names["app"].Elixir.String.upcase)
        assert text is not None
        assert text.startswith("upcase(string, mode")
        assert documentation(prompt.names["app"].Elixir.String.nothing) is None


@pytest.mark.parametrize("plain", [False, True])
def test_ctrl_c_stops_the_wait_and_what_runs_there(beam: Beam, tmp_path: Path, plain: bool) -> None:
    where = ["--epmd-port", str(beam.epmd_port), "--cookie", beam.cookie, "--timeout", "600"]
    program = ["-c", PLAIN] if plain else ["-m", "pyerlnode"]
    environment = {"HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path), "TERM": "dumb", "PYTHON_BASIC_REPL": "1"}
    shell = spawn(
        sys.executable,
        [*program, "shell", beam.node.name, *where],
        env={**os.environ, **environment},
        timeout=patience(),
        encoding="utf-8",
        dimensions=(40, 200),
    )
    ready = ">>> " if plain else r"In \[\d+\]: "
    try:
        shell.expect("is connected")
        shell.expect(ready)
        shell.send('erl("Kept = 77, register(shell_busy, self()), timer:sleep(infinity)")\r')
        wait_for(lambda: beam.eval("whereis(shell_busy)") is not A.undefined)
        shell.sendintr()
        shell.expect("KeyboardInterrupt")
        wait_for(lambda: beam.eval("whereis(shell_busy)") is A.undefined)
        shell.expect(ready)
        shell.send('erl("6 * 7000 + 1")\r')
        shell.expect("42001")
        shell.send("app.lists.seq(1, 445583)\r")
        shell.expect("… 445533 more")
        shell.expect(ready)
        shell.sendeof() if plain else shell.send("exit\r")
        shell.expect(pexpect.EOF)
        shell.wait()
    finally:
        shell.close(force=True)
    assert shell.exitstatus == 0
    assert [*tmp_path.rglob(f"*pyerlnode*{beam.node.name}*")], "no history of its own"


def test_calls_wait_as_long_as_the_timeout_says_unless_they_are_told_otherwise(beam: Beam, prompt: Prompt) -> None:
    short = Prompt(prompt.cluster, prompt.inspector, prompt.node, 0.1, "erlang")
    with pytest.raises(RpcFailed, match=r"within 0\.1 s"):
        short.names["app"].timer.sleep(A.infinity)
    with pytest.raises(RpcFailed, match=r"within 0\.1 s"):
        short.names["cluster"].rpc(prompt.node, "timer", "sleep", [A.infinity])
    with pytest.raises(CallTimeout):
        short.names["cluster"].call(("init", prompt.node), A.none)
    assert short.names["cluster"].rpc(prompt.node, "timer", "sleep", [200], patience(30.0)) is A.ok
    beam.eval("[exit(P, kill) || P <- processes(), {_, {timer, sleep, 1}} <- [process_info(P, current_function)]]")
