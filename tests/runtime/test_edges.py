"""Edges: what is raised there ends there, but for what a signal raised, which is the end of the program."""

import asyncio
import logging
import os
import signal
import sys
import threading

import gevent
import pytest

from pyerlnode.runtime.edges import caught, edge, stops_program
from pyerlnode.term import A


class Panic(BaseException):
    pass


def error_of(function):
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def raises(error):
    raise error


def interrupted_in(function):
    """What Python raises in `function` for a true Ctrl-C."""

    def run():
        os.kill(os.getpid(), signal.SIGINT)
        function()
        for _ in range(10_000_000):
            pass

    return error_of(run)


@pytest.fixture
def handled():
    """Puts back the handlers of signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), Panic(), ValueError(), asyncio.CancelledError()])
def test_what_code_raises_by_itself_is_no_end_of_the_program(error):
    assert not stops_program(error_of(lambda: raises(error)))
    assert caught(error)[0] is A.python_error


def test_sys_exit_and_click_are_none():
    assert not stops_program(error_of(lambda: sys.exit(3)))

    def again():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise

    assert not stops_program(error_of(again))


@pytest.mark.parametrize("function", [lambda: None, lambda: sum(range(100)), lambda: [str(n) for n in range(100)]])
def test_a_true_ctrl_c_is(handled, function):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    error = interrupted_in(function)
    assert type(error) is KeyboardInterrupt
    assert stops_program(error)


def test_a_true_ctrl_c_is_one_also_when_it_was_raised_again(handled):
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def cleans_up():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(10_000_000):
                pass
        except BaseException as error:
            raise error  # with a new frame, as much code has it
        finally:
            str(1)

    assert stops_program(error_of(cleans_up))


def test_what_a_handler_of_a_signal_raises_is_one_if_it_means_the_end(handled):
    class Handler:
        def __init__(self, error):
            self.error = error

        def method(self, number, frame):
            raise self.error

    for error, end in ((SystemExit(1), True), (KeyboardInterrupt(), True), (TimeoutError(), False)):
        signal.signal(signal.SIGUSR1, Handler(error).method)
        found = error_of(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        assert found is error
        assert stops_program(found) is end


def test_in_another_thread_nothing_is():
    found = []

    def run():
        found.append(stops_program(error_of(lambda: next(iter([]), raises(KeyboardInterrupt())))))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.parametrize("error", [ValueError, Panic, SystemExit, KeyboardInterrupt, gevent.Timeout])
def test_nothing_leaves_an_edge_and_one_line_tells_of_it(caplog, error):
    with caplog.at_level(logging.ERROR):
        assert edge(lambda: raises(error()))() is None
    (record,) = caplog.records
    assert record.name == "pyerlnode.runtime"
    assert record.exc_info[0] is error


def test_a_killed_greenlet_says_nothing(caplog):
    greenlet = gevent.spawn(edge(lambda: gevent.sleep(1000)))
    gevent.sleep(0)
    greenlet.kill()
    assert greenlet.dead
    assert not caplog.records


def test_an_edge_gives_what_its_function_gave():
    assert edge(lambda *args: args)(1, 2) == (1, 2)
    assert edge(raises).__name__ == "raises"
