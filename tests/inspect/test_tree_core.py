"""A supervision tree is drawn with all that is known of it, and says what is not."""

from typing import Any

from pyerlnode.inspect.tree_core import applications, child, lines
from pyerlnode.term import A
from pyerlnode.term.pid import Pid


def pid(number: int) -> Pid:
    return Pid(A.a, number, 0, 1)


def drawn(term: tuple[Any, ...]) -> list[str]:
    return list(lines(child(term), lambda one: f"{one.name or one.label or one.id} {one.pid.id if one.pid else '-'}"))


def test_a_tree_is_drawn() -> None:
    inner = (A.inner, pid(3), A.supervisor, [], A.undefined, [], A.late)
    workers = [(A.w, pid(2), A.worker, []), (A.inner, pid(3), A.supervisor, []), (A.gone, A.undefined, A.worker, [])]
    names = [(A.registered_name, A.named), [], []]
    below = (5, workers, names, [A.undefined, A.undefined, b"labelled"], [inner])
    assert drawn((A.undefined, pid(1), A.supervisor, A.top, A.undefined, [], below)) == [
        "top 1",
        "├─ named 2",
        "├─ inner 3",
        "│  └─ … does not answer",
        "├─ labelled -",
        "└─ … 2 more (--limit shows more)",
    ]


def test_what_was_not_asked_for_is_said() -> None:
    for below, note in (
        ((A.many, 30_000), "… 30000 children (not asked for so many children)"),
        ((A.gone, A.noproc), "… could not be asked"),
        (A.deep, "… more below (--depth)"),
    ):
        assert drawn((A.s, pid(1), A.supervisor, [], A.undefined, [], below)) == ["s 1", f"└─ {note}"]


def test_an_application_without_processes_has_no_top() -> None:
    told = applications([(A.stdlib, A.none, A.none), (A.slow, A.none, A.late)])
    assert [(one.name, one.top, one.late) for one in told] == [("stdlib", None, False), ("slow", None, True)]
