"""`doctor NODE`: the way of a connection, step by step, to the first one that fails.

Nothing is registered anywhere. Each step has the time-out of the command. A cookie that is refused leaves a line in the
log of NODE; where it is, those of the other sources of this machine are tried, too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pyerlnode.dist.epmd import DEFAULT_PORT
from pyerlnode.dist.flags import HIDDEN_FLAGS
from pyerlnode.dist.handshake import OwnIdentity, PeerInfo
from pyerlnode.dist.node_name import NodeName, parse, parse_peer
from pyerlnode.errors import BadName, ConnectError, CookieError, EpmdError, PyerlnodeError
from pyerlnode.facade import own_name, whole
from pyerlnode.kernel import cookies
from pyerlnode.net import connector, tcp
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.term.atom import A, Atom
from pyerlnode.tools import meeting_core as core
from pyerlnode.tools.meeting_core import Again, Finding
from pyerlnode.tools.remote import connected

if TYPE_CHECKING:
    from pyerlnode.net.tls_options import Side

ASKED = 20
"""EPMDs of this machine, and names of one, that are looked at."""
SHORT = 1.0
"""Seconds for a question to an EPMD of this machine."""


class Stop(Exception):
    """A step failed, so none after it can be taken; its argument is the finding."""


@dataclass(slots=True)
class Way:
    """What was given, and what the steps have found so far."""

    args: argparse.Namespace
    node: NodeName
    own: NodeName
    again: Again
    epmd: Epmd
    tls: Side | None

    @property
    def timeout(self) -> float:
        seconds: float = self.args.timeout
        return seconds


def meeting(args: argparse.Namespace) -> Iterator[Finding]:
    """The steps on the way to `args.node`."""
    try:
        way = _begin(args)
        yield Finding(
            "node", "ok", f"{way.node} is a {'long' if way.node.is_long else 'short'} name, asked by {way.own}"
        )
        yield Finding("host", "ok", f"{way.node.host} is known here")
        port = args.peer_port
        if port is None:
            port = _registered(way)
            yield Finding("epmd", "ok", f"{way.node.host}:{way.epmd.port} has {way.node.alive} on port {port}")
        yield _port(way, port)
        cookie = _cookie(args)
        peer = _shake(way, port, cookie)
        yield Finding("handshake", "ok", f"{'TLS, ' if way.tls is not None else ''}name, flags and cookie agree")
    except Stop as stop:
        yield stop.args[0]
        return
    yield core.hidden(peer.hidden, way.node)
    yield from _told(way)


def _begin(args: argparse.Namespace) -> Way:
    again = Again(args.node, _options(args))
    try:
        node = parse_peer(whole(args.node))
        if not tcp.families(node.host, args.timeout):
            raise Stop(core.unknown_host(node, f"{node.host} is not known here, neither by DNS nor by /etc/hosts"))
        own = parse(args.name or own_name(str(node)) or "")
    except BadName as error:
        raise Stop(Finding("node", "bad", str(error), again.but(node=f"{args.node.partition('@')[0]}@HOST"))) from None
    except PyerlnodeError as error:
        raise Stop(Finding("node", "bad", str(error))) from None
    args.node = str(node)
    again = Again(str(node), again.options)
    if own.is_long != node.is_long:
        raise Stop(core.other_kind(own, node, again))
    way = Way(args, node, own, again, Epmd(args.epmd_port), _tls(args, again))
    if args.name:
        with suppress(EpmdError):
            if way.epmd.lookup(way.epmd.address, own.alive, way.timeout) is not None:
                raise Stop(core.taken(own, way.epmd.port, again))
    return way


def _options(args: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    names = ("cookie_file", "name", "epmd_port", "peer_port", "tls_optfile")
    given = ((f"--{name.replace('_', '-')}", getattr(args, name)) for name in names)
    return tuple((flag, str(value)) for flag, value in given if value is not None)


def _tls(args: argparse.Namespace, again: Again) -> Side | None:
    file = args.tls_optfile or os.environ.get("PYERLNODE_TLS_OPTFILE", "").strip()
    if not file:
        return None
    from pyerlnode.net.tls_options import Tls

    try:
        return Tls.load(file).client
    except PyerlnodeError as error:
        raise Stop(Finding("tls", "bad", str(error), again.but(tls_optfile="SSL_DIST_OPTFILE"))) from None


def _cookie(args: argparse.Namespace) -> str:
    try:
        if args.cookie is None and args.cookie_file is None and not _sources():
            return ""  # none is made: an empty one is refused as any other is
        return cookies.find_cookie(args.cookie, args.cookie_file)
    except CookieError as error:
        raise Stop(Finding("cookie", "bad", str(error))) from None


# --- EPMD ------------------------------------------------------------------------------------------
def _registered(way: Way) -> int:
    """The port that EPMD has for the node."""
    node, epmd = way.node, way.epmd
    try:
        entry = epmd.lookup(node.host, node.alive, way.timeout)
        if entry is not None:
            return entry.port
        names = [name for name, _ in epmd.names(node.host, way.timeout)]
    except EpmdError as error:
        raise Stop(_no_answer(way, error)) from None
    raise Stop(core.not_registered(node, epmd.port, names, _elsewhere(way), way.again))


def _no_answer(way: Way, error: EpmdError) -> Finding:
    cause, port = error.__cause__, way.epmd.port
    if isinstance(cause, ConnectError) and cause.reason == "refused":
        return core.no_epmd(way.node, port, _elsewhere(way), way.again)
    if isinstance(cause, TimeoutError) or (isinstance(cause, ConnectError) and cause.reason == "timeout"):
        return core.filtered("epmd", way.node.host, port)
    return core.no_epmd_there(way.node, port, str(error))


def _elsewhere(way: Way) -> list[int]:
    """Ports, other than the one that was asked, where an EPMD at the node's host knows it."""
    found = []
    for port in sorted(_epmd_ports() - {way.epmd.port})[:ASKED]:
        with suppress(EpmdError):
            if Epmd(port).lookup(way.node.host, way.node.alive, SHORT) is not None:
                found.append(port)
    return found


