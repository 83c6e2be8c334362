"""`global`'s decisions as chains of values: nodes that meet, clash, lock, lose each other; no process, no time."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from pyerlnode.kernel.global_.core import GLOBAL, NO_ANSWER, VERSION, GlobalCore
from pyerlnode.kernel.global_.effects_core import (
    Cast,
    Clash,
    Disconnect,
    Effect,
    EndAttempt,
    Greet,
    Meet,
    Named,
    Remind,
    Resolve,
    Send,
    TellLocker,
    Unwatch,
    Warn,
    Watch,
    verdict,
)
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

N1, N2, N3, N4 = (Atom(f"n{number}@127.0.0.1") for number in (1, 2, 3, 4))
METHOD = (GLOBAL, A.random_exit_name)


def pid(node: Atom, number: int = 100) -> Pid:
    return Pid(node, number, 0, 1)


def locker(node: Atom) -> Pid:
    return pid(node, 50)


def core(node: Atom = N1, **options: Any) -> GlobalCore:
    return GlobalCore(node, 7, locker(node), **options)


class World:
    """Nodes whose words arrive in order; lockers agree at once, and the process of the lesser node keeps a name."""

    def __init__(self, *nodes: Atom, **options: Any) -> None:
        self.cores = {node: core(node, **options) for node in nodes}
        self.lines: set[frozenset[Atom]] = set()
        self.mail: list[tuple[Atom, Atom, Any]] = []
        self.meetings: dict[Atom, dict[Atom, Meet]] = {node: {} for node in nodes}
        self.warnings: list[str] = []
        self.told: list[tuple[Atom, Any]] = []

    # --- what happens ------------------------------------------------------------------------------
    def connect(self, a: Atom, b: Atom) -> None:
        if frozenset((a, b)) not in self.lines:
            self.lines.add(frozenset((a, b)))
            self.do(a, self.cores[a].info((A.nodeup, b)))
            self.do(b, self.cores[b].info((A.nodeup, a)))

    def cut(self, a: Atom, b: Atom) -> None:
        if frozenset((a, b)) in self.lines:
            self.lines.remove(frozenset((a, b)))
            self.mail = [letter for letter in self.mail if {letter[0], letter[1]} != {a, b}]
            self.do(a, self.cores[a].info((A.nodedown, b)))
            self.do(b, self.cores[b].info((A.nodedown, a)))

    def register(self, at: Atom, name: Any, process: Pid) -> None:
        for node in (at, *self.cores[at].known):
            answer, effects = self.cores[node].call((A.register, name, process, METHOD), pid(at))
            assert answer is A.yes
            self.do(node, effects)

    def settle(self, rounds: int = 500) -> "World":
        for _ in range(rounds):
            if not self.mail:
                return self
            from_, to, (is_cast, words) = self.mail.pop(0)
            self.told.append((to, words))
            self.do(to, self.cores[to].cast(words) if is_cast else self.cores[to].info(words))
            del from_
        raise AssertionError(f"they go on talking: {self.mail[:5]}")

    # --- effects -------------------------------------------------------------------------------------
    def do(self, me: Atom, effects: list[Effect] | tuple[Effect, ...]) -> None:  # noqa: C901  # a table of effects
        for effect in effects:
            match effect:
                case Send(node, words) if frozenset((me, node)) in self.lines:
                    self.mail.append((me, node, (False, words)))
                case Cast(node, words) if frozenset((me, node)) in self.lines:
                    self.mail.append((me, node, (True, words)))
                case Meet(node):
                    self.meetings[me][node] = effect
                    self.agree(me, node)
                case EndAttempt(node, tag, then):
                    self.do(me, then)
                    meeting = self.meetings[me].get(node)
                    if meeting is not None and meeting.my_tag == tag:
                        self.unlock(me, node)
                case Resolve(node, tag, names):
                    ops, clashes = self.cores[me].compared(node, names)
                    for clash in clashes:
                        winner = min(clash.his.pid, clash.mine.pid, key=lambda p: p.node.name)
                        mine, his = verdict(clash, winner)
                        ops += [mine] if mine else []
                        self.do(me, self.cores[me].info((A.exchange_ops, node, tag, ops, [his] if his else [])))
                        break
                    else:
                        self.do(me, self.cores[me].info((A.exchange_ops, node, tag, ops, [])))
                case Greet(node):
                    self.connect(me, node)
                    self.mail.append((me, node, (True, (A.in_sync, me, True))))
                case Disconnect(node):
                    self.cut(me, node)
                case Warn(text):
                    self.warnings.append(text)

    def agree(self, a: Atom, b: Atom) -> None:
        one, other = self.meetings[a].get(b), self.meetings[b].get(a)
        if one is None or other is None or (one.my_tag, one.his_tag) != (other.his_tag, other.my_tag):
            return
        lock = self.lock(a, b)
        for node in {a, b, *self.cores[a].known, *self.cores[b].known}:
            for holder in (a, b):
                answer, effects = self.cores[node].call((A.set_lock, lock), locker(holder))
                assert answer is True
                self.do(node, effects)
        for me, him, meeting in ((a, b, one), (b, a, other)):
            self.do(me, self.cores[me].info((A.lock_is_set, him, meeting.my_tag, lock)))

    def unlock(self, me: Atom, him: Atom) -> None:
        del self.meetings[me][him]
        for node, its in self.cores.items():
            self.do(node, its.call((A.del_lock, self.lock(me, him)), locker(me))[1])

    @staticmethod
    def lock(a: Atom, b: Atom) -> tuple[Any, Any]:
        return GLOBAL, [locker(node) for node in sorted((a, b), key=lambda node: node.name)]

    # --- what is seen ----------------------------------------------------------------------------------
    def where(self, name: Any) -> list[Pid | None]:
        found = [one.names.get(exact.key(name)) for one in self.cores.values()]
        return [None if named is None else named.pid for named in found]

    def mesh(self) -> dict[Atom, set[Atom]]:
        return {node: set(one.known) for node, one in self.cores.items()}


# --- meeting -----------------------------------------------------------------------------------------------
def test_two_that_meet_know_each_others_names_and_hold_no_lock_afterwards() -> None:
    world = World(N1, N2)
    world.register(N1, A.first, pid(N1))
    world.register(N2, "second", pid(N2))
    world.connect(N1, N2)
    world.settle()
    assert world.where(A.first) == [pid(N1)] * 2
    assert world.where("second") == world.where(b"second") == [pid(N2)] * 2
    assert world.mesh() == {N1: {N2}, N2: {N1}}
    assert all(not one.locks and not one.pending and not one.syncs for one in world.cores.values())
    assert [one.synced for one in world.cores.values()] == [{N2}, {N1}]


def test_a_third_that_meets_one_of_a_cluster_gets_to_know_all_and_all_get_to_know_it() -> None:
    world = World(N1, N2, N3)
    world.connect(N1, N2)
    world.settle()
    world.register(N1, A.old, pid(N1))
    world.register(N3, A.new, pid(N3))
    world.connect(N2, N3)
    world.settle()
    assert world.mesh() == {N1: {N2, N3}, N2: {N1, N3}, N3: {N1, N2}}
    assert frozenset((N1, N3)) in world.lines
    assert world.where(A.old) == [pid(N1)] * 3
    assert world.where(A.new) == [pid(N3)] * 3
    assert not any(one.locks for one in world.cores.values())


def test_two_clusters_become_one() -> None:
    world = World(N1, N2, N3, N4)
    world.connect(N1, N2)
    world.connect(N3, N4)
    world.settle()
    world.register(N1, A.left, pid(N1))
    world.register(N4, A.right, pid(N4))
    world.connect(N2, N3)
    world.settle()
    everybody = {N1, N2, N3, N4}
    assert world.mesh() == {node: everybody - {node} for node in everybody}
    assert world.where(A.left) == [pid(N1)] * 4
    assert world.where(A.right) == [pid(N4)] * 4


def test_his_first_word_may_come_before_our_nodeup() -> None:
    one = core(N1)
    early = (A.init_connect, (VERSION, -5), N2, (A.locker, A.no_longer_a_pid, {}, locker(N2)))
    assert one.cast(early) == []
    sent, meet, ack = one.info((A.nodeup, N2))
    assert isinstance(sent, Cast)
    assert meet == Meet(N2, locker(N2), sent.request[1][1], -5)
    assert ack == Send(N2, (A.init_connect_ack, N1, -5, sent.request[1][1]))


def test_a_nodeup_that_comes_twice_begins_once() -> None:
    one = core(N1)
    assert len(one.info((A.nodeup, N2))) == 1
    assert one.info((A.nodeup, N2)) == []


def test_an_acknowledgement_of_another_attempt_cancels_it_and_begins_anew() -> None:
    one = core(N1)
    (first,) = one.info((A.nodeup, N2))
    one.cast((A.init_connect, (VERSION, -5), N2, (A.locker, A.no_longer_a_pid, {}, locker(N2))))
    effects = one.info((A.init_connect_ack, N2, first.request[1][1], -6))
    assert Send(N2, (A.cancel_connect, N1, -6)) in effects
    again = effects[-1]
    assert isinstance(again, Cast)
    assert again.request[1][1] > first.request[1][1]
    assert one.pending == {}


def test_a_cancelled_attempt_begins_anew_while_the_node_is_up_and_not_afterwards() -> None:
    one = core(N1)
    (first,) = one.info((A.nodeup, N2))
    tag = first.request[1][1]
    ended, again = one.info((A.cancel_connect, N2, tag))
    assert ended == EndAttempt(N2, tag)
    assert again.request[1][1] != tag
    assert one.info((A.cancel_connect, N2, tag)) == []
    one.info((A.nodedown, N2))
    assert one.info((A.cancel_connect, N2, again.request[1][1])) == []


def test_two_that_began_out_of_step_end_in_step() -> None:
    world = World(N1, N2)
    world.connect(N1, N2)
    (begun,) = (words for from_, _, (_, words) in world.mail if from_ is N1)
    world.do(N1, world.cores[N1].info((A.cancel_connect, N2, begun[1][1])))
    world.do(N2, world.cores[N2].info((A.init_connect_ack, N1, 1, 2)))
    world.settle()
    assert world.mesh() == {N1: {N2}, N2: {N1}}
    assert not any(one.locks for one in world.cores.values())


def test_a_word_with_the_tag_of_an_attempt_that_is_over_ends_that_attempts_lock_and_changes_nothing() -> None:
    one = core(N1)
    one.info((A.nodeup, N2))
    assert one.cast((A.exchange, N2, [(A.x, pid(N2), METHOD)], [], 99)) == [EndAttempt(N2, 99)]
    assert one.cast((A.resolved, N2, [(A.insert, (A.x, pid(N2), METHOD))], [], A.unused, [], 99)) == [
        EndAttempt(N2, 99)
    ]
    assert one.info((A.lock_is_set, N2, 99, (GLOBAL, []))) == [EndAttempt(N2, 99)]
    assert one.names == {}


def test_names_are_compared_once_the_lock_stands_and_his_names_are_here_in_either_order() -> None:
    for words in ((0, 1), (1, 0)):
        one = core(N1)
        (first,) = one.info((A.nodeup, N2))
        tag = first.request[1][1]
        one.cast((A.init_connect, (VERSION, -5), N2, (A.locker, A.no_longer_a_pid, {}, locker(N2))))
        steps = (
            lambda one=one, tag=tag: one.info((A.lock_is_set, N2, tag, (GLOBAL, []))),
            lambda one=one, tag=tag: one.cast((A.exchange, N2, [(A.x, pid(N2), METHOD)], [], tag)),
        )
        before, after = steps[words[0]](), steps[words[1]]()
        assert not any(isinstance(effect, Resolve) for effect in before)
        assert Resolve(N2, tag, [(A.x, pid(N2), METHOD)]) in after


def test_a_word_of_his_locker_goes_to_ours_when_it_is_of_this_attempt_or_has_no_tag() -> None:
    one = core(N1)
    (first,) = one.info((A.nodeup, N2))
    tag = first.request[1][1]
    ours, stale, old = ((A.lock_set, locker(N2), True, [], *end) for end in ((tag,), (1,), ()))
    assert one.cast(ours) == [TellLocker(ours)]
    assert one.cast(stale) == []
    assert one.cast(old) == [TellLocker(old)]


def half_known() -> tuple[World, GlobalCore, GlobalCore]:
    """N3 has lost N1, and N1 was told of N3 a moment later: it knows a node that does not know it."""
    world = meshed(N1, N2, N3)
    one, three = world.cores[N1], world.cores[N3]
    world.lines.discard(frozenset((N1, N3)))
    for me, him in ((one, N3), (three, N1)):
        me.parts = False
        me.info((A.nodedown, him))
        me.parts = True
    one.cast((A.new_nodes, N2, [], [], [(N3, VERSION)], []))
    world.connect(N1, N3)
    world.mail = [letter for letter in world.mail if letter[2][1][0] is not A.in_sync]
    return world.settle(), one, three


def test_a_node_that_lost_us_while_we_know_it_is_met_again_when_nobody_tells_it_of_us() -> None:
    world, one, three = half_known()
    assert (N3 in one.known, N1 in three.known) == (True, False)
    tag = three.syncs[N1].my_tag
    assert one.info((A.unanswered, N3, tag + 1)) == []
    world.do(N1, one.info((A.unanswered, N3, tag)))
    world.settle()
    assert world.mesh() == {N1: {N2, N3}, N2: {N1, N3}, N3: {N1, N2}}
    assert not any(one.locks or one.doubted or one.syncs for one in world.cores.values())


def test_one_that_is_told_of_us_after_all_is_known_again() -> None:
    _, one, three = half_known()
    one.info((A.unanswered, N3, three.syncs[N1].my_tag))
    assert N3 not in one.known
    one.cast((A.in_sync, N3, True))
    assert N3 in one.known
    assert one.doubted == {}
    assert one.info((A.unanswered, N3, three.syncs[N1].my_tag)) == []


def test_a_reminder_of_a_node_that_is_gone_or_has_synchronised_does_nothing() -> None:
    one = core(N1)
    one.cast((A.new_nodes, N2, [], [], [(N3, VERSION)], []))
    early = (A.init_connect, (VERSION, 5), N3, (A.locker, A.no_longer_a_pid, {}, locker(N3)))
    assert one.cast(early) == [Remind(N3, 5)]
    one.cast((A.in_sync, N3, True))
    assert one.info((A.unanswered, N3, 5)) == []
    one.cast(early)
    one.info((A.nodedown, N3))
    assert one.info((A.unanswered, N3, 5)) == []


# --- names that two have -----------------------------------------------------------------------------------
def test_of_two_that_have_a_name_the_lesser_node_judges_and_both_do_what_it_says() -> None:
    world = World(N1, N2)
    world.register(N1, A.same, pid(N1))
    world.register(N2, A.same, pid(N2))
    world.connect(N1, N2)
    world.settle()
    assert world.where(A.same) == [pid(N1)] * 2
    assert core(N2).compared(N1, [(A.same, pid(N1), METHOD)]) == ([(A.insert, (A.same, pid(N1), METHOD))], [])


def test_the_greater_node_judges_no_clash() -> None:
    his, mine = (A.same, pid(N1), METHOD), Named(A.same, pid(N2), METHOD)
    two = core(N2)
    two.call((A.register, A.same, pid(N2), METHOD), pid(N2))
    assert two.compared(N1, [his]) == ([], [])
    assert two.compared(N3, [his]) == ([], [Clash(Named(*his), mine)])
    assert two.compared(N3, [(A.same, pid(N2), METHOD)]) == ([], [])


@pytest.mark.parametrize(
    ("winner", "expected"),
    [
        (pid(N2), ((A.insert, (A.same, pid(N2), "his")), None)),
        (pid(N1), (None, (A.insert, (A.same, pid(N1), "mine")))),
        (A.none, ((A.delete, A.same), (A.delete, A.same))),
        (pid(N3), ((A.delete, A.same), (A.delete, A.same))),
    ],
)
def test_what_each_side_does_about_a_clash(winner: Any, expected: Any) -> None:
    assert verdict(Clash(Named(A.same, pid(N2), "his"), Named(A.same, pid(N1), "mine")), winner) == expected


# --- locks -------------------------------------------------------------------------------------------------
def test_a_lock_is_had_by_one_requester_and_by_any_number_of_its_processes() -> None:
    one = core(N1)
    mine, his = (A.resource, A.mine), (A.resource, A.his)
    assert one.call((A.set_lock, mine), pid(N1)) == (True, [Watch((A.lock, A.resource, pid(N1)), pid(N1))])
    assert one.call((A.set_lock, mine), pid(N1)) == (True, [])
    assert one.call((A.set_lock, mine), pid(N2))[0] is True
    assert one.call((A.set_lock, his), pid(N3)) == (False, [])
    assert one.call((A.del_lock, his), pid(N3)) == (True, [])
    assert one.call((A.del_lock, mine), pid(N1)) == (True, [Unwatch((A.lock, A.resource, pid(N1)))])
    assert one.may_lock(his) is False
    one.call((A.del_lock, mine), pid(N2))
    assert one.may_lock(his) is True


def test_a_lock_goes_with_its_last_holder() -> None:
    one = core(N1)
    for holder in (pid(N2), pid(N3)):
        one.call((A.set_lock, (A.resource, A.both)), holder)
    one.ended((A.lock, A.resource, pid(N2)))
    assert one.may_lock((A.resource, A.other)) is False
    one.ended((A.lock, A.resource, pid(N3)))
    assert one.may_lock((A.resource, A.other)) is True
    assert one.ended((A.lock, A.resource, pid(N3))) == []


def test_a_name_that_comes_after_its_registrar_was_lost_is_not_taken() -> None:
    one = core(N1)
    one.call((A.set_lock, (GLOBAL, pid(N2))), pid(N2))
    one.ended((A.lock, GLOBAL, pid(N2)))
    assert one.call((A.register, A.late, pid(N2), METHOD), pid(N2)) == (A.yes, [])
    assert one.names == {}
    one.call((A.set_lock, (GLOBAL, pid(N3))), pid(N3))
    assert one.call((A.register, A.late, pid(N2), METHOD), pid(N2))[1] == []
    assert one.call((A.register, A.good, pid(N3), METHOD), pid(N3))[1] == [Watch((A.name, A.good), pid(N3))]
    one.call((A.del_lock, (GLOBAL, pid(N3))), pid(N3))
    assert one.call((A.register, A.without, pid(N2), METHOD), pid(N2))[1] != []


# --- names -------------------------------------------------------------------------------------------------
def test_a_name_that_is_given_anew_is_watched_for_its_new_process_only_and_goes_with_it() -> None:
    one = core(N1)
    one.call((A.register, A.name, pid(N1, 1), METHOD), pid(N1))
    _, effects = one.call((A.register, A.name, pid(N1, 2), METHOD), pid(N1))
    assert effects == [Unwatch((A.name, A.name)), Watch((A.name, A.name), pid(N1, 2))]
    one.ended((A.name, A.name))
    assert one.names == {}
    assert one.call((A.unregister, A.name), pid(N1)) == (A.ok, [])


def test_one_and_one_point_zero_are_two_names() -> None:
    one = core(N1)
    for number, name in enumerate((1, 1.0, True, "a", b"a")):
        one.call((A.register, name, pid(N1, number), METHOD), pid(N1))
    assert sorted(named.pid.id for named in one.names.values()) == [0, 1, 2, 4]


def test_names_of_processes_outside_are_told_with_their_node() -> None:
    world = World(N1, N2)
    outside = pid(Atom("c@127.0.0.1"))
    answer, effects = world.cores[N1].call((A.register_ext, A.outer, outside, METHOD, N1), pid(N1))
    assert answer is A.yes
    world.do(N1, effects)
    world.connect(N1, N2)
    world.settle()
    assert world.cores[N2].call(A.get_names_ext, pid(N2))[0] == [(A.outer, outside, N1)]
    assert world.where(A.outer) == [outside] * 2


def test_questions_are_answered_and_what_is_not_known_is_not() -> None:
    world = World(N1, N2)
    world.connect(N1, N2)
    one = world.settle().cores[N1]
    assert one.call(A.get_known, pid(N2))[0] == [N2]
    assert one.call(A.get_synced, pid(N2))[0] == [N2]
    assert one.call(A.get_protocol_version, pid(N2))[0] == 8
    assert one.call((A.sync, 1), pid(N2))[0] is A.ok
    assert one.call((A.what, 1), pid(N2)) == (NO_ANSWER, [])


# --- losing each other -------------------------------------------------------------------------------------
def meshed(*nodes: Atom, **options: Any) -> World:
    world = World(*nodes, **options)
    for a, b in pairwise(nodes):
        world.connect(a, b)
        world.settle()
    world.told.clear()
    return world


def test_two_that_lost_each_other_are_parted_by_the_third_so_that_no_partitions_overlap() -> None:
    world = meshed(N1, N2, N3)
    world.register(N1, A.name, pid(N1))
    world.cut(N1, N2)
    world.settle()
    mesh = world.mesh()
    assert all((b in mesh[a]) == (a in mesh[b]) for a in mesh for b in mesh if a is not b)
    assert mesh[N1] & mesh[N2] == set()
    assert any("lost each other" in text for text in world.warnings)
    assert any("prevent overlapping" in text for text in world.warnings)


def test_a_healed_partition_is_one_cluster_again() -> None:
    world = meshed(N1, N2, N3)
    world.cut(N1, N2)
    world.settle()
    for a, b in ((N1, N2), (N2, N3)):
        world.connect(a, b)
        world.settle()
    assert world.mesh() == {N1: {N2, N3}, N2: {N1, N3}, N3: {N1, N2}}
    assert not any(one.locks or one.removing for one in world.cores.values())


def test_a_loss_is_passed_on_once_whoever_tells_it() -> None:
    world = meshed(N1, N2, N3, N4)
    one = world.cores[N1]
    loss = (A.lost_connection, N2, 7, 1, N3)
    first = one.info(loss)
    assert [effect.node for effect in first if isinstance(effect, Send) and effect.message == loss] == [N3, N4]
    assert Send(N3, (A.remove_connection, N1)) in first
    assert one.info(loss) == []
    assert one.info((A.lost_connection, N2, 7, 0, N3)) == []
    assert one.info((A.lost_connection, N2, 7, 2, N3)) != []
    assert one.info((A.lost_connection, N2, 8, 1, N3)) != []  # another life of the node that tells


def test_a_loss_of_us_parts_from_the_one_that_tells_it() -> None:
    one = meshed(N1, N2, N3).cores[N1]
    assert Send(N2, (A.remove_connection, N1)) in one.info((A.lost_connection, N2, 7, 1, N1))
    assert set(one.known) == {N3}


def test_whom_we_asked_to_go_or_who_asked_us_is_no_loss_to_tell_of() -> None:
    one = meshed(N1, N2, N3).cores[N1]
    effects = one.info((A.remove_connection, N2))
    assert effects[-1] == Disconnect(N2)
    assert one.info((A.nodedown, N2)) == []
    assert one.info((A.remove_connection, N2)) == []
    assert [effect.message[0] for effect in one.info((A.nodedown, N3)) if isinstance(effect, Send)] == []
    assert one.removing == set()


def test_a_known_node_that_is_lost_is_told_to_the_others() -> None:
    one = meshed(N1, N2, N3).cores[N1]
    (sent,) = (effect for effect in one.info((A.nodedown, N3)) if isinstance(effect, Send))
    assert sent.node is N2
    assert sent.message[0] is A.lost_connection
    assert (sent.message[1], sent.message[4]) == (N1, N3)


def test_who_leaves_parts_from_all_and_tells_nobody_so_that_the_others_stay_together() -> None:
    world = World(N1, N2, N3)
    world.connect(N1, N2)
    world.connect(N1, N3)
    one = world.cores[N1]
    one.info((A.nodeup, N4))  # connected, and not known yet
    answer, effects = one.call(A.disconnect, pid(N1))
    assert sorted(node.name for node in answer) == [N2.name, N3.name, N4.name]
    assert [effect for effect in effects if type(effect) is Disconnect] == [Disconnect(node) for node in answer]
    assert one.known == {}
    for node in answer:
        assert not [effect for effect in one.info((A.nodedown, node)) if type(effect) is Send]
    assert one.call(A.disconnect, pid(N1)) == ([], [])
    assert [type(effect) for effect in one.info((A.nodeup, N2))] == [Cast]  # and is met again


def test_the_names_of_a_process_are_those_that_it_has_just_now() -> None:
    one, server = core(), pid(N1)
    for name in (1, 1.0, A.third):
        one.call((A.set_lock, (GLOBAL, server)), server)
        one.call((A.register, name, pid(N2), METHOD), server)
    assert list(one.names_of) == [pid(N2)]
    assert [one.names[key].name for key in one.names_of[pid(N2)]] == [1, 1.0, A.third]
    one.call((A.register, 1.0, pid(N3), METHOD), server)
    one.call((A.unregister, 1), server)
    assert {p: len(keys) for p, keys in one.names_of.items()} == {pid(N2): 1, pid(N3): 1}
    one.ended((A.name, exact.key(A.third)))
    one.ended((A.name, exact.key(A.third)))
    assert list(one.names_of) == [pid(N3)]


def test_without_prevention_a_loss_is_told_to_nobody_and_parts_nobody() -> None:
    world = meshed(N1, N2, N3, prevent_overlapping_partitions=False)
    world.cut(N1, N2)
    world.settle()
    assert world.mesh() == {N1: {N3}, N2: {N3}, N3: {N1, N2}}
    assert world.warnings == []
    assert world.cores[N3].info((A.lost_connection, N1, 7, 99, N2)) == []
    assert world.cores[N3].info((A.remove_connection, N1))[-1] == Disconnect(N1)  # that is asked, and done, as in OTP


# --- connect_all ---------------------------------------------------------------------------------------------
def test_without_connect_all_nobody_is_met_and_names_are_ones_own() -> None:
    world = World(N1, N2)
    world.cores[N1] = core(N1, connect_all=False)
    world.register(N1, A.mine, pid(N1))
    world.register(N2, A.his, pid(N2))
    world.connect(N1, N2)
    world.settle()
    assert world.mesh() == {N1: set(), N2: set()}
    assert world.where(A.mine) == [pid(N1), None]
    assert world.where(A.his) == [None, pid(N2)]
    assert world.told[0][1][0] is A.init_connect  # from the one that does; it stays without an answer
    assert len(world.told) == 1
    assert world.cores[N1].info((A.lost_connection, N2, 7, 1, N3)) == []
    assert world.cores[N1].info((A.nodedown, N2)) == []


# --- nonsense --------------------------------------------------------------------------------------------------
def damaged(term: Any, chance: Random) -> Any:
    """The term with one part of it replaced or gone."""
    if isinstance(term, (tuple, list)) and term and chance.random() < 0.8:
        parts = list(term)
        at = chance.randrange(len(parts))
        if chance.random() < 0.15:
            del parts[at]
        else:
            parts[at] = damaged(parts[at], chance)
        return type(term)(parts)
    return chance.choice(
        (0, -1, 1.5, True, None, b"", A.x, N1, N2, N3, (), [], {}, [1], (A.lock,), pid(N2), [(A.x, 1)])
    )


SAID = (
    (A.init_connect, (VERSION, 5), N2, (A.locker, A.no_longer_a_pid, {}, locker(N2))),
    (A.exchange, N2, [(A.x, pid(N2), METHOD)], [], 5),
    (A.resolved, N2, [(A.insert, (A.x, pid(N2), METHOD))], [(N3, 8)], A.unused, [(A.x, pid(N2), N2)], 5),
    (A.new_nodes, N2, [(A.delete, A.x)], [(A.x, pid(N2), N2)], [(N3, 8)], [(A.vsn, 8), (A.lock, (GLOBAL, []))]),
    (A.in_sync, N2, True),
    (A.lock_set, locker(N2), True, [], 5),
    (A.nodeup, N2),
    (A.nodedown, N2),
    (A.init_connect_ack, N2, 5, 5),
    (A.cancel_connect, N2, 5),
    (A.lost_connection, N2, 7, 1, N3),
    (A.remove_connection, N2),
    (A.set_lock, (GLOBAL, [locker(N1)])),
    (A.del_lock, (GLOBAL, [locker(N1)])),
    (A.register, A.x, pid(N2), METHOD),
    (A.register_ext, A.x, pid(N2), METHOD, N2),
    (A.unregister, A.x),
)


def with_tag(term: Any, tag: Any) -> Any:
    """So that it is taken for the attempt that is under way."""
    return tuple(tag if part == 5 else part for part in term)


@pytest.mark.parametrize("seed", range(200))
def test_nothing_that_a_peer_says_ends_the_name_server(seed: int) -> None:
    chance = Random(seed)
    one = core(N1)
    for _ in range(60):
        sync = one.syncs.get(N2)
        said = with_tag(chance.choice(SAID), 5 if sync is None else sync.my_tag)
        said = damaged(said, chance) if chance.random() < 0.6 else said
        for effect in (*one.cast(said), *one.info(said), *one.call(said, pid(N2))[1]):
            if isinstance(effect, Resolve):
                ops, _ = one.compared(effect.node, effect.names)
                one.info((A.exchange_ops, effect.node, effect.my_tag, ops, []))
            elif isinstance(effect, Meet):
                one.info((A.lock_is_set, effect.node, effect.my_tag, (GLOBAL, [])))
    assert all(type(node) is Atom for node in one.known)
