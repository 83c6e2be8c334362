"""What a busy or blocked Python node keeps doing for its peers, and what it can not."""

import ctypes
import os
import select
import subprocess
import time
from collections.abc import Callable
from math import ceil
from multiprocessing import resource_tracker
from typing import Any

import pytest

from interop_tests.worker_targets import hold_the_lock
from pyerlnode import A, GenServer, Reply, offload
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import promise

Factory = Callable[..., Any]


# --- a backlog ---------------------------------------------------------------------------------------------------
class Slow(GenServer):
    """Twenty milliseconds a message."""

    count = 0

    def handle_cast(self, request: Any) -> None:
        time.sleep(0.02)
        Slow.count += 1


class Idle(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        return Reply(Slow.count)


def test_calls_to_an_idle_server_do_not_wait_for_the_backlog_of_another(beam: Beam, node: Any) -> None:
    """The backlog is half a minute long; with slices of 200 messages each of the ten calls would wait for four seconds
    of it or more."""
    Slow.count = 0
    slow = node.start(Slow)
    idle = node.start(Idle)
    backlog = "[gen_server:cast(Slow, N) || N <- lists:seq(1, 1500)]"
    calls = "[gen_server:call(Idle, how_far, infinity) || _ <- lists:seq(1, 10)]"
    handled = beam.eval(f"begin {backlog}, {calls} end", 120.0, Slow=slow, Idle=idle)
    node.system.exit(slow, A.kill)
    assert handled == sorted(handled)
    assert handled[-1] < 1000


# --- a peer that connects while the hub is blocked -----------------------------------------------------------------
ERL = (
    "receive after 0 -> ok end, io:format(\"begins~n\"), {T, R} = timer:tc(fun() -> net_adm:ping('~s') end), "
    'io:format("~p ~p~n", [R, T div 1000]), io:get_line(""), io:format("~p~n", [net_adm:ping(\'~s\')]), halt().'
)


class Door(GenServer):
    """Blocks the hub from before a BEAM begins to connect until something is so."""

    def init(self, node: Any, env: dict[str, str], setup_time: int) -> None:
        self.node = node
        code = ERL.replace("~s", node.name)
        self.erl = subprocess.Popen(
            ["erl", "-noshell", "-name", "visitor@127.0.0.1", "-hidden", "-setcookie", node._cookie,
             "-kernel", "net_setuptime", str(setup_time), "-eval", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
        )  # fmt: skip

    def handle_call(self, until: Any, from_: Any) -> Any:
        erl = self.erl
        assert erl.stdout is not None
        assert erl.stdout.readline() == "begins\n"
        listening = self.node._open()[2]._listening[0]
        assert select.select([listening.fileno()], [], [], 60)[0], "the kernel has taken the connection"
        if until is A.given_up:
            return Reply(erl.stdout.readline().split())
        end = time.monotonic() + 60
        while not self.node.alarms.get_alarms():  # blocked for a second now
            assert time.monotonic() < end
            time.sleep(0.01)
        return Reply(erl)


@pytest.fixture
def door(beam: Beam, python: Factory) -> Any:
    made = []

    def make(setup_time: int) -> tuple[Any, Any]:
        node = python(epmd="external")
        env = {**os.environ, "ERL_EPMD_PORT": str(beam.epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        pid = node.start(Door, node, env, setup_time, name="door")
        made.append(node.system.process(pid).handler.erl)
        return node, made[-1]

    yield make
    for erl in made:
        erl.kill()
        erl.wait()
        erl.stdin.close()
        erl.stdout.close()


def lines(node: Any, erl: Any) -> str:
    """A line of `erl`, read while the hub runs."""
    return str(node.system.offload(erl.stdout.readline))


def test_a_beam_that_connects_to_a_blocked_hub_is_let_in_when_that_gets_on(door: Any) -> None:
    node, erl = door(60)
    node.call("door", A.alarm, None)
    answer, _ = lines(node, erl).split()
    assert answer == "pong"


def test_a_beam_gives_a_blocked_hub_up_at_its_own_setup_time_and_no_sooner_and_may_try_again(door: Any) -> None:
    setup_time = ceil(promise(2))
    node, erl = door(setup_time)
    answer, milliseconds = node.call("door", A.given_up, None)
    assert answer == "pang"
    assert int(milliseconds) >= 1000 * setup_time
    erl.stdin.write("again\n")
    erl.stdin.flush()
    assert lines(node, erl) == "pong\n"


# --- C code that keeps the interpreter's lock ---------------------------------------------------------------------
TICKTIME = ceil(promise(2))
HELD = 3 * TICKTIME
"""Seconds: a BEAM gives up a silent node after 1.25 of its tick times at the latest."""


class Holder(GenServer):
    def handle_call(self, where: Any, from_: Any) -> Any:
        if where is A.here:
            ctypes.PyDLL(None).sleep(HELD)
        else:
            offload(hold_the_lock, HELD, in_process=True)
        return Reply(A.done)


@pytest.fixture(scope="module", autouse=True)
def _tracker() -> None:
    """Python's own helper of `multiprocessing`, which stays to the end of the program, is here before the tests."""
    resource_tracker.ensure_running()


@pytest.mark.parametrize("where", ["here", "offloaded"])
def test_c_code_that_keeps_the_lock_past_the_tick_time_loses_the_node_and_offloaded_it_does_not(
    beam: Beam, beam_factory: Factory, python: Factory, where: str
) -> None:
    watcher = beam_factory(cookie=beam.cookie, args=["-kernel", "net_ticktime", str(TICKTIME)])
    node = python(ticktime=float(TICKTIME))
    node.start(Holder, name="holder")
    code = (
        "begin monitor_node(N, true), R = (catch gen_server:call({holder, N}, Where, 60000)), "
        "receive {nodedown, N} -> {nodedown, R} after 0 -> {up, R} end end"
    )
    state, answer = watcher.eval(code, 90.0, N=A[node.name], Where=A[where])
    if where == "offloaded":
        assert (state, answer) == (A.up, A.done)
        assert watcher.nodes() == [node.name]
    else:
        assert state is A.nodedown
        assert answer[0] is A.EXIT
        assert answer[1][0] == (A.nodedown, A[node.name])
