"""Groups are multisets, told apart as Erlang does; garbage is nothing."""

import pytest

from pyerlnode.kernel.pg_core import Table, changes, group_pairs, pid_list
from pyerlnode.term import A, ImproperList, Pid, Struct

ONE, OTHER = Pid(A["a@h"], 1, 0, 1), Pid(A["a@h"], 2, 0, 1)


def test_who_joins_twice_is_there_twice_and_leaves_once_at_a_time():
    table = Table()
    table.add(A.room, [ONE, ONE, OTHER])
    assert table.members(A.room) == [ONE, ONE, OTHER]
    assert table.groups_of(ONE) == [A.room, A.room]
    assert table.remove(A.room, [ONE]) == [ONE]
    assert table.members(A.room) == [ONE, OTHER]
    assert table.remove(A.room, [ONE, ONE, OTHER]) == [ONE, OTHER]
    assert table.names() == []
    assert table.remove(A.room, [ONE]) == []


def test_groups_are_any_terms_and_1_is_not_1_0():
    table = Table()
    for group in (1, 1.0, True, [1], {A.k: [1]}, b"x", (A.a, 1)):
        table.add(group, [ONE])
    assert len(table.names()) == 7
    assert table.members([1]) == [ONE]
    assert table.members((A.a, 1.0)) == []
    assert len(table.as_map()) == 7


def test_the_difference_of_two_states_is_what_watchers_are_told():
    before = Table([(A.a, [ONE, ONE]), (A.b, [ONE])])
    after = Table([(A.a, [ONE, OTHER]), (A.c, [ONE])])
    found = {group: (joined, left) for group, joined, left in before.difference(after)}
    assert found == {A.a: ([OTHER], [ONE]), A.b: ([], [ONE]), A.c: ([ONE], [])}
    assert before.difference(before) == []


@pytest.mark.parametrize(
    "garbage",
    [1, A.x, [1], [(A.g,)], [(A.g, 1)], [(A.g, [1])], (A.g, []), ImproperList((1,), 2), Struct(A.items, {A.items: 1})],
)
def test_garbage_is_no_state(garbage):
    assert group_pairs(garbage) is None
    assert changes(garbage) is None


def test_one_pid_may_stand_for_a_list():
    assert pid_list(ONE) == [ONE]
    assert pid_list([ONE]) == [ONE]
    assert pid_list([ONE, 1]) is None
    assert group_pairs({A.g: [ONE]}) == [(A.g, [ONE])]
    assert changes([(A.g, [ONE], OTHER)]) == [(A.g, [ONE], [OTHER])]
