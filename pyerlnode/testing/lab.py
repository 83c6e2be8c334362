"""Two hosts and the network between them, for tests of what only a network does to a cluster.

    with two_hosts(launch.local()) as lab:
        beam = lab.beam(args=["-kernel", "net_ticktime", "4"])     # on the other host
        with lab.node(ticktime=4.0) as node:                       # on this one
            node.connect(beam.name)
            lab.cut()                                              # every packet is lost, nobody is told
            lab.mend()

Where the rights exist (root, `ip` and `nft`), the other host is a network namespace with a cable to this one, and
packets are dropped by nftables: what then happens is the kernels' own doing, retransmissions and all. Elsewhere both
are on loopback with user-space proxies between, which keep what they must not pass on; for each end that is the same: a
peer that is silent, and whose bytes come late, in order, or never. `kind` says which it is, `why_no_namespaces` why.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import socket
import subprocess
import uuid
from types import TracebackType
from typing import Any

from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import ADDRESS, Epmd
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher
from pyerlnode.testing.patience import patience
from pyerlnode.testing.proxy import BOTH, UP, Proxy
from pyerlnode.testing.reaper import REAPER

HERE, THERE = "here", "there"
"""Where packets go: to this host (the test's Python nodes), to the other one (its BEAMs)."""
HIDDEN_NODE = 72


class Lab:
    """What both kinds of lab do; made by `two_hosts`.

    Attributes:
        kind: ``namespaces`` or ``proxy``.
        here: the address of this host, in the names of its nodes; `there` that of the other one.
    """

    kind = ""

    def __init__(self, launcher: Launcher, here: str, there: str) -> None:
        self.here, self.there = here, there
        self.cookie = uuid.uuid4().hex
        self._launcher = launcher
        self._epmd = Epmd(launcher, there)
        self._beams: list[Beam] = []

    def __enter__(self) -> Lab:
        self._epmd.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the BEAMs and the name server of the other host."""
        for beam in self._beams:
            beam.stop()
        self._epmd.stop()

    @property
    def epmd(self) -> Epmd:
        """The name server of the other host."""
        return self._epmd

    def beam(self, **options: Any) -> Beam:
        """Start a BEAM on the other host; `options` are those of `Beam`."""
        name = f"beam_{uuid.uuid4().hex[:10]}@{self.there}"
        beam = Beam(self._launcher, self._epmd, **{"name": name, "cookie": self.cookie, **options})
        self._beams.append(beam)
        return beam.start()

    def node(self, **options: Any) -> Any:
        """A Python `Node` on this host that reaches the BEAMs started so far; `options` are those of `Node`."""
        raise NotImplementedError

    def cut(self, towards: str | None = None) -> None:
        """Lose every packet from now on; with `towards` only those to `HERE`, or to `THERE`."""
        raise NotImplementedError

    def mend(self) -> None:
        """Lose none any more."""
        raise NotImplementedError

    def _python_name(self) -> str:
        return f"py_{uuid.uuid4().hex[:10]}@{self.here}"


class NamespaceLab(Lab):
    """The other host is a network namespace."""

    kind = "namespaces"

    def __init__(self, launcher: Launcher) -> None:
        self._name = f"pyl{uuid.uuid4().hex[:8]}"
        net = random.SystemRandom().randrange(64 * 256) * 4
        here, there = (f"10.77.{net >> 8 & 255}.{(net & 252) + host}" for host in (1, 2))
        self._cable = f"{self._name}h", f"{self._name}t"
        inside = Launcher(
            ("ip", "netns", "exec", self._name, *launcher.prefix), launcher.path, f"{launcher.label} in a namespace"
        )
        super().__init__(inside, here, there)
        self._key = 0

    def __enter__(self) -> Lab:
        near, far = self._cable
        self._key = REAPER.add("ip", "netns", "del", self._name)
        try:
            _ip("netns", "add", self._name)
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self._name)
            _ip("addr", "add", f"{self.here}/30", "dev", near)
            _ip("-n", self._name, "addr", "add", f"{self.there}/30", "dev", far)
            for words in (("link", "set", near, "up"), ("-n", self._name, "link", "set", far, "up")):
                _ip(*words)
            _ip("-n", self._name, "link", "set", "lo", "up")
            return super().__enter__()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        # The cable first: a namespace whose programs have just ended may live on for a moment, and the cable with it.
        for words in (("link", "del", self._cable[0]), ("netns", "del", self._name)):
            subprocess.run(["ip", *words], capture_output=True, check=False)  # noqa: S603, S607 - may not be there
        REAPER.remove(self._key)

    def node(self, **options: Any) -> Any:
        from pyerlnode import Node

        settings = {"cookie": self.cookie, "epmd": "embedded", "epmd_port": self._epmd.port, **options}
        return Node(settings.pop("name", None) or self._python_name(), **settings)

    def cut(self, towards: str | None = None) -> None:
        hooks = {THERE: "input", HERE: "output"}
        rules = [
            f"chain {hook} {{ type filter hook {hook} priority 0; {hook[0]}ifname {self._cable[1]} drop; }}"
            for place, hook in hooks.items()
            if towards in (None, place)
        ]
        self._nft("table inet lab {}", "delete table inet lab", "table inet lab {", *rules, "}")

    def mend(self) -> None:
        self._nft("table inet lab {}", "delete table inet lab")

    def _nft(self, *lines: str) -> None:
        """In one transaction; a table that is declared first can be deleted whether it was there or not."""
        _run("ip", "netns", "exec", self._name, "nft", "-f", "-", text="\n".join(lines) + "\n")


class ProxyLab(Lab):
    """Both hosts are loopback; each connection, whoever opens it, goes through a proxy."""

    kind = "proxy"

    def __init__(self, launcher: Launcher) -> None:
        super().__init__(launcher, ADDRESS, ADDRESS)
        self._wires: dict[Proxy, str] = {}
        self._entries: list[socket.socket] = []
        self._lost: set[str] = set()

    def close(self) -> None:
        for entry in self._entries:
            entry.close()
        for wire in self._wires:
            wire.stop()
        super().close()

    def node(self, **options: Any) -> Any:
        from pyerlnode import Node

        name = options.pop("name", None) or self._python_name()
        port = _quiet_port()
        entrance = self._wire(port, HERE)
        self._entries.append(_announce(self._epmd.port, name.partition("@")[0], entrance.port))
        ports = self._epmd.names()
        addresses = {beam.name: self._wire(ports[beam.name.partition("@")[0]], THERE).address for beam in self._beams}
        return Node(name, **{"cookie": self.cookie, "epmd": "none", "addresses": addresses, "ports": port, **options})

    def cut(self, towards: str | None = None) -> None:
        self._lost |= {towards} if towards else {HERE, THERE}
        for wire, leads_to in self._wires.items():
            self._apply(wire, leads_to)

    def mend(self) -> None:
        self._lost.clear()
        for wire in self._wires:
            wire.release()

    @property
    def wires(self) -> tuple[Proxy, ...]:
        """The proxies between, for further faults."""
        return tuple(self._wires)

    def _wire(self, port: int, leads_to: str) -> Proxy:
        wire = Proxy((ADDRESS, port)).start()
        self._wires[wire] = leads_to
        self._apply(wire, leads_to)
        return wire

    def _apply(self, wire: Proxy, leads_to: str) -> None:
        for direction in BOTH:
            towards_target = direction == UP
            lost = leads_to if towards_target else {HERE: THERE, THERE: HERE}[leads_to]
            if lost in self._lost:
                wire.hold((direction,))


def two_hosts(launcher: Launcher, kind: str = "auto") -> Lab:
    """A lab, to be entered with `with`; `kind` is ``namespaces``, ``proxy``, or the best that this machine can.

    Raises:
        BeamUnavailable: namespaces were asked for, and can not be had.
    """
    reason = why_no_namespaces(launcher) if kind != "proxy" else ""
    if kind == "namespaces" and reason:
        raise BeamUnavailable(f"no network namespaces: {reason}")
    return ProxyLab(launcher) if kind == "proxy" or reason else NamespaceLab(launcher)


def why_no_namespaces(launcher: Launcher | None = None) -> str:
    """Why this machine can not have hosts in namespaces, in one line; empty when it can."""
    if launcher is not None and launcher.kind != "local":
        return f"the BEAM is in {launcher.kind}, outside of them"
    return _trial()


@functools.cache
def _trial() -> str:
    if missing := [name for name in ("ip", "nft") if shutil.which(name) is None]:
        return f"no `{missing[0]}` on PATH (Debian: apt install iproute2 nftables)"
    if os.geteuid() != 0:
        return "they need root"
    name = f"pyl{uuid.uuid4().hex[:8]}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}t", "netns", name)
        _run("ip", "netns", "exec", name, "nft", "-f", "-", text="table inet lab {}")
    except BeamUnavailable as error:
        return str(error)
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)  # noqa: S603, S607
    return ""


def _quiet_port() -> int:
    """A free port that the system gives to nobody by itself: those begin at 32768 on Linux, 49152 on macOS."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex((ADDRESS, port)) != 0:
                return port


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str, text: str = "") -> None:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise BeamUnavailable(f"`{' '.join(words)}` failed: {lines[0]}")


def _announce(epmd_port: int, alive: str, port: int) -> socket.socket:
    """Register `alive` at EPMD with another's port; the entry lives as long as the socket that this gives."""
    name = alive.encode()
    body = b"x" + port.to_bytes(2, "big") + bytes([HIDDEN_NODE, 0, 0, 6, 0, 5])
    body += len(name).to_bytes(2, "big") + name + b"\0\0"
    sock = socket.create_connection((ADDRESS, epmd_port), timeout=patience())
    sock.sendall(len(body).to_bytes(2, "big") + body)
    answer = sock.recv(16)
    if answer[1:2] != b"\0":
        sock.close()
        raise BeamUnavailable(f"EPMD did not take the name {alive}: {answer.hex()}")
    return sock
