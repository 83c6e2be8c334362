"""Exceptions as exit reasons."""

from pyerlnode.errors import Exit
from pyerlnode.runtime.reason_core import MAX_FRAMES, MAX_MESSAGE, exit_reason
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
    assert len(message) == MAX_MESSAGE
    assert len(stack) == MAX_FRAMES


def test_an_exception_whose_text_raises_still_gives_a_reason():
    class Broken(Exception):
        def __str__(self):
            raise TypeError

    def fail():
        raise Broken

    assert b"TypeError" in caught(fail)[2]
