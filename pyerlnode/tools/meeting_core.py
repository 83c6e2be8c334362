"""Why nodes do not meet: what each reason is called, what it means, and the command that mends it.

`doctor NODE` walks the way of a connection (name, host, EPMD, port, TLS, handshake) and stops at the first step that
fails. The walking is in `meeting`; here are the findings.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pyerlnode.dist.node_name import NodeName
from pyerlnode.errors import AnotherNode, ConnectError, FlagsMissing

COOKIE = "PYERLNODE_COOKIE"
State = Literal["ok", "note", "bad"]
SKEW = 1.0
"""Seconds between two clocks from which on they are told to differ."""
FAR = 60.0
"""Seconds from which on certificates and tokens that are fresh here may be of the future there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` is the command that mends it, or starts to; empty where nothing is to be done."""

    what: str
    state: State
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Again:
    """The options that `doctor` was given, to show the command with one of them changed."""

    node: str
    options: tuple[tuple[str, str], ...]

    def but(self, **changed: str) -> str:
        """The command with these options changed (``epmd_port="4370"``), or left out (empty)."""
        node = changed.pop("node", self.node)
        options = {**dict(self.options), **{f"--{name.replace('_', '-')}": value for name, value in changed.items()}}
        words = [word for name, value in options.items() if value for word in (name, shlex.quote(value))]
        return " ".join(["pyerlnode ping", shlex.quote(node), *words])


def start(node: NodeName) -> str:
    """How a BEAM of that name is started."""
    return f"erl {'-name' if node.is_long else '-sname'} {shlex.quote(str(node))}"


def unknown_host(node: NodeName, why: str) -> Finding:
    return Finding("host", "bad", why, f"echo 'ADDRESS {node.host}' | sudo tee -a /etc/hosts")


def other_kind(own: NodeName, node: NodeName, again: Again) -> Finding:
    kinds = ("short (erl -sname)", "long (erl -name)")
    two = f"{node} has a {kinds[node.is_long]} name and ours, {own}, is {kinds[own.is_long]}"
    text = f"{two}: nodes of the two kinds never meet"
    return Finding("own name", "bad", text, again.but(name=""))


def taken(own: NodeName, port: int, again: Again) -> Finding:
    text = f"{own.alive} is registered at this machine's EPMD, port {port}: another node runs under our name"
    return Finding("own name", "bad", text, again.but(name=""))


def no_epmd(node: NodeName, port: int, others: Sequence[int], again: Again) -> Finding:
    """Nobody answers at EPMD's port; `others` are ports of this machine where an EPMD knows the node."""
    text = f"none at {node.host}:{port} (connection refused)"
    if others:
        text += f", but the one on port {others[0]} knows {node.alive}"
        return Finding("epmd", "bad", text, again.but(epmd_port=str(others[0])))
    text += ": the node does not run, runs with another ERL_EPMD_PORT, or EPMD was ended after the node began"
    mend = "epmd -daemon" if port == 4369 else f"epmd -daemon -port {port}"
    return Finding("epmd", "bad", f"{text}; on {node.host}, and a node registers again", mend)


def filtered(what: str, host: str, port: int) -> Finding:
    text = f"{host}:{port} gives no answer at all: a firewall drops what is sent, or the host is down"
    mend = f"sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT"
    if what == "port":
        fixed = f"-kernel inet_dist_listen_min {port} inet_dist_listen_max {port}"
        text += f"; the port is another after each start unless the node has {fixed}"
    return Finding(what, "bad", f"{text}; on {host}:", mend)


def no_epmd_there(node: NodeName, port: int, why: str) -> Finding:
    return Finding("epmd", "bad", f"{why}; who has the port, on {node.host}:", f"ss -ltnp 'sport = :{port}'")


def not_registered(node: NodeName, port: int, names: Sequence[str], others: Sequence[int], again: Again) -> Finding:
    there = ", ".join(names[:20]) or "nobody"
    text = f"{node.alive} is not registered at {node.host}:{port} (there: {there})"
    if others:
        text += f", but at this machine's port {others[0]}"
        return Finding("epmd", "bad", text, again.but(epmd_port=str(others[0])))
    similar = [name for name in names if name.lower() == node.alive.lower()]
    if similar:
        return Finding("epmd", "bad", f"{text}: names have capitals", again.but(node=f"{similar[0]}@{node.host}"))
    text += ": it does not run, has -dist_listen false, or listens where EPMD is not asked (--peer-port)"
    return Finding("epmd", "bad", text, start(node))


def nobody_listens(node: NodeName, port: int, registered: bool, again: Again) -> Finding:
    text = f"nothing listens at {node.host}:{port}"
    if not registered:
        return Finding("port", "bad", f"{text}: another --peer-port?", again.but(peer_port=""))
    text += (
        f", though EPMD has it for {node.alive}: it listens at another address (-kernel inet_dist_use_interface), or is"
    )
    return Finding("port", "bad", f"{text} dead and EPMD does not know; on {node.host}:", f"ss -ltnp 'sport = :{port}'")


def refused(node: NodeName, own: NodeName, error: ConnectError, again: Again, works: str) -> Finding:
    """The handshake failed. `works` is the source of a cookie that the node takes, or ``plain`` for one without TLS."""
    text, cause = str(error), error.__cause__
    if isinstance(cause, AnotherNode):
        told = (
            f"the node at that address calls itself {cause.found}: the whole name has to be the same, also behind the @"
        )
        return Finding("name", "bad", told, again.but(node=cause.found, name=""))
    if isinstance(cause, FlagsMissing):
        return Finding("flags", "bad", text, "apt-get install -t stable erlang-base  # OTP 25 or later")
    match error.reason:
        case "tls" | "timeout" if works == "plain":  # a BEAM without TLS lets its whole set-up time go by
            mend = again.but(tls_optfile="")
            return Finding("tls", "bad", f"we speak TLS and {node} does not: leave --tls-optfile out, or {text}", mend)
        case "tls" if dict(again.options).get("--tls-optfile"):
            file = dict(again.options)["--tls-optfile"]
            return Finding("tls", "bad", text, f"openssl x509 -noout -dates -subject -issuer -in CERTFILE  # of {file}")
        case "tls":
            return Finding("tls", "bad", f"{node} speaks TLS and we do not", again.but(tls_optfile="SSL_DIST_OPTFILE"))
        case "bad_cookie":
            return _cookie(node, again, works)
        case "not_allowed":
            mend = f"net_kernel:allow(['{own}']).  % in a shell of {node}"
            return Finding("allowed", "bad", f"{text}: net_kernel:allow/1 there, or an allow=… of a Python node", mend)
        case "nok":
            told = f"{node} holds a connection to a node of the name {own} already: the name is taken, in that cluster"
            return Finding("own name", "bad", told, again.but(name=""))
        case "timeout":
            told = f"{node} accepts connections and does not answer: it is stopped (state T), or overloaded"
            return Finding("handshake", "bad", told, "ps -eo pid,stat,pcpu,args | grep [b]eam  # then kill -CONT PID")
    return Finding("handshake", "bad", text, start(node))


def _cookie(node: NodeName, again: Again, works: str) -> Finding:
    if works:
        flag = {"cookie_file": works} if works.startswith("/") else {"cookie_file": ""}
        unset = "" if works.startswith("/") or works == COOKIE else f'{COOKIE}="${works}" '
        return Finding("cookie", "bad", f"{node} has another one; it takes that of {works}", unset + again.but(**flag))
    text = f"{node} has another one than ours, and none that is found here; its file is ~/.erlang.cookie of its user"
    return Finding("cookie", "bad", text, again.but(cookie_file="FILE"))


def hidden(peer_hidden: bool, node: NodeName) -> Finding:
    if not peer_hidden:
        return Finding(
            "hidden", "ok", f"{node} is visible; we are hidden, so it has us in nodes(hidden), not in nodes()"
        )
    text = f"{node} is hidden, as we are: no nodes() shows it, global and pg do not know it, and it meshes with nobody"
    return Finding("hidden", "note", text, f"{start(node)}  # without -hidden")


def dials(setting: str, node: str) -> Finding | None:
    if setting in ("", "undefined"):
        return None
    text = f"{node} has -kernel dist_auto_connect {setting}: a message to a node makes no connection to it"
    return Finding("dials", "note", text, "net_kernel:connect_node(Node).  % there, or leave that option out")


def clock(skew: float, error: float, tls: bool) -> Finding:
    """`skew` is how many seconds their clock is before ours, which is known to `error` seconds."""
    far = max(0.0, abs(skew) - error)
    if far < SKEW:
        return Finding("clock", "ok", f"the same as ours to {max(error, abs(skew)):.2g} s")
    text = f"theirs is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    why = "certificates and tokens that are fresh here may not be valid there" if far > FAR else "logs do not compare"
    return Finding("clock", "bad" if far > FAR and tls else "note", f"{text}: {why}", "sudo timedatectl set-ntp true")
