"""Who sees whom, and what is near its limit."""

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.inspect.node_core import Limit, cluster
from pyerlnode.inspect.rank_core import Ranking, question
from pyerlnode.term import A


def test_two_visible_nodes_that_do_not_see_each_other_are_a_split() -> None:
    told = cluster(
        {
            A.node: A.a, A.visible: 3, A.hidden: 2,
            A.nodes: [
                (A.a, A.this, (A.ok, [A.b, A.c, A.d]), A.undefined),
                (A.b, A.visible, (A.ok, [A.a]), (10, 20, 0)),
                (A.c, A.visible, (A.ok, [A.a, A.b]), A.undefined),
                (A.d, A.visible, A.failed, A.undefined),
                (A.h, A.hidden, A.unasked, A.undefined),
            ],
        }
    )  # fmt: skip
    assert told.splits == (("b", "c"),)
    assert told.cut == 1
    assert [seen.asked for seen in told.nodes] == [True, True, True, True, False]
    assert told.nodes[1].traffic == (10, 20, 0)
    assert told.nodes[3].sees is None


@pytest.mark.parametrize(("used", "most", "near"), [(85, 100, False), (86, 100, True), (10**9, None, False)])
def test_a_limit_is_near_above_85_percent(used: int, most: int | None, near: bool) -> None:
    assert Limit(used, most).near is near


@pytest.mark.parametrize(
    ("by", "limit", "skip"), [("size", 1, 0), ("memory", 0, 0), ("memory", 10_001, 0), ("memory", 1, -1)]
)
def test_what_can_not_be_ranked_is_a_usage_error(by: str, limit: int, skip: int) -> None:
    with pytest.raises(UsageError):
        question(by, A.page, limit, skip, "")


def test_a_page_says_how_much_more_there_is() -> None:
    assert Ranking("a", "memory", 0.0, (), 12, 40, 5).cut == 7
    assert Ranking("a", "memory", 0.0, (), 3, 40, 5).cut == 0
