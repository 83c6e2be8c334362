"""A BEAM that runs already: ``--beam app@host``, the cluster of a staging machine or the node in the next window.

It is reached through a small BEAM of our own, started beside it (`erl` on PATH), which joins it hidden and
asks it by `erpc`; the agent's module is loaded there and nothing else. Its cookie is that of
PYERLNODE_BEAM_COOKIE or of ``~/.erlang.cookie``. What only its owner may do to it (kill, suspend, restart,
clean its connections) is refused.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A
from pyerlnode.testing import launch
from pyerlnode.testing.beam import ANSWER_S, Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.errors import BeamUnavailable

DEFAULT_EPMD_PORT = 4369


class FoundEpmd(Epmd):
    """The EPMD that the node is registered at: it is not ours to start or stop."""

    def __init__(self) -> None:
        super().__init__(launch.local())
        self.port = int(os.environ.get("ERL_EPMD_PORT", DEFAULT_EPMD_PORT))

    def start(self) -> FoundEpmd:
        return self

    def stop(self) -> None:
        pass

    def running(self) -> bool:
        return True


class AttachedBeam(Beam):
    """`name` is the node that tests talk to; the BEAM started here only stands between."""

    def __init__(self, name: str) -> None:
        super().__init__(launch.local(), FoundEpmd(), name=beside(name), cookie=_cookie(), hidden=True)
        self.between, self.name = self.name, name

    def _options(self) -> list[str]:
        return [self.between if word == self.name else word for word in super()._options()]

    def start(self) -> AttachedBeam:
        """Join the node and load the agent there.

        Raises:
            BeamUnavailable: it can not be reached.
        """
        if self.running():
            return self
        super().start()
        # Loaded once: at a second time the processes of others that run it would be killed.
        joined = (
            "net_kernel:connect_node(N) =:= true andalso"
            " ((catch erpc:call(N, M, module_info, [md5])) =:= M:module_info(md5)"
            " orelse erpc:call(N, code, load_binary, [M, [], C]))"
        )
        code = super()._request((A.eval, "persistent_term:get(pyerlnode_beam_agent)", {}), ANSWER_S)
        bound = {A.N: self.node, A.M: A.pyerlnode_beam_agent, A.C: code}
        if super()._request((A.eval, joined, bound), ANSWER_S) is False:
            super().stop()
            raise BeamUnavailable(f"{self.name} can not be reached: is it running, with this cookie?")
        facts = self._request(A.facts, ANSWER_S)
        self.otp, self.elixir_version = facts[A.otp], facts[A.elixir].decode()
        return self

    def _request(self, request: Any, timeout: float) -> Any:
        return super()._request((A.there, self.node, request), timeout)

    def clean(self) -> int:
        """Kill what tests have spawned there; its connections are its own."""
        return int(self._request(A.clean_own, ANSWER_S))

    def begin_test(self) -> None:
        super()._request(A.begin_test, ANSWER_S)  # it is the one between that gives a test its processes

    def end_test(self) -> None:
        super()._request(A.end_test, ANSWER_S)

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
