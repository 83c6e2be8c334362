"""What a worker is told to run, and what a factory may be and give."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyerlnode import Application, GenServer, Node, Pid, Supervise, Supervisor
from pyerlnode.errors import UsageError
from pyerlnode.otp.application import Applications
from pyerlnode.tools.run.worker import find, make


class Desk(GenServer):
    pass


class Tree(Supervisor):
    def init(self) -> Any:
        return Supervise([])


class Shop(Application):
    name = "shop"

    def start(self, type: str, args: Any) -> Any:
        return Supervisor.start_link([])


def two(node: Node) -> list[Pid]:
    return [node.start(Desk), node.start(Desk)]


@pytest.fixture
def node() -> Iterator[Node]:
    with Node(epmd="none", cookie="secret") as made:
        yield made


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nothing_here:make", "there is no module nothing_here here"),
        ("os.nothing:make", "there is no module os.nothing here"),
        ("os:nothing", "os has no nothing: give module:factory"),
        ("os:path.nothing", "has no nothing"),
        ("os:sep", "os:sep is no function and no class of a server, but str"),
    ],
)
def test_what_can_not_be_run_is_told_in_one_line(target: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(target)
    assert says in str(caught.value)


def test_a_target_may_be_an_attribute_of_something() -> None:
    import os

    assert find("os:path.join") is os.path.join


@pytest.mark.parametrize(
    ("factory", "count"),
    [(Desk, 1), (Tree, 1), (two, 2), (lambda node: None, 0), (lambda node: (node.start(Desk),), 1)],
)
def test_a_factory_gives_pids_or_is_a_server(node: Node, factory: Callable[..., Any], count: int) -> None:
    pids = make(node, "shop:make", factory)
    assert len(pids) == count
    assert all(node.process_info(pid) is not None for pid in pids)


def test_an_application_is_started(node: Node) -> None:
    assert make(node, "shop:Shop", Shop) == []
    assert [name for name, _, _ in Applications.of(node).which_applications()] == ["shop"]


@pytest.mark.parametrize("given", ["shop", 7, ["shop"], {"a": 1}])
def test_anything_else_is_refused(node: Node, given: Any) -> None:
    with pytest.raises(UsageError, match=f"shop:make gives a pid, several, or None, not {type(given).__name__}"):
        make(node, "shop:make", lambda node: given)
