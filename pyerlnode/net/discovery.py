"""Where the nodes of a cluster are found, for `node.follow`: as libcluster's strategies and dns_cluster do it.

    Static("app@10.0.0.1", "app@10.0.0.2")          these
    EpmdHosts("10.0.0.1", "10.0.0.2", name="app")   what the EPMD of each host has; all names, unless one is given
    DnsPoll("app.internal", name="app")             app@ADDRESS for each A and AAAA record
    Kubernetes("app-headless", "app", namespace="prod")   the same for a headless service
    HostsFile("/etc/cluster.hosts")                 a name a line, with # for comments; read anew each time

A strategy is a callable without arguments that gives names of nodes; so is any function of a program. It is called in
the node's hub, again and again, and may wait as greenlets do. What it raises is told and tried again later; the nodes
that are known stay. A name that is there once and not the next time is no loss: it is let go when its node is not
connected for long (`kernel.follow`).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pyerlnode.errors import EpmdError, UsageError
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.net.resolving import look_up

Strategy = Callable[[], Iterable[str]]

TIMEOUT = 5.0
"""Seconds for one question to an EPMD or a name server."""


class Static:
    """Nodes that are known beforehand."""

    def __init__(self, *names: str) -> None:
        self.names = [str(name) for name in names]

    def __call__(self) -> list[str]:
        return self.names


class EpmdHosts:
    """The nodes that are registered at the EPMD of each host.

    Args:
        hosts: names or addresses, as they stand behind the @ of the nodes' names.
        name: only the nodes of this name before the @; all, unless given.
        port: of EPMD; ERL_EPMD_PORT or 4369.
    """

    def __init__(self, *hosts: str, name: str | None = None, port: int | None = None) -> None:
        self.hosts = hosts
        self.name = name
        self.epmd = Epmd(port)

    def __call__(self) -> list[str]:
        found: list[str] = []
        failed: EpmdError | None = None
        for host in self.hosts:
            try:
                names = [name for name, _ in self.epmd.names(host, TIMEOUT)]
            except EpmdError as error:  # the others may answer
                failed = error
                continue
            found += [f"{name}@{host}" for name in names if self.name in (None, name)]
        if failed is not None and not found:
            raise failed
        return found


class DnsPoll:
    """A node for each address of a name: ``name@ADDRESS``.

    Args:
        query: what is looked up.
        name: what the nodes are called before the @.
    """

    def __init__(self, query: str, name: str) -> None:
        if not query or not name:
            raise UsageError("DnsPoll takes what is looked up, and how the nodes are called before the @")
        self.query = query
        self.name = name

    def __call__(self) -> list[str]:
        addresses = {str(ipaddress.ip_address(address[0])) for _, address in look_up(self.query, TIMEOUT)}
        return [f"{self.name}@{address}" for address in sorted(addresses)]


class Kubernetes(DnsPoll):
    """The pods behind a headless service, by the cluster's DNS.

    Args:
        service: the headless service.
        name: what the nodes are called before the @.
        namespace: of the service.
        domain: of the cluster.
    """

    def __init__(self, service: str, name: str, *, namespace: str = "default", domain: str = "cluster.local") -> None:
        super().__init__(f"{service}.{namespace}.svc.{domain}", name)


class HostsFile:
    """The names in a file, a line each."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __call__(self) -> list[str]:
        lines = (line.split("#")[0].strip() for line in self.path.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line]


def from_environment(env: Mapping[str, str], own_name: str) -> Strategy:
    """``DNS_CLUSTER_QUERY``, as Phoenix's releases have it: one query or more, separated by commas.

    The nodes are called before the @ as ``RELEASE_NODE`` says, or ``RELEASE_NAME``, or else as this one is.

    Raises:
        UsageError: the variable is not set.
    """
    queries = [query.strip() for query in env.get("DNS_CLUSTER_QUERY", "").split(",") if query.strip()]
    if not queries:
        raise UsageError("say what to follow: the environment has no DNS_CLUSTER_QUERY")
    given = env.get("RELEASE_NODE", "") or env.get("RELEASE_NAME", "") or own_name
    polls = [DnsPoll(query, given.split("@")[0]) for query in queries]
    return lambda: [name for poll in polls for name in poll()]


__all__ = ["DnsPoll", "EpmdHosts", "HostsFile", "Kubernetes", "Static", "Strategy", "from_environment"]
