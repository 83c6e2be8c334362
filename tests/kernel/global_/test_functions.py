"""The functions of `global` on one node, and on two of Python; with BEAMs: interop_tests/test_global_functions.py."""

from collections.abc import Iterator
from typing import Any

import pytest

from pyerlnode import A, Atom, ExternalFun, Node, receive
from pyerlnode.errors import EncodeError, Error, Exit, Throw, UsageError
from pyerlnode.kernel.global_.client import resolve_it, winner_of
from pyerlnode.term.pid import Pid
from pyerlnode.testing.waiting import wait_for
from tests.helpers.two_nodes import two_nodes


@pytest.fixture(params=[True, False], ids=["hidden", "visible"])
def node(request: Any) -> Iterator[Any]:
    with Node("one@127.0.0.1", cookie="secret", epmd="none", hidden=request.param) as node:
        yield node


def test_names_come_move_and_go(node: Any) -> None:
    names = node.global_
    first, second = node.spawn(receive), node.spawn(receive)
    assert names.register_name("stock", first) is True
    assert names.register_name("stock", second) is False
    assert names.re_register_name("stock", second) is True
    assert names.whereis_name("stock") == second
    assert names.registered_names() == ["stock"]
    assert names.send("stock", A.stop) == second
    wait_for(lambda: names.whereis_name("stock") is None)
    assert names.register_name("stock") is True
    assert names.whereis_name(b"stock") == node.self_()
    assert names.unregister_name("stock") is None
    assert names.unregister_name("stock") is None
    assert names.registered_names() == []
    with pytest.raises(Exit) as caught:
        names.send("stock", 1)
    assert caught.value.reason == (A.badarg, ("stock", 1))


def test_what_is_no_name_no_pid_no_method_and_no_lock_is_refused(node: Any) -> None:
    names, pid = node.global_, node.self_()
    with pytest.raises(EncodeError):
        names.register_name(object(), pid)
    with pytest.raises(UsageError, match="no pid"):
        names.register_name("stock", "me")
    for method in (A.kill, lambda name: None, 7, ExternalFun(A["global"], A.random_exit_name, 2)):
        with pytest.raises(UsageError, match="a name and two pids"):
            names.register_name("stock", pid, method)
    for lock in (A.stock, [1, 2], (1, 2, 3)):
        with pytest.raises(UsageError, match="pair"):
            names.set_lock(lock)
        with pytest.raises(UsageError, match="pair"):
            names.del_lock(lock)
    for retries in (-1, 0.5, True):
        with pytest.raises(UsageError, match="retries"):
            names.set_lock((1, 2), retries=retries)
    assert names.registered_names() == []


def test_a_lock_is_its_requesters_until_the_last_process_that_set_it_is_gone() -> None:
    with Node("one@127.0.0.1", cookie="secret", epmd="none", hidden=False) as node:
        names, lock = node.global_, (A.printer, 1)
        assert names.set_lock(lock) is True
        assert names.set_lock((A.printer, 2), retries=0) is False
        assert names.set_lock((A.printer, 1.0), retries=0) is False  # another requester, as terms go
        assert names.set_lock((A.scanner, 2), retries=0) is True
        assert names.set_lock((A.printer, 2), nodes=[]) is True  # at no node
        shares = node.spawn(lambda: (names.set_lock(lock), receive()))
        locks = node.system.global_names.server.core.locks
        wait_for(lambda: sorted(len(holders) for _, holders in locks.values()) == [1, 2])
        assert names.del_lock(lock) is True
        assert names.trans((A.printer, 2), lambda: A.never, retries=0) is A.aborted
        node.exit(shares, A.kill)
        assert names.trans((A.printer, 2), lambda: names.set_lock(lock, retries=0)) is False
        assert names.del_lock((A.scanner, 2)) is True
        assert names.del_lock((A.scanner, 2)) is True
        assert locks == {}


def test_a_transaction_that_fails_or_is_killed_leaves_no_lock() -> None:
    with Node("one@127.0.0.1", cookie="secret", epmd="none", hidden=False) as node:
        names, locks = node.global_, node.system.global_names.server.core.locks
        with pytest.raises(ZeroDivisionError):
            names.trans((A.printer, 1), lambda: 1 // 0)
        assert locks == {}
        inside = node.spawn(lambda: names.trans((A.printer, 1), receive))
        wait_for(lambda: locks)
        node.exit(inside, A.kill)
        assert names.trans((A.printer, 2), lambda: A.done) is A.done
        assert locks == {}


def test_a_process_has_one_name_unless_the_second_is_forced_on_it() -> None:
    with two_nodes() as (one, other):
        wait_for(lambda: one.system.global_names.server.nodes and other.system.global_names.server.nodes)
        pid = one.spawn(receive)
        assert other.global_.register_name(A.first, pid) is True  # of another node
        assert one.global_.register_name(A.second, pid) is False
        assert other.global_.register_name(A.second, pid) is False
        assert one.global_.whereis_name(A.second) is None
        assert one.global_.re_register_name(A.second, pid) is True
        assert set(other.global_.registered_names()) == {A.first, A.second}
        assert other.global_.unregister_name(A.first) is None
        one.send(pid, A.end)
        for node in (one, other):
            wait_for(lambda: node.global_.registered_names() == [])  # noqa: B023  # waited for at once


def test_of_two_processes_of_one_node_the_known_one_keeps_the_name() -> None:
    """As `minmax` has it: what is not less is greater."""
    with Node("one@127.0.0.1", cookie="secret", epmd="none") as node:
        his, mine = node.spawn(receive), node.spawn(receive)
        method = node.global_.random_exit_name
        assert resolve_it(node.system, method, A.same, his, mine) == mine
        assert node.system.process(his) is None
        assert node.system.process(mine) is not None


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (ExternalFun(A["global"], A.nothing_like_it, 3), A.undef),
        (ExternalFun(A.nowhere, A.method, 3), A.undef),
        (ExternalFun(A.m, A.two, 3), A.undef),
        (ExternalFun(A.m, A.fails, 3), A.no),
        (A.method, A.badfun),
    ],
    ids=str,
)
def test_by_a_method_that_is_none_or_fails_the_other_one_keeps_the_name(method: Any, reason: Atom) -> None:
    """As `catch` gives it, and `rpc` takes it for a ``badrpc``."""
    with Node("one@127.0.0.1", cookie="secret", epmd="none") as node:
        node.export("m", lambda _name, _his, _mine: raises(Error(A.no)), name="fails")
        node.export("m", lambda _name, _his: _his, name="two")
        answer = resolve_it(node.system, method, A.same, HIS, MINE)
        assert (answer[0], answer[1][0]) == (A.EXIT, reason)
        assert winner_of(answer, HIS) == HIS


def test_a_method_may_exit_and_throw() -> None:
    with Node("one@127.0.0.1", cookie="secret", epmd="none") as node:
        node.export("m", lambda _name, _his, _mine: raises(Exit(A.no)), name="exits")
        node.export("m", lambda _name, _his, mine: raises(Throw(mine)), name="throws")
        assert resolve_it(node.system, ExternalFun(A.m, A.exits, 3), A.same, HIS, MINE) == (A.EXIT, A.no)
        thrown = resolve_it(node.system, ExternalFun(A.m, A.throws, 3), A.same, HIS, MINE)
        assert winner_of(thrown, HIS) == MINE


HIS, MINE = (Pid(A[f"{name}@127.0.0.1"], 100, 0, 1) for name in ("a", "b"))


def raises(error: BaseException) -> Any:
    raise error
