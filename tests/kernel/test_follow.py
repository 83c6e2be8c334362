"""Following a cluster: who is found, how long he is wanted, and the bound."""

from typing import Any

import gevent
import pytest

from pyerlnode.errors import EpmdError, UsageError
from pyerlnode.kernel import follow
from pyerlnode.kernel.follow import Following
from pyerlnode.kernel.follow_core import Wanted
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.testing.waiting import wait_for

ONE, TWO, THREE = A["one@sim"], A["two@sim"], A["three@sim"]


def test_nodes_are_wanted_until_nobody_has_them_for_long() -> None:
    wanted = Wanted(10, 60.0)
    assert wanted.found([ONE, TWO, ONE], 0.0) == [ONE, TWO]
    assert wanted.found([ONE, THREE], 50.0) == [THREE]
    assert wanted.gone([], 60.0) == []
    assert wanted.gone([], 61.0) == [TWO]
    assert wanted.gone([ONE], 200.0) == [THREE]
    assert wanted.gone([], 260.0) == []
    assert wanted.gone([], 261.0) == [ONE]
    assert wanted.found([ONE], 300.0) == [ONE]


def test_no_more_are_wanted_than_the_limit() -> None:
    wanted = Wanted(2, 60.0)
    assert wanted.found([ONE, TWO, THREE, THREE], 0.0) == [ONE, TWO]
    assert wanted.left_out == 1
    assert wanted.found([ONE], 50.0) == []
    assert (wanted.left_out, wanted.gone([], 61.0), wanted.found([THREE], 61.0)) == (0, [TWO], [THREE])


class Kernel:
    """What `follow` needs of a `NetKernel`."""

    def __init__(self) -> None:
        self.system = System("py@127.0.0.1", 1)
        self.up: list[Any] = []
        self.watcher: Any = None
        self.kept: list[Any] = []
        self.told: list[Any] = []
        self.keeper = self.telemetry = self

    def nodes(self) -> list[Any]:
        return self.up

    def monitor_nodes(self, process: Any, flag: bool) -> None:
        assert flag
        self.watcher = process

    def keeps(self, node: Any) -> bool:
        return node in self.kept

    def keep(self, node: Any) -> None:
        self.kept.append(node)

    def let_go(self, node: Any) -> None:
        self.kept.remove(node)

    def emit(self, event: str, measurements: Any, **metadata: Any) -> None:
        self.told.append((event, metadata))

    def comes(self, node: Any) -> None:
        self.up.append(node)
        self.watcher.deliver((A.nodeup, node))


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def followed(kernel: Any, strategy: Any, **options: Any) -> Following:
    return Following(kernel, strategy, **options)


def test_what_a_connected_node_knows_is_followed_too(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def call(system: Any, node: Any, *call: Any) -> Any:
        asked.append((node, *call[:2]))
        return [TWO, kernel.system.node, 7, b"x", A["no name"]]

    monkeypatch.setattr(follow.erpc, "call", call)
    following = followed(kernel, lambda: [ONE.name, "py@127.0.0.1", "no name"])
    wait_for(lambda: kernel.kept == [ONE])
    assert asked == []
    kernel.comes(ONE)
    wait_for(lambda: kernel.kept == [ONE, TWO])
    assert asked == [(ONE, "erlang", "nodes")]
    assert following.nodes() == ["one@sim", "two@sim"]
    assert kernel.told == [("follow.found", {"peer": "one@sim"}), ("follow.found", {"peer": "two@sim"})]
    following.stop()
    assert kernel.kept == []


def test_what_a_program_keeps_itself_is_not_let_go(kernel: Kernel) -> None:
    kernel.kept.append(ONE)
    following = followed(kernel, lambda: [ONE.name, TWO.name])
    wait_for(lambda: kernel.kept == [ONE, TWO])
    following.stop()
    assert kernel.kept == [ONE]


@pytest.mark.parametrize(
    ("error", "says"), [(EpmdError("no EPMD", "noport"), "could not be found"), (KeyError("x"), "strategy of a follow")]
)
def test_a_strategy_that_fails_is_asked_again(
    kernel: Kernel, caplog: pytest.LogCaptureFixture, error: Any, says: str
) -> None:
    answers = [error, error, None]

    def strategy() -> list[str]:
        found = answers.pop(0) if answers else None
        if found is not None:
            raise found
        return [ONE.name]

    with caplog.at_level("WARNING", "pyerlnode.follow"):
        following = followed(kernel, strategy, every=0.01)
        wait_for(lambda: kernel.kept == [ONE])
    assert says in caplog.text
    following.stop()


def test_who_is_gone_for_long_is_let_go_and_found_again(kernel: Kernel) -> None:
    names = [ONE.name]
    following = followed(kernel, lambda: names, every=0.01, forget=0.0)
    wait_for(lambda: kernel.kept == [ONE])
    names.clear()
    wait_for(lambda: kernel.kept == [])
    assert following.nodes() == []
    names.append(TWO.name)
    wait_for(lambda: kernel.kept == [TWO])
    following.stop()
    gevent.idle()


def test_too_many_are_said_once(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    looks = []

    def strategy() -> list[str]:
        looks.append(1)
        return [ONE.name, TWO.name, THREE.name]

    with caplog.at_level("WARNING", "pyerlnode.follow"):
        following = followed(kernel, strategy, every=0.01, limit=2)
        wait_for(lambda: len(looks) > 3)
    following.stop()
    assert [record.getMessage() for record in caplog.records] == ["1 nodes are not followed: the limit is 2"]


def test_a_node_says_what_it_can_follow() -> None:
    from pyerlnode import Node

    with Node(cookie="secret") as node:
        with pytest.raises(UsageError, match="not int"):
            node.follow(7)  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(UsageError, match="DNS_CLUSTER_QUERY"):
            node.follow()
