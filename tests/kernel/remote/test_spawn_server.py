"""What a request to spawn may ask for, and how an exported function ended, as erpc says it."""

import pytest

from pyerlnode.errors import Exit, RemoteError, RemoteExit, RemoteThrow, Throw
from pyerlnode.kernel.remote.errors import as_term, brief, format_stack, outcome
from pyerlnode.kernel.remote.spawn_server import LINKED, MONITORED, badrpc, execute, refusal, spawn_options
from pyerlnode.schema.elixir import ElixirError
from pyerlnode.term import A
from pyerlnode.term.containers import ImproperList, Struct


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ([], 0), ([A.link], LINKED), ([A.monitor], MONITORED), ([(A.link, []), (A.monitor, [])], LINKED | MONITORED),
        ([(A.priority, A.low), (A.min_heap_size, 1), (A.async_dist, True)], 0),
        ([A.priority], None), ([(A.reply, A.no)], None), ([(A.link,)], None), ([1], None), (A.link, None),
        (ImproperList((A.link,), A.monitor), None),
    ],
)  # fmt: skip
def test_options_give_flags_and_unknown_ones_none(options, flags):
    assert spawn_options(options) == flags


def raiser(error):
    def function():
        raise error

    return function


STRUCT = Struct(A["Elixir.ArgumentError"], {A["__exception__"]: True, A.message: b"no"})


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (Throw(1), (A.throw, 1)), (RemoteThrow(1), (A.throw, 1)), (Exit(A.bye), (A.exit, A.bye)),
        (RemoteExit(A.bye), (A.exit, A.bye)), (RemoteError(A.badarg, [A.frame]), (A.error, A.badarg, [A.frame])),
    ],
)  # fmt: skip
def test_each_class_of_end_has_its_own_result(error, ends):
    assert execute(7, raiser(error), []) == (7, *ends)


def test_exceptions_are_errors_with_their_stack():
    tag, kind, reason, stack = execute(7, raiser(ValueError("no")), [])
    assert (tag, kind, reason) == (7, A.error, (A.python_error, b"ValueError", b"no"))
    assert stack[0][1] is A.function
    assert execute(7, raiser(ElixirError(STRUCT)), [])[2] is STRUCT
    assert execute(7, lambda a: a, [5]) == (7, A["return"], 5)


def test_rpc_has_no_word_for_a_throw():
    assert badrpc((None, A["return"], 1)) == 1
    assert badrpc((None, A.throw, 1)) == 1
    assert badrpc((None, A.exit, 1)) == (A.badrpc, (A.EXIT, 1))
    assert badrpc((None, A.error, 1, [])) == (A.badrpc, (A.EXIT, (1, [])))


def test_a_function_that_is_not_exported_ends_as_undef():
    assert refusal(None, A.m, A.f, [1]) == (A.undef, [(A.m, A.f, [1], [])])
    assert refusal(7, A.m, A.f, [1]) == (7, A.error, A.undef, [(A.m, A.f, [1], [])])


def test_results_come_back_as_terms_and_as_exceptions():
    for result, term in [
        ((7, A["return"], 1), (A.ok, 1)),
        ((7, A.throw, 1), (A.throw, 1)),
        ((7, A.exit, 1), (A.exit, (A.exception, 1))),
        ((7, A.error, 1, []), (A.error, (A.exception, 1, []))),
        ((7, A.error, (A.erpc, 1)), (A.error, (A.erpc, 1))),
        (A.noconnection, (A.error, (A.erpc, A.noconnection))),
        (A.killed, (A.exit, (A.signal, A.killed))),
        ((8, A["return"], 1), (A.exit, (A.signal, (8, A["return"], 1)))),
    ]:
        assert as_term(7, result) == term
    with pytest.raises(RemoteError, match="m:f raised ValueError: no"):
        outcome(7, (7, A.error, (A.python_error, b"ValueError", b"no"), []), "m:f")


def test_a_stack_is_readable_whatever_it_holds():
    where = [(A.file, [*b"lib/a.ex"]), (A.line, 3)]
    stack = [(A["Elixir.A"], A.f, 1, where), (A.m, A.g, [1, 2], []), A.garbage, (A.m, A.h, 0, A.none)]
    assert format_stack(stack) == "    lib/a.ex:3: A.f/1\n    m.g/2\n    m.h/0"
    assert format_stack(A.none) == ""
    assert len(brief([b"x" * 50] * 100)) <= 201
