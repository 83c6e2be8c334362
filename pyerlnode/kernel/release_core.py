"""What the environment says of names, as Elixir's releases say it: `RELEASE_NODE` and `RELEASE_DISTRIBUTION`.

    RELEASE_DISTRIBUTION   a name without a host is
    name                   app@HOST.DOMAIN, as `erl -name app` makes it
    sname, or not set      app@HOST, as `erl -sname app` does
    none                   no name: the node has one of its own, registers nowhere and listens on loopback only

A program that a BEAM has started (`erl` sets `EMU`, `BINDIR` and `ROOTDIR` for all that it starts) has the variables of
that BEAM's release; the name in them is the BEAM's own, so it is not taken here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pyerlnode.brief import short
from pyerlnode.errors import UsageError

Distribution = Literal["name", "sname", "none"]
Host = Callable[[bool], str]
"""This machine's name: with its domain (True) or without."""

OF_A_BEAM = ("EMU", "BINDIR", "ROOTDIR")


def distribution(env: Mapping[str, str]) -> Distribution | None:
    """None when the environment does not say.

    Raises:
        UsageError: it says something else.
    """
    match env.get("RELEASE_DISTRIBUTION", "").strip():
        case "":
            return None
        case "name" | "sname" | "none" as said:
            return said
        case other:
            raise UsageError(f"RELEASE_DISTRIBUTION is {short(other)}: give name, sname or none")


def started_by_a_beam(env: Mapping[str, str]) -> bool:
    return all(env.get(variable) for variable in OF_A_BEAM)


def release_node(env: Mapping[str, str], host: Host) -> str | None:
    """The name that the environment gives this node, whole; None when it gives none."""
    name = env.get("RELEASE_NODE", "").strip()
    if not name or started_by_a_beam(env) or distribution(env) == "none":
        return None
    return name if "@" in name else f"{name}@{_host(env, host)}"


def complete(name: str, env: Mapping[str, str], host: Host) -> str:
    """`name` with this machine behind it, when it has no host and the environment says which kind there is."""
    if not isinstance(name, str) or "@" in name or not name or distribution(env) in (None, "none"):
        return name
    return f"{name}@{_host(env, host)}"


def node_to_ask(env: Mapping[str, str], host: Host) -> str | None:
    """The node that a command means which names none: the one that this environment is made for."""
    name = env.get("PYERLNODE_NODE", "").strip() or env.get("RELEASE_NODE", "").strip()
    if not name or "@" in name:
        return name or None
    return f"{name}@{_host(env, host)}"


def _host(env: Mapping[str, str], host: Host) -> str:
    long = distribution(env) == "name"
    found = host(long)
    if long and "." not in found:
        raise UsageError(f"this machine, {found}, has no domain, which a long name needs: write app@host.domain")
    return found if long else found.partition(".")[0]