def _epmd_ports() -> set[int]:
    """The usual one, and those that programs of this machine name: ``epmd -port N``, ``ERL_EPMD_PORT=N``."""
    found = {DEFAULT_PORT}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended, or not ours to look at
            if (process / "comm").read_text().strip() not in ("epmd", "beam.smp"):
                continue
            words = (process / "cmdline").read_bytes().split(b"\0")
            pairs = pairwise(words)
            found |= {int(after) for word, after in pairs if word == b"-port" and after.isdigit()}
            named = (process / "environ").read_bytes().split(b"\0")
            values = (one.partition(b"=")[2] for one in named if one.startswith(b"ERL_EPMD_PORT="))
            found |= {int(value) for value in values if value.isdigit()}
    return {port for port in found if 0 < port < 65_536}


# --- the node itself -------------------------------------------------------------------------------
def _port(way: Way, port: int) -> Finding:
    node = way.node
    try:
        tcp.dial(node.host, port, way.timeout, node=str(node)).close()
    except ConnectError as error:
        if error.reason == "timeout":
            raise Stop(core.filtered("port", node.host, port)) from None
        if error.reason == "refused":
            raise Stop(core.nobody_listens(node, port, way.args.peer_port is None, way.again)) from None
        raise Stop(Finding("port", "bad", str(error), f"ping {node.host}")) from None
    return Finding("port", "ok", f"{node.host}:{port} takes connections")


def _shake(way: Way, port: int, cookie: str) -> PeerInfo:
    try:
        return _try(way, port, cookie, way.tls)
    except ConnectError as error:
        raise Stop(core.refused(way.node, way.own, error, way.again, _works(way, port, cookie, error.reason))) from None


def _try(way: Way, port: int, cookie: str, tls: Side | None) -> PeerInfo:
    own = OwnIdentity(str(way.own), 1, HIDDEN_FLAGS)
    sock, peer, _ = connector.connect(
        str(way.node),
        own=own,
        cookie=cookie,
        epmd=(way.node.host, port),
        setup_time=way.timeout,
        total_time=way.timeout,
        still_wanted=lambda: False,
        tls=tls,
    )
    sock.close()
    return peer


def _works(way: Way, port: int, cookie: str, reason: str) -> str:
    """What would have worked: the source of another cookie, or ``plain``."""
    if reason == "bad_cookie":
        for source, other in _sources():
            if other != cookie:
                with suppress(ConnectError):
                    _try(way, port, other, way.tls)
                    return source
    if reason in ("tls", "timeout") and way.tls is not None:
        try:
            _try(way, port, cookie, None)
        except ConnectError as error:
            return "plain" if error.reason == "bad_cookie" else ""
        return "plain"
    return ""


def _sources() -> list[tuple[str, str]]:
    """The cookies of this machine, with the variable or the file that each is from; those that can be read."""
    env = os.environ
    found = [(name, env[name]) for name in (cookies.COOKIE, cookies.RELEASE) if env.get(name)]
    files = [env[cookies.FILE]] if env.get(cookies.FILE) else []
    for path in (*files, *cookies.default_files(env)):
        with suppress(CookieError):
            found.append((path, cookies.read(path)))
    return found


def _told(way: Way) -> Iterator[Finding]:
    """What only the node itself can tell."""
    try:
        with connected(way.args) as link:
            ask = ("application", "get_env", [A.kernel, A.dist_auto_connect, A.undefined])
            setting = link.rpc(way.args.node, *ask, way.timeout)
            began, at = time.monotonic(), time.time()
            theirs = link.rpc(way.args.node, "erlang", "system_time", [A.microsecond], way.timeout)
            took = time.monotonic() - began
    except PyerlnodeError as error:
        yield Finding("answers", "note", f"{way.node} is connected and does not answer calls: {error}")
        return
    found = core.dials(setting.name if isinstance(setting, Atom) else str(setting), str(way.node))
    if found is not None:
        yield found
    yield core.clock(theirs / 1e6 - at - took / 2, took / 2, way.tls is not None)
