"""A BEAM that runs already: ``--beam app@host``, the cluster of a staging machine, the service of a CI.

It is reached through a Python node in a process of its own (`between`), which joins it hidden and asks it by `erpc`:
nothing of Erlang need be on this machine. The agent's module is loaded there and nothing else. Its cookie is that of
PYERLNODE_BEAM_COOKIE or of ``~/.erlang.cookie``; ``--beam-address`` says where it listens when no EPMD tells. What only
its owner may do to it (kill, suspend, restart, clean its connections) is refused.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.etf import encode
from pyerlnode.term.atom import A
from pyerlnode.testing import waiting
from pyerlnode.testing.beam import ANSWER_S, BOOT_S, COMPILED, Beam
from pyerlnode.testing.channel import Channel
from pyerlnode.testing.epmd import Epmd, is_listening
from pyerlnode.testing.errors import BeamDown, BeamTimeout, BeamUnavailable
from pyerlnode.testing.launch import Launcher
from pyerlnode.testing.patience import patience

DEFAULT_EPMD_PORT = 4369


class FoundEpmd(Epmd):
    """The EPMD that the node is registered at: it is not ours to start or stop."""

    def __init__(self, name: str) -> None:
        super().__init__(Launcher(), name.partition("@")[2])
        self.port = int(os.environ.get("ERL_EPMD_PORT", DEFAULT_EPMD_PORT))

    def start(self) -> FoundEpmd:
        return self

    def stop(self) -> None:
        pass

    def running(self) -> bool:
        return is_listening(self.port, self.address)


class AttachedBeam(Beam):
    """`name` is the node that tests talk to; `listens_at` is where, None when EPMD knows."""

    def __init__(self, name: str, address: tuple[str, int] | None = None) -> None:
        super().__init__(Launcher(label="a node that runs already"), FoundEpmd(name), name=name, cookie=_cookie())
        self.listens_at = address

    def boot(self) -> AttachedBeam:
        """Start the process between."""
        if self.running():
            return self
        self._close()
        self._loaded.clear()
        self._boots = True
        below, above = os.pipe(), os.pipe()
        self._program = Launcher(label="the process between").start(
            [sys.executable, "-m", "pyerlnode.testing.between", str(above[1])],
            {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=below[0], stdout=subprocess.DEVNULL, stderr=self._output, pass_fds=(above[1],),
        )  # fmt: skip
        waiting.close(below[0])
        waiting.close(above[1])
        self._channel = Channel(above[0], below[1])
        return self

    def ready(self) -> AttachedBeam:
        """Join the node and load the agent there.

        Raises:
            BeamUnavailable: it can not be reached.
        """
        if not self._boots:
            return self
        assert self._channel is not None
        self._boots = False
        try:
            self._channel.hello(patience(BOOT_S))
            told = self.name, beside(self.name), self.cookie, self.epmd.port, self.listens_at, COMPILED.read_bytes()
            self._channel.send(encode(told), patience(BOOT_S))
            facts = self._channel.request(A.facts, patience(BOOT_S))
        except (BeamDown, BeamTimeout):
            why = self._last_lines().rpartition("\n")[2]
            self.stop()
            raise BeamUnavailable(f"{self.name} can not be reached: is it running, with this cookie? {why}") from None
        self.otp, self.elixir_version = facts[A.otp], facts[A.elixir].decode()
        return self

    def start(self) -> AttachedBeam:
        return self.boot().ready()

    def clean(self) -> int:
        """Kill what tests have spawned there; its connections are its own."""
        return int(self._request(A.clean_own, ANSWER_S))

    def foreign(self) -> list[str]:
        """None: it has neighbours of its own, and nobody can tell whose a process there is."""
        return []

    def _refuse(self, *_: Any) -> Any:
        raise UsageError(f"{self.name} was there before this test and stays: start one of your own with beam_factory")

    kill9 = restart = suspend = resume = start_epmd = stop_epmd = keep = _refuse

    def block_dist(self, peer: str) -> None:
        self._refuse(peer)

    unblock_dist = block_dist


def beside(name: str) -> str:
    """A name of its own on the host of `name`."""
    return f"beam_{uuid.uuid4().hex[:10]}@{name.partition('@')[2]}"


def _cookie() -> str:
    if given := os.environ.get("PYERLNODE_BEAM_COOKIE"):
        return given
    path = Path.home() / ".erlang.cookie"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise BeamUnavailable(f"no cookie: set PYERLNODE_BEAM_COOKIE ({path}: {error.strerror})") from None
