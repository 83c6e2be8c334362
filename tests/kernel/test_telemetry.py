"""Telemetry: told later, told to all, and a handler that fails harms nobody."""

from typing import Any

import pytest

from pyerlnode.kernel.telemetry import Telemetry


def test_handlers_are_told_in_a_later_turn_and_only_when_there_are_any() -> None:
    later: list[Any] = []
    telemetry = Telemetry(lambda *call: later.append(call))
    telemetry.emit("connection.up", {}, peer="a@b")
    assert later == []
    got: list[Any] = []
    telemetry.append(lambda *event: got.append(event))
    telemetry.emit("connection.up", {"n": 1}, peer="a@b")
    assert got == []
    for call, *args in later:
        call(*args)
    assert got == [("connection.up", {"n": 1}, {"peer": "a@b"})]


def test_a_handler_that_raises_is_taken_off_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry(lambda call, *args: call(*args))
    got: list[str] = []

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    telemetry += [broken, lambda event, *_: got.append(event)]
    telemetry.emit("one", {})
    telemetry.emit("two", {})
    assert got == ["one", "two"]
    assert len(caplog.records) == 1
