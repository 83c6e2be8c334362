"""Strategies: where the nodes of a cluster are found."""

import socket
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.errors import EpmdError, UsageError
from pyerlnode.net import discovery
from pyerlnode.net.discovery import DnsPoll, EpmdHosts, HostsFile, Kubernetes, Static, from_environment


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What a name server would say."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, timeout: float) -> Any:
        assert timeout == discovery.TIMEOUT
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in known[host]]
        return [(family, (address, 0)) for family, address in zip(families, known[host], strict=True)]

    monkeypatch.setattr(discovery, "look_up", look_up)
    return known


def test_static_nodes_are_as_they_were_given() -> None:
    assert list(Static("a@x", "b@x")()) == ["a@x", "b@x"]


def test_a_name_has_a_node_for_each_address(addresses: dict[str, list[str]]) -> None:
    addresses["app.internal"] = ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::0:1"]
    assert DnsPoll("app.internal", "app")() == ["app@10.0.0.1", "app@10.0.0.2", "app@fd00::1"]
    with pytest.raises(OSError, match="not known"):
        DnsPoll("gone.internal", "app")()
    with pytest.raises(UsageError):
        DnsPoll("", "app")


def test_a_headless_service_is_a_name(addresses: dict[str, list[str]]) -> None:
    addresses["app-headless.prod.svc.cluster.local"] = ["10.0.0.1"]
    assert Kubernetes("app-headless", "app", namespace="prod")() == ["app@10.0.0.1"]


def test_the_environment_names_queries_as_releases_do(addresses: dict[str, list[str]]) -> None:
    addresses.update({"a.internal": ["10.0.0.1"], "b.internal": ["10.0.0.2"]})
    env = {"DNS_CLUSTER_QUERY": "a.internal, b.internal"}
    assert list(from_environment(env, "py@10.0.0.9")()) == ["py@10.0.0.1", "py@10.0.0.2"]
    for more in ({"RELEASE_NODE": "app@10.0.0.9"}, {"RELEASE_NODE": "app"}, {"RELEASE_NAME": "app"}):
        assert list(from_environment({**env, **more}, "py@10.0.0.9")()) == ["app@10.0.0.1", "app@10.0.0.2"]
    with pytest.raises(UsageError, match="DNS_CLUSTER_QUERY"):
        from_environment({"DNS_CLUSTER_QUERY": " , "}, "py@x")


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    strategy = HostsFile(path)
    with pytest.raises(FileNotFoundError):
        strategy()
    path.write_text("# nodes\na@x\n\n b@x # the second\n", encoding="utf-8")
    assert strategy() == ["a@x", "b@x"]
    path.write_text("c@x", encoding="utf-8")
    assert strategy() == ["c@x"]


class Epmds:
    """EPMDs of some hosts."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known

    def names(self, host: str, timeout: float) -> list[tuple[str, int]]:
        assert timeout == discovery.TIMEOUT
        if host not in self.known:
            raise EpmdError(f"no EPMD on {host}", "noport")
        return [(name, 1) for name in self.known[host]]


def test_an_epmd_tells_the_nodes_of_its_host() -> None:
    strategy = EpmdHosts("h1", "down", "h2")
    strategy.epmd = Epmds({"h1": ["app", "db"], "h2": ["app"]})  # type: ignore[assignment]  # in its place
    assert strategy() == ["app@h1", "db@h1", "app@h2"]
    strategy.name = "app"
    assert strategy() == ["app@h1", "app@h2"]
    strategy.epmd = Epmds({})  # type: ignore[assignment]
    with pytest.raises(EpmdError, match="no EPMD"):
        strategy()
