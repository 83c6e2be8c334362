"""A kernel process that is killed comes back at once, with what it knew; whoever kills it, and however often."""

from typing import Any

import gevent
import pytest

from pyerlnode import A, Node, receive
from pyerlnode.errors import Exit
from pyerlnode.kernel import keeping
from pyerlnode.otp import gen
from pyerlnode.runtime.names import Global
from pyerlnode.testing.waiting import wait_for
from tests.helpers import hostile
from tests.helpers.two_nodes import SOON, Asked, two_nodes

NAMES = ["net_kernel", "rex", "user", "pg", "logger_proxy", "global_name_server"]


@pytest.fixture
def asked(capsys):
    with two_nodes() as (one, other), Asked(one, other, lambda: capsys.readouterr().out) as asked:
        yield asked


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reason", [A.kill, A.shutdown, hostile.deep("list", 2_000)], ids=["kill", "shutdown", "deep"])
def test_a_process_that_a_peer_ends_is_there_again_and_serves(asked, name, reason):
    asked.ask(name)
    before = asked.one.whereis(name)
    asked.other.exit(before, reason)
    wait_for(lambda: asked.one.whereis(name) != before, SOON)
    assert asked.one.whereis(name) is not None
    asked.all()


@pytest.mark.parametrize("name", NAMES)
def test_an_order_of_sys_to_end_is_obeyed_and_it_comes_back(asked, name):
    before = asked.one.whereis(name)
    assert gen.call(asked.other.system, (name, A[asked.one.name]), (A.terminate, A.bye), SOON, A.system) is A.ok
    wait_for(lambda: asked.one.whereis(name) != before, SOON)
    asked.all()


def test_nobody_finds_the_name_empty(asked):
    one = asked.one
    for name in NAMES:
        one.exit(one.whereis(name), A.kill)
        assert one.whereis(name) is not None


def test_all_of_them_at_once_and_again(asked):
    for _ in range(3):
        for name in NAMES:
            asked.other.exit(asked.one.whereis(name), A.kill)
        asked.all()


def test_groups_their_members_and_who_watches_them_survive(asked):
    one, other = asked.one, asked.other
    here, there = one.spawn(receive), other.spawn(receive)
    one.pg.join(A.g, [here, here])
    other.pg.join(A.g, there)
    wait_for(lambda: len(one.pg.get_members(A.g)) == 3 == len(other.pg.get_members(A.g)), SOON)
    ref, _ = one.pg.monitor(A.g)
    one.exit(one.whereis("pg"), A.kill)
    assert sorted(one.pg.get_members(A.g), key=str) == sorted([here, here, there], key=str)
    new = one.spawn(receive)
    one.pg.join(A.g, new)
    assert one.receive(timeout=SOON) == (ref, A.join, A.g, [new])
    wait_for(lambda: len(other.pg.get_members(A.g)) == 4, SOON)
    one.exit(here, A.kill)
    assert one.receive(timeout=SOON) == (ref, A.leave, A.g, [here])
    assert one.receive(timeout=SOON) == (ref, A.leave, A.g, [here])
    other.exit(there, A.kill)
    assert one.receive(timeout=SOON) == (ref, A.leave, A.g, [there])
    wait_for(lambda: other.pg.get_members(A.g) == [new], SOON)
    assert one.pg.demonitor(ref)


def test_a_member_that_ends_together_with_the_scope_is_no_member_any_more(asked):
    one = asked.one
    pid = one.spawn(receive)
    one.pg.join(A.g, pid)
    one.exit(pid, A.kill)
    one.exit(one.whereis("pg"), A.kill)
    wait_for(lambda: one.pg.get_members(A.g) == [], SOON)


def test_global_names_survive_and_still_go_with_their_processes(asked):
    one, other = asked.one, asked.other
    mine, his = one.spawn(receive), other.spawn(receive)
    assert one.system.global_names.register_name(A.mine, mine)
    assert other.system.global_names.register_name(A.his, his)
    wait_for(lambda: one.whereis(Global(A.his)) == his, SOON)
    one.exit(one.whereis("global_name_server"), A.kill)
    assert (one.whereis(Global(A.mine)), one.whereis(Global(A.his))) == (mine, his)
    assert not one.system.global_names.register_name(A.his, mine)
    other.exit(mine, A.kill)
    one.exit(his, A.kill)
    for node in (one, other):
        for name in (A.mine, A.his):
            wait_for(lambda: node.whereis(Global(name)) is None, SOON)  # noqa: B023  # waited for at once


def test_the_registrar_and_the_locker_of_global_come_back_too(asked):
    one = asked.one
    server = one.system.process(one.whereis("global_name_server"))
    one.exit(one.system.global_names.registrar, A.kill)
    asked.ask("global_name_server")
    asked.other.exit(server.handler.locker.pid, A.kill)
    wait_for(lambda: not server.alive, SOON)
    asked.all()


def test_who_printed_to_user_prints_to_the_new_one(asked):
    one = asked.one
    before = one.whereis("user")
    said: list[Any] = []

    def body() -> None:
        one.receive()
        said.append(one.group_leader())
        one.device().write("still here")
        said.append(A.done)

    pid = one.spawn(body)
    one.exit(before, A.kill)
    one.send(pid, A.go)
    wait_for(lambda: len(said) == 2, SOON)
    assert said[0] == one.whereis("user") != before
    assert "still here" in asked.output()


def test_a_call_to_one_that_is_killed_is_told_so(asked):
    one, other = asked.one, asked.other
    one.export("m", lambda: gevent.sleep(60), name="block")
    got: list[Any] = []

    def ask() -> None:
        try:
            got.append(gen.call(other.system, ("rex", A[one.name]), (A.block_call, A.m, A.block, [], A.user), None))
        except Exit as error:
            got.append(error.reason[0])

    other.spawn(ask)
    rex = one.system.process(one.whereis("rex"))
    wait_for(lambda: rex.greenlet is not None, SOON)
    one.exit(rex.pid, A.kill)
    wait_for(lambda: got, SOON)
    assert got == [A.killed]
    asked.all()


def test_one_that_is_killed_over_and_over_waits_before_it_comes_back_and_the_node_goes_on(asked, monkeypatch, caplog):
    monkeypatch.setattr(keeping, "RETRY", 0.2)
    monkeypatch.setattr(keeping, "PERIOD", 60.0)
    one = asked.one
    for _ in range(keeping.INTENSITY):
        one.exit(one.whereis("rex"), A.kill)
        assert one.whereis("rex") is not None
    one.exit(one.whereis("rex"), A.kill)
    assert one.whereis("rex") is None
    assert "rex ended again (killed) and waits" in caplog.records[-1].getMessage().replace("A.", "")
    asked.ask("net_kernel")
    wait_for(lambda: one.whereis("rex") is not None, SOON)
    asked.all()


def test_what_the_kernel_keeps_ends_with_the_node():
    with Node("alone@127.0.0.1", cookie="secret", epmd="none") as node:
        node.pg.start()
        node.receive_logs()
        system = node.system
        assert system.processes
        report = node.stop()
        assert report
    assert not system.processes
