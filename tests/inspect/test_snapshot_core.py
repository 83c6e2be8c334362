"""Two moments of a node are compared, by what has changed in proportion."""

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.inspect.snapshot_core import Snapshot, compare, load, snapshot
from pyerlnode.term import A

BEFORE = Snapshot("a@h", 1.0, {"memory total": 1_000_000, "leaking": 10, "same": 5, "gone": 3})
AFTER = Snapshot("a@h", 9.0, {"memory total": 1_000_500, "leaking": 500, "same": 5, "new": 2})


def test_what_has_changed_comes_with_the_most_first_in_proportion() -> None:
    changes = compare(BEFORE, AFTER)
    assert [(c.what, c.by) for c in changes] == [("leaking", 490), ("gone", -3), ("new", 2), ("memory total", 500)]


def test_a_snapshot_goes_to_a_file_and_comes_back() -> None:
    assert load(BEFORE.dump()) == BEFORE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "1",
        '{"format": "another", "node": "", "at": 1, "sums": {}}',
        '{"format": "pyerlnode snapshot 1", "node": "", "at": 1, "sums": {"a": null}}',
    ],
)
def test_what_is_no_snapshot_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no snapshot"):
        load(text)


def test_an_answer_is_sums_by_what_they_are_of() -> None:
    told = snapshot(
        {A.node: A["a@h"], A.memory: {A.total: 7}, A.counts: {A.processes: 3},
         A.begun: [((A.m, A.init, 1), (2, 40, 600))], A.tables: [(A["t 1"], (1, 9, 800))]}, 5.0
    )  # fmt: skip
    assert told.sums == {
        "memory total": 7,
        "count processes": 3,
        "processes of m:init/1": 2,
        "messages at processes of m:init/1": 40,
        "memory of processes of m:init/1": 600,
        "tables 't 1'": 1,
        "rows of tables 't 1'": 9,
        "memory of tables 't 1'": 800,
    }
