"""`doctor`: what a node would find on this machine, and what to do about what is not as it should be.

With a NODE: why it is not reached (`meeting`). One line a finding: `ok`, `note` (it works, but), or `bad` (it will
not), and below it the command that mends it. Status 1 when anything is bad. Nothing is made or changed: no cookie,
no EPMD.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import shutil
import socket
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import asdict

from pyerlnode import __version__
from pyerlnode.errors import EpmdError, PyerlnodeError
from pyerlnode.kernel import cookies
from pyerlnode.kernel import release_core as release
from pyerlnode.net import tcp
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.node import this_host
from pyerlnode.tools.meeting_core import Finding
from pyerlnode.tools.output import Output

COLOURS = {"ok": "green", "note": "yellow", "bad": "red"}


def doctor(args: argparse.Namespace) -> int:
    output = Output(json_=args.json)
    findings = list(_find(args))
    for found in findings:
        output.line(f"{output.paint(f'{found.state:4}', COLOURS[found.state])} {found.what}: {found.text}")
        if found.mend:
            output.line(f"       {found.mend}")
    bad = any(found.state == "bad" for found in findings)
    output.document(ok=not bad, findings=[asdict(found) for found in findings])
    return 1 if bad else 0


def _find(args: argparse.Namespace) -> Iterator[Finding]:
    if args.node is None:
        return (finding for check in CHECKS for finding in check())
    from pyerlnode.tools.meeting import meeting

    return meeting(args)


def python() -> Iterator[Finding]:
    import gevent

    text = f"{platform.python_version()}, gevent {gevent.__version__}, pyerlnode {__version__}"
    yield Finding("python", "ok", text)


def codec() -> Iterator[Finding]:
    from pyerlnode.etf import IMPLEMENTATION

    if IMPLEMENTATION == "c":
        yield Finding("codec", "ok", "compiled")
    elif os.environ.get("PYERLNODE_PUREPYTHON") == "1":
        yield Finding("codec", "note", "pure Python, as PYERLNODE_PUREPYTHON=1 says: 13 to 19 times slower")
    else:
        yield Finding("codec", "note", f"pure Python, 13 to 19 times slower: {_how_to_compile()}")


def _how_to_compile() -> str:
    missing = []
    if shutil.which("cc") is None:
        missing.append("a C compiler (Debian: apt-get install gcc)")
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        missing.append("Python.h (Debian: apt-get install python3-dev)")
    again = "PYERLNODE_REQUIRE_C=1 pip install --force-reinstall --no-deps --no-cache-dir pyerlnode"
    return f"{'get ' + ' and '.join(missing) + ', then ' if missing else ''}run {again}"


def cookie() -> Iterator[Finding]:
    env = os.environ
    named = [name for name in (cookies.COOKIE, cookies.FILE, cookies.RELEASE) if env.get(name)]
    files = [path for path in cookies.default_files(env) if os.path.exists(path)]
    if not named and not files:
        yield Finding("cookie", "note", f"none yet: the first node makes one in {cookies.default_files(env)[0]}")
        return
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    cookies.log.addHandler(handler)
    level, cookies.log.propagate = cookies.log.level, False
    cookies.log.setLevel(logging.WARNING)
    try:
        cookies.find_cookie()
    except PyerlnodeError as error:
        yield Finding("cookie", "bad", str(error))
    else:
        yield Finding("cookie", "note" if heard else "ok", heard[0] if heard else f"from {(named or files)[0]}")
    finally:
        cookies.log.removeHandler(handler)
        cookies.log.setLevel(level)
        cookies.log.propagate = True


def names() -> Iterator[Finding]:
    try:
        own = release.release_node(os.environ, this_host)
    except PyerlnodeError as error:
        yield Finding("name", "bad", str(error))
        return
    if own is not None:
        yield Finding("name", "ok", f"{own}, from $RELEASE_NODE")
    short, full = this_host(False), this_host(True)
    long = full if "." in full else "none that has a dot: give a host of your own, app@host.domain or app@10.0.0.7"
    yield Finding("host", "ok" if "." in full else "note", f"short names app@{short}; long names: {long}")
    families = sorted("IPv6" if family == socket.AF_INET6 else "IPv4" for family in tcp.families(full))
    text = f"{full} is {' and '.join(families)}" if families else f"{full} is not known: names of it can not be dialled"
    yield Finding("addresses", "ok" if families else "note", text)


def epmd() -> Iterator[Finding]:
    try:
        asked = Epmd()
        if asked.is_running():
            names = ", ".join(name for name, _ in asked.names()) or "nobody"
            yield Finding("epmd", "ok", f"runs on port {asked.port}; registered: {names}")
        elif shutil.which("epmd"):
            yield Finding("epmd", "ok", f"none on port {asked.port}; the first node starts {shutil.which('epmd')}")
        else:
            yield Finding("epmd", "ok", f"none on port {asked.port}; the first node serves it itself")
    except (EpmdError, PyerlnodeError) as error:
        yield Finding("epmd", "bad", str(error))


def beam() -> Iterator[Finding]:
    found = [path for path in map(shutil.which, ("erl", "elixir")) if path]
    yield Finding("beam", "ok", ", ".join(found) or "no erl and elixir here; a node needs none")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (python, codec, cookie, names, epmd, beam)
