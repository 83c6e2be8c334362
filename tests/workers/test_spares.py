"""Spares stand by, are taken, and end with their node: also one that is being started, or loads."""

import logging
import os
from pathlib import Path
from typing import Any

import gevent
import pytest

from interop_tests.worker_targets import double, misbehave
from pyerlnode import A, Node, StartFailed
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.workers.spares import Spares, shelf_of
from pyerlnode.workers.worker import Worker

TIMES = [0.5, 0.0]
"""Asked in order, and ended at once."""


def runs(os_pid: int) -> bool:
    return Path(f"/proc/{os_pid}").exists()


def coming(node: Node, target: str) -> Any:
    """The spare that is being made."""
    return wait_for(lambda: shelf_of(node.system).stocks[target].coming)


@pytest.mark.parametrize("seconds", TIMES)
def test_a_spare_that_boots_ends_with_its_node(node: Node, seconds: float) -> None:
    Worker.keep_spares(double, 1, on=node)
    os_pid = coming(node, "interop_tests.worker_targets:double").pid
    node.stop(seconds)
    assert not runs(os_pid)


@pytest.mark.parametrize("seconds", TIMES)
def test_a_spare_that_loads_ends_with_its_node(
    node: Node, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BLOCKED_IMPORT", str(tmp_path / "pid"))
    Worker.keep_spares("blocked_import:nothing", 1, on=node)
    loading = coming(node, "blocked_import:nothing").pid
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() == str(loading))
    node.stop(seconds)
    assert not runs(loading)
    assert caplog.records == []


@pytest.mark.parametrize("seconds", TIMES)
def test_a_worker_that_is_being_started_ends_with_its_node_and_who_starts_it_is_told(
    node: Node, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOCKED_IMPORT", str(tmp_path / "pid"))
    told = []

    def start() -> None:
        try:
            node.start(Worker, "blocked_import:nothing")
        except StartFailed as error:
            told.append(error.reason)

    starting = gevent.spawn(start)
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    os_pid = int((tmp_path / "pid").read_text())
    node.stop(seconds)
    starting.join(patience())
    assert told == [A.shutdown]
    assert not runs(os_pid)


@pytest.mark.parametrize("seconds", TIMES)
def test_a_worker_that_computes_and_its_spares_end_with_their_node(node: Node, seconds: float) -> None:
    pid = node.start(Worker, misbehave, spares=1)
    wait_for(lambda: Worker.spares(misbehave, on=node) == Spares(1, 0))
    found = [node.call(pid, A.pid), shelf_of(node.system).stocks["interop_tests.worker_targets:misbehave"].ready[0].pid]
    node.cast(pid, A.spin)
    node.stop(seconds)
    assert [runs(os_pid) for os_pid in found] == [False, False]


def test_the_one_that_is_ready_is_taken_and_made_up_for(node: Node) -> None:
    assert Worker.spares(double, on=node) == Spares(0, 0)
    Worker.keep_spares(double, 1, on=node)
    assert Worker.spares(double, on=node) == Spares(0, 1)
    wait_for(lambda: Worker.spares(double, on=node).ready)
    spare = shelf_of(node.system).stocks["interop_tests.worker_targets:double"].ready[0]
    pid = node.start(Worker, double, spares=1)
    assert node.system.process(pid).handler.os_pid == spare.pid
    assert node.call(pid, 4) == 8
    wait_for(lambda: Worker.spares(double, on=node).ready)


def test_the_one_that_is_being_made_is_taken_when_none_is_ready(node: Node) -> None:
    Worker.keep_spares(double, 2, on=node)
    spare = coming(node, "interop_tests.worker_targets:double")
    pid = node.start(Worker, double)
    assert node.system.process(pid).handler.os_pid == spare.pid
    assert node.call(pid, 4) == 8
    wait_for(lambda: Worker.spares(double, on=node) == Spares(2, 0))


def test_a_spare_that_dies_while_it_stands_by_is_not_taken(node: Node) -> None:
    Worker.keep_spares(double, 1, on=node)
    assert Worker.await_spares(double, on=node) == Spares(1, 0)
    spare = shelf_of(node.system).stocks["interop_tests.worker_targets:double"].ready[0]
    os.kill(spare.pid, 9)
    wait_for(lambda: spare.ended)
    assert Worker.spares(double, on=node) == Spares(0, 0)
    pid = node.start(Worker, double)
    assert node.call(pid, 4) == 8


def test_a_spare_that_can_not_load_is_a_line_in_the_log(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Worker.keep_spares("no_such_module:nothing", 1, on=node)
        wait_for(lambda: Worker.spares("no_such_module:nothing", on=node) == Spares(0, 0))
    assert "no more spares for no_such_module:nothing" in caplog.text


def test_waiting_for_spares_ends_with_the_time_out_and_with_the_node(node: Node) -> None:
    assert Worker.await_spares(double, on=node) == Spares(0, 0)
    Worker.keep_spares(double, 1, on=node)
    assert Worker.await_spares(double, on=node, timeout=0.001) == Spares(0, 1)
    waiting = gevent.spawn(shelf_of(node.system).wait, "interop_tests.worker_targets:double", None)
    gevent.sleep(0)
    node.stop()
    waiting.get(timeout=patience())


def test_spares_are_kept_when_the_worker_that_wanted_them_is_gone(node: Node) -> None:
    pid = node.start(Worker, double, spares=1)
    node.exit(pid, A.kill)
    wait_for(lambda: Worker.spares(double, on=node) == Spares(1, 0))
