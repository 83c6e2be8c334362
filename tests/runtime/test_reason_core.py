"""Exceptions as exit reasons."""

import pytest

from pyerlnode.errors import Error, Exit, RemoteError, RemoteExit, RemoteThrow, RpcFailed, Throw
from pyerlnode.runtime.reason_core import MAX_FRAMES, MAX_MESSAGE, erlang_stack, exit_reason, python_cause
from pyerlnode.term import A


def caught(function):
    try:
        function()
    except Exception as error:
        return exit_reason(error)
    raise AssertionError("nothing was raised")


def test_an_exit_keeps_its_reason():
    def leave():
        raise Exit((A.shutdown, 1))

    assert caught(leave) == (A.shutdown, 1)


def test_an_exception_shows_type_message_and_frames_innermost_first():
    def inner():
        raise ValueError("é")

    def outer():
        inner()

    kind, name, message, stack = caught(outer)
    assert (kind, name, message) == (A.python_error, b"ValueError", "é".encode())
    assert [frame[1].name for frame in stack] == ["inner", "outer", "caught"]
    module, _, arity, [(file, path), (line, number)] = stack[0]
    assert module.name == __name__
    assert (arity, file, line) == (0, A.file, A.line)
    assert bytes(path).decode() == __file__
    assert number > 1


def test_a_message_and_a_stack_are_bounded():
    def deep(n):
        if not n:
            raise RuntimeError("x" * 100_000)
        deep(n - 1)

    _, _, message, stack = caught(lambda: deep(200))
    assert len(message) == MAX_MESSAGE == 4_096
    assert len(stack) == MAX_FRAMES == 32


def test_an_exception_whose_text_raises_still_gives_a_reason():
    class Broken(Exception):
        def __str__(self):
            raise TypeError

    def fail():
        raise Broken

    assert b"TypeError" in caught(fail)[2]


def test_an_exit_whose_reason_can_not_be_had_is_told_as_any_exception():
    class Lost(Exit):
        def __init__(self):
            pass

        @property
        def reason(self):
            raise KeyError

    def leave():
        raise Lost

    assert caught(leave)[:2] == (A.python_error, f"{__name__}.{Lost.__qualname__}".encode())


def of(module, name="f", calls=None):
    """A function of that name in a module of that name; it calls another, or fails."""
    space = {"__name__": module, "calls": calls}
    exec(f"def {name}(): calls() if calls else 1 / 0", space)
    return space[name]


def test_the_frames_of_the_library_are_left_out_unless_there_are_no_others():
    users = of("shop", "sell", of("pyerlnode.otp.gen", "call", of("pyerlnode.cluster.x", "ours")))
    names = [(frame[0].name, frame[1].name) for frame in caught(users)[3]]
    assert names == [("pyerlnode.cluster.x", "ours"), ("shop", "sell"), (__name__, "caught")]
    with pytest.raises(ZeroDivisionError) as raised:
        of("pyerlnode.runtime.x")()
    assert [frame[0].name for frame in erlang_stack(raised.tb.tb_next)] == ["pyerlnode.runtime.x"]


def test_names_longer_than_an_atom_are_cut():
    (module, function, *_), *_ = caught(of("m" * 256, "f" * 256))[3]
    assert (module.name, function.name) == ("m" * 255, "f" * 255)


def test_the_cause_of_a_reason_is_the_exception_with_its_lines_outermost_first():
    cause = python_cause(caught(of("shop", "sell", of("stock", "take"))))
    assert (cause.kind, cause.message) == ("ZeroDivisionError", "division by zero")
    first, *lines, last = cause.traceback.splitlines()
    assert (first, last) == ("Traceback (most recent call last):", "ZeroDivisionError: division by zero")
    assert [line.rsplit(" in ", 1)[1] for line in lines] == ["caught", "sell", "take"]
    assert lines[0].startswith(f'  File "{__file__}", line ')


def test_a_reason_of_somebody_else_has_no_cause_and_frames_that_are_none_are_no_lines():
    assert python_cause((A.badarith, [])) is None
    assert python_cause((A.python_error, b"E", b"m", A.none)) is None
    wild = (A.m, A.f, 1, [(A.file, [A.x]), (A.line, 7)])
    cause = python_cause((A.python_error, b"E\xff", b"m\xff", [A.junk, wild]))
    assert cause.traceback.splitlines()[1:] == ['  File "?", line 7, in f', "E\ufffd: m\ufffd"]
    assert python_cause((A.python_error, b"E", b"m", [A.junk])).traceback == ""


def reason_of(error):
    def fail():
        raise error

    return caught(fail)


@pytest.mark.parametrize("make", [Error, RemoteError])
def test_an_error_is_its_reason_with_the_frames_of_who_raised_it(make):
    reason, [(_, function, _, _), *_] = reason_of(make((A.badkey, 1)))
    assert reason == (A.badkey, 1)
    assert function is A.fail
    assert reason_of(make(A.oops, [(A.m, A.f, 1, [])])) == (A.oops, [(A.m, A.f, 1, [])])


@pytest.mark.parametrize("make", [Throw, RemoteThrow])
def test_a_throw_that_nobody_catches_is_nocatch(make):
    reason, [(_, function, _, _), *_] = reason_of(make(A.ball))
    assert (reason, function) == ((A.nocatch, A.ball), A.fail)


def test_a_remote_exit_is_an_exit():
    assert reason_of(RemoteExit((A.oops, []))) == (A.oops, [])


def test_a_failed_remote_call_is_the_error_or_exit_of_erpc():
    assert reason_of(RpcFailed(A.noconnection))[0] == (A.erpc, A.noconnection)
    assert reason_of(RpcFailed((A.signal, A.killed))) == (A.signal, A.killed)


@pytest.mark.parametrize("kind", [Error, Throw, Exit, RemoteExit, RpcFailed])
def test_a_subclass_without_a_reason_is_an_exception_of_python(kind):
    class Odd(kind):
        def __init__(self):
            Exception.__init__(self, "odd")

    assert reason_of(Odd())[:3:2] == (A.python_error, b"odd")
