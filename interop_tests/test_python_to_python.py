"""Python to Python over the same protocol, in one process and in several, with and without Erlang on the machine."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk, mailbox, next_message
from pyerlnode import A, Node
from pyerlnode.errors import NodeDown, NoProc, RemoteError
from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.plugin import python_name
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]


@pytest.fixture
def pair(python: Factory) -> tuple[Any, Any]:
    """Two nodes in this process; the second one has a `desk`."""
    here, there = python(), python()
    there.start(Desk, name="desk")
    return here, there


def test_two_nodes_in_one_process_call_each_other(pair: tuple[Any, Any]) -> None:
    here, there = pair
    assert here.ping(there.name)
    assert here.call(("desk", there.name), (A.echo, {A.a: [None]})) == {A.a: [None]}
    pid = here.start(Desk)
    assert there.call(pid, (A.echo, 1)) == 1
    assert (here.nodes(), there.nodes()) == ([there.name], [here.name])


def test_rpc_reaches_what_is_exported_and_nothing_else(pair: tuple[Any, Any]) -> None:
    here, there = pair
    there.export("m", {"twice": lambda x: x * 2})
    assert here.rpc(there.name, "m", "twice", [21]) == 42
    with pytest.raises(RemoteError) as caught:
        here.rpc(there.name, "os", "system", ["true"])
    assert caught.value.reason is A.undef


def test_links_and_monitors_hold_between_python_nodes(pair: tuple[Any, Any]) -> None:
    here, there = pair
    pid = there.whereis("desk")
    here.process_flag("trap_exit", True)
    ref = here.monitor(pid)
    here.link(pid)
    here.call(pid, (A.stop, (A.oops, 1), A.ok))
    got = {next_message(), next_message()}
    assert got == {(A.DOWN, ref, A.process, pid, (A.oops, 1)), (A.EXIT, pid, (A.oops, 1))}
    with pytest.raises(NoProc):
        here.call(pid, A.kept)
    assert mailbox() == []


def test_the_end_of_a_node_is_told(pair: tuple[Any, Any]) -> None:
    here, there = pair
    ref = here.monitor(("desk", there.name))
    assert here.ping(there.name)
    there.stop()
    *down, reason = next_message()
    assert down == [A.DOWN, ref, A.process, (A.desk, A[there.name])]
    assert reason in (A.shutdown, A.noconnection)  # its processes are shut down before its connections are closed
    with pytest.raises(NodeDown):
        here.call(("desk", there.name), A.kept)


def test_kill_9_of_a_python_peer_is_noconnection(python_peer: Factory, node: Any) -> None:
    peer = python_peer()
    ref = node.monitor(("desk", peer.name))
    assert node.call(("desk", peer.name), (A.echo, 1)) == 1
    peer.kill9()
    assert next_message() == (A.DOWN, ref, A.process, (A.desk, peer.node), A.noconnection)


@pytest.fixture
def port() -> int:
    return free_port()


def test_two_processes_meet_with_no_erlang_on_the_machine(
    python_peer: Factory, port: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No `epmd` is to be found, so the first one embeds its own and the second one finds that.
    monkeypatch.setenv("PATH", str(tmp_path))
    with Node(python_name(), cookie="only_python", epmd_port=port) as node:
        node.start(Desk, name="desk")
        peer = python_peer(cookie="only_python", epmd_port=port, env={"PATH": str(tmp_path)})
        assert node.call(("desk", peer.name), (A.echo, b"x" * 1_000_000)) == b"x" * 1_000_000
        assert peer.ping(node.name)
        peer.kill9()
        again = python_peer(peer.name, cookie="only_python", epmd_port=port, env={"PATH": str(tmp_path)})
        assert node.call(("desk", again.name), (A.echo, 2)) == 2


def test_the_other_one_takes_over_the_names_when_the_one_with_the_embedded_epmd_ends(
    python_peer: Factory, port: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options: dict[str, Any] = {"cookie": "only_python", "epmd_port": port, "env": {"PATH": str(tmp_path)}}
    first = python_peer(**options)
    with Node(python_name(), cookie="only_python", epmd_port=port) as node:
        assert node.ping(first.name)
        first.kill9()

        def found() -> bool:
            third = python_peer(**options)
            return bool(third.ping(node.name))

        wait_for(found, what="a newcomer to find the node that stayed")
