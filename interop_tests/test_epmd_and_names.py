"""How a node is found: its entry at EPMD, its kind, its name, and what happens when EPMD comes and goes."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A, Node
from pyerlnode.errors import EpmdError, NameTaken, UsageError
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]


def short(name: str) -> str:
    return name.partition("@")[0]


def test_a_node_is_registered_while_it_lives(beam: Beam, python: Factory) -> None:
    node = python()
    assert beam.epmd.names()[short(node.name)] == node.port
    node.stop()
    wait_for(lambda: short(node.name) not in beam.epmd.names())


def test_erlang_sees_it_in_the_list_of_names_and_finds_its_port(beam: Beam, node: Any) -> None:
    ok, names = beam.eval("net_adm:names('127.0.0.1')")
    assert ok is A.ok
    assert (list(short(node.name).encode()), node.port) in names
    assert beam.eval("erl_epmd:port_please(Name, {127, 0, 0, 1})", Name=A[short(node.name)]) == (A.port, node.port, 6)


def test_a_node_is_hidden_by_default(beam: Beam, node: Any) -> None:
    assert node.ping(beam.name)
    assert beam.eval("{nodes(), nodes(hidden)}") == ([], [A[node.name]])
    assert node.nodes() == [beam.name]
    assert node.nodes("visible") == [beam.name]


def test_a_visible_node_is_in_nodes(beam: Beam, python: Factory) -> None:
    node = python(hidden=False)
    assert node.ping(beam.name)
    assert beam.eval("{nodes(), nodes(hidden)}") == ([A[node.name]], [])


@pytest.mark.parametrize(("hidden", "kind"), [(True, 72), (False, 77)], ids=["hidden", "visible"])
def test_epmd_has_the_kind_of_node_that_it_is(beam: Beam, python: Factory, hidden: bool, kind: int) -> None:
    alive = short(python(hidden=hidden).name).encode()
    with socket.create_connection(("127.0.0.1", beam.epmd_port), timeout=patience()) as sock:
        sock.sendall((1 + len(alive)).to_bytes(2, "big") + b"z" + alive)  # PORT_PLEASE2_REQ
        answer = sock.recv(1024)
    assert (answer[0], answer[1], answer[4]) == (ord("w"), 0, kind)


def test_a_hidden_node_does_not_mesh_the_cluster(beam: Beam, beam_factory: Factory, node: Any) -> None:
    second = beam_factory(cookie=beam.cookie)
    assert beam.eval("net_adm:ping(N)", N=second.node) is A.pong
    assert node.ping(beam.name)
    beam.eval("global:sync()")
    assert second.nodes() == [beam.name]


def test_a_name_that_is_taken_is_a_clear_error_and_the_first_node_is_not_disturbed(beam: Beam, node: Any) -> None:
    node.start(Desk, name="desk")
    with pytest.raises(NameTaken, match=short(node.name)):
        Node(node.name, cookie=beam.cookie, epmd_port=beam.epmd_port).open()
    with pytest.raises(NameTaken):
        Node(beam.name, cookie=beam.cookie, epmd_port=beam.epmd_port).open()
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1


@pytest.mark.parametrize("name", ["", "no host@", "@127.0.0.1", "a b@127.0.0.1", "a@b@c", "x" * 300 + "@127.0.0.1"])
def test_a_name_that_can_not_be_one_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Node(name, cookie="x")
    assert "\n" not in str(caught.value)


def test_epmd_that_comes_back_has_the_node_again(beam_factory: Factory, python: Factory) -> None:
    beam = beam_factory(own_epmd=True)
    node = python(cookie=beam.cookie, epmd_port=beam.epmd_port, epmd="external")
    node.start(Desk, name="desk")
    beam.eval("pong = net_adm:ping(N)", N=A[node.name])
    beam.stop_epmd()
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1
    beam.start_epmd()
    wait_for(lambda: short(node.name) in beam.epmd.names(), what="the node to register again")
    beam.eval("erlang:disconnect_node(N)", N=A[node.name])
    assert beam.eval("gen_server:call({desk, N}, {echo, 2})", N=A[node.name]) == 2


def test_a_node_without_epmd_says_so_when_it_may_not_start_one(beam: Beam) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(EpmdError, match="EPMD"):
            Node("lonely@127.0.0.1", cookie="x", epmd_port=free.getsockname()[1], epmd="external").open()


def test_a_beam_joins_a_python_node_at_the_embedded_epmd(beam_factory: Factory, python: Factory) -> None:
    beam = beam_factory(own_epmd=True)
    beam.stop_epmd()
    node = python(cookie=beam.cookie, epmd_port=beam.epmd_port, epmd="embedded")
    node.start(Desk, name="desk")
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1
    # A BEAM that registers there is found by name, too.
    beam.restart()
    assert node.ping(beam.name)


def test_short_names_work(beam_factory: Factory, python: Factory) -> None:
    host = "localhost"
    beam = beam_factory(name=f"{short(beam_name())}@{host}")
    # A root file system without /etc/hosts has OTP releases that know no localhost.
    beam.eval('inet_db:add_host({127, 0, 0, 1}, ["localhost"]), inet_db:set_lookup([file, native])')
    node = python(f"{short(beam_name())}@{host}", cookie=beam.cookie)
    node.start(Desk, name="desk")
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1
    assert node.ping(beam.name)


def beam_name() -> str:
    from pyerlnode.testing.plugin import python_name

    return python_name()


def test_nodes_and_disconnect(beam: Beam, node: Any) -> None:
    assert node.nodes() == []
    assert node.disconnect(beam.name) is False
    node.connect(beam.name)
    assert node.nodes() == [beam.name]
    assert node.disconnect(beam.name) is True
    assert node.nodes() == []
    beam.wait_until("nodes(connected) =:= []")


def test_a_node_listens_on_loopback_when_its_host_is_loopback(node: Any) -> None:
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    entries = [line.split()[1:4] for line in table]
    port = f"{node.port:04X}"
    listening = [local.partition(":")[0] for local, _, state in entries if state == "0A" and local.endswith(f":{port}")]
    assert listening == ["0100007F"]
