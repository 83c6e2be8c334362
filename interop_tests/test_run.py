"""`pyerlnode run` as a BEAM sees it: workers come and go, and no call fails."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

ROOT = Path(__file__).resolve().parents[1]
Factory = Callable[..., Any]


@contextmanager
def running(beam: Beam, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A run of `run_targets.make`, which connects to `beam`."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYERLNODE_COOKIE": beam.cookie,
        "PYERLNODE_EPMD_PORT": str(beam.epmd_port),
        "PYERLNODE_CONNECT": beam.name,
    }
    command = [sys.executable, "-m", "pyerlnode", "run", "interop_tests.run_targets:make", "--epmd", "external"]
    program = subprocess.Popen([*command, *arguments], env=env, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        yield program
    finally:
        if program.poll() is None:
            program.kill()  # its workers drain: they see its end
        program.wait()


def test_a_rolling_restart_of_three_nodes_under_load_fails_no_call(helper: Factory) -> None:
    beam = helper("caller.erl")
    beam.eval("pg:start(pg)")
    group = A[f"shop_{secrets.token_hex(4)}"]
    with running(
        beam, "--name", f"{group}_@127.0.0.1", "--group", group.name, "--workers", "3", "--quiet", "1"
    ) as program:
        beam.wait_until("length(pg:get_members(G)) =:= 3", G=group)
        old = beam.eval("pg:get_members(G)", G=group)
        assert {pid.node.name for pid in old} == {f"{group}_{number}@127.0.0.1" for number in (1, 2, 3)}
        callers = beam.eval("caller:start(G, [at_once, slowly, later], 2)", G=group)
        beam.wait_until("caller:calls(P) > 50", P=callers)
        program.send_signal(signal.SIGHUP)
        replaced = "M = pg:get_members(G), length(M) =:= 3 andalso M -- Old =:= M"
        beam.wait_until(replaced, patience(), G=group, Old=old)
        calls, failures = beam.eval("caller:stop(P)", P=callers)
        assert failures == []
        assert calls > 50
        program.send_signal(signal.SIGTERM)
        assert program.wait(patience()) == 0
        beam.wait_until("pg:get_members(G) =:= []", G=group)


def test_a_worker_that_is_killed_is_there_again_under_its_name(beam: Beam) -> None:
    beam.eval("pg:start(pg)")
    name = f"one_{secrets.token_hex(4)}@127.0.0.1"
    with running(beam, "--name", name, "--group", name):
        beam.wait_until("length(pg:get_members(G)) =:= 1", G=A[name])
        _, first = beam.eval("gen_server:call({shop, N}, at_once)", N=A[name])
        os.kill(first, signal.SIGKILL)
        beam.wait_until("case catch gen_server:call({shop, N}, at_once) of {ok, P} -> P =/= F; _ -> false end",
                        N=A[name], F=first)  # fmt: skip
        beam.wait_until("[node(P) || P <- pg:get_members(G)] =:= [N]", G=A[name], N=A[name])
