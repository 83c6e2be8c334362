"""A Python node in an OS process of its own: it can be killed, stopped and started again, as a deployment is.

    def serve(node, start):                          # runs there, once, before the test goes on
        node.start(Counter, start, name="counter")

    def test_our_death_is_noticed(beam, python_node):
        ours = python_node(serve, 41)
        beam.eval("monitor(process, {counter, N})", N=ours.node)
        ours.kill9()

The function is found in its file by its name, so it is one that stands at the top of a file; what it is given, and what
`run` gives back, is pickled. The process ends when the one that started it does.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyerlnode.errors import PyerlnodeError, UsageError
from pyerlnode.term.atom import A, Atom
from pyerlnode.testing import waiting
from pyerlnode.testing.errors import BeamDown, BeamTimeout
from pyerlnode.testing.launch import Program
from pyerlnode.testing.patience import QUIET_S, patience
from pyerlnode.testing.printed import Printed

SLICE_S = 0.05


class PythonNodeError(PyerlnodeError):
    """What a function in the other process raised: its traceback as text."""


class PythonNode(Printed):
    """One process with one `Node`; made by the fixture `python_node`.

    Attributes:
        name: its node name, `py_…@127.0.0.1`.
        cookie: the cookie that it has.
    """

    def __init__(
        self,
        name: str,
        cookie: str,
        epmd_port: int,
        function: Callable[..., object] | None = None,
        args: Sequence[object] = (),
        env: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.name, self.cookie = name, cookie
        self._first = _place(function), tuple(args)
        self._settings = {"cookie": cookie, "epmd": "external", "epmd_port": epmd_port, **(options or {})}
        self._env = dict(env or {})
        self._program: Program | None = None
        self._pipes = -1, -1
        self._in = b""
        self._answers: dict[int, tuple[bool, Any]] = {}
        self._numbers = itertools.count()
        super().__init__()

    def __repr__(self) -> str:
        return f"<PythonNode {self.name}>"

    # --- life --------------------------------------------------------------------------------------
    def boot(self) -> PythonNode:
        """Start the process; `ready` waits for it."""
        below, above = os.pipe(), os.pipe()
        process = subprocess.Popen(  # noqa: S603 - this package, in another process
            [sys.executable, "-m", "pyerlnode.testing.python_child", str(above[1])],
            stdin=below[0], stdout=self._output, stderr=self._output, pass_fds=(above[1],), start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **self._env},
        )  # fmt: skip
        self._program = Program(process)
        waiting.close(below[0])
        waiting.close(above[1])
        self._pipes, self._in = (above[0], below[1]), b""
        self._say((self.name, self._settings))
        return self

    def ready(self) -> PythonNode:
        """Wait until its node runs, and its function has returned."""
        self._take(-1, patience())
        if self._first[0] is not None:
            self._ask(*self._first)
        return self

    def restart(self) -> PythonNode:
        """Kill it when it runs and start it again: the same name, another creation."""
        self.kill9()
        return self.boot().ready()

    def running(self) -> bool:
        return self._program is not None and self._program.running()

    def kill9(self) -> None:
        """SIGKILL: no goodbye."""
        if self._program is not None:
            self._program.kill()
        self._close()

    def terminate(self) -> None:
        """SIGTERM, as the one who deploys does; `wait` waits for what comes of it."""
        os.kill(self.os_pid, signal.SIGTERM)

    def stop(self) -> None:
        """End it in order: its node says goodbye."""
        if self._program is not None and self._program.running():
            self._program.resume()
        self._close()
        if self._program is not None and not self._program.wait(QUIET_S):
            self._program.kill()

    def wait(self) -> str:
        """Wait for its end; says how it ended: ``exited with status 0``."""
        assert self._program is not None
        program = self._program
        waiting.wait_for(lambda: not program.running(), what=f"the end of {self.name}")
        return program.status()

    def suspend(self) -> None:
        """SIGSTOP: its sockets stay open and nobody answers."""
        assert self._program is not None
        self._program.suspend()

    def resume(self) -> None:
        """SIGCONT."""
        assert self._program is not None
        self._program.resume()

    @property
    def os_pid(self) -> int:
        assert self._program is not None
        return self._program.pid

    @property
    def node(self) -> Atom:
        """Its name as an atom, as pids carry it."""
        return A[self.name]

    # --- obedience -----------------------------------------------------------------------------------
    def run(self, function: Callable[..., object], *args: object, timeout: float = QUIET_S) -> Any:
        """``function(node, *args)`` in that process, and what it returns.

        Raises:
            PythonNodeError: it raised there; the text is the traceback.
            BeamDown: the process has ended.
        """
        return self._ask(_place(function), args, timeout)

    def connect(self, name: str) -> None:
        """Its `Node.connect`."""
        self._ask("connect", (name,))

    def ping(self, name: str) -> bool:
        """What its `Node.ping` gives."""
        return bool(self._ask("ping", (name,)))

    def nodes(self) -> list[str]:
        """The nodes that it is connected to."""
        return [str(name) for name in self._ask("nodes", ())]

    def _ask(self, place: Any, args: Sequence[object], timeout: float = QUIET_S) -> Any:
        number = next(self._numbers)
        self._say((number, place, tuple(args)))
        good, value = self._take(number, patience(timeout))
        if not good:
            raise PythonNodeError(f"in {self.name}:\n{value}")
        return value

    def _say(self, request: object) -> None:
        data = pickle.dumps(request)
        frame = len(data).to_bytes(4, "big") + data
        try:
            while frame:
                frame = frame[os.write(self._pipes[1], frame) :]
        except OSError:
            raise self._down() from None

    def _take(self, number: int, limit: float) -> tuple[bool, Any]:
        end = time.monotonic() + limit
        while number not in self._answers:
            if time.monotonic() > end:
                raise BeamTimeout(f"{self.name} did not answer within {limit:g} s\n{self._last_lines()}")
            self._receive()
        return self._answers.pop(number)

    def _receive(self) -> None:
        if self._pipes[0] < 0:
            raise self._down()
        if not waiting.wait_io(self._pipes[0], timeout=SLICE_S):
            return
        data = os.read(self._pipes[0], 1 << 20)
        if not data:
            raise self._down()
        self._in += data
        while len(self._in) >= 4 and len(self._in) >= 4 + (size := int.from_bytes(self._in[:4], "big")):
            number, good, value = pickle.loads(self._in[4 : 4 + size])  # noqa: S301 - our own child's
            self._answers[number] = good, value
            self._in = self._in[4 + size :]

    def _down(self) -> BeamDown:
        if self._program is not None:
            self._program.wait(1)
        status = "is not started" if self._program is None else self._program.status()
        return BeamDown(f"{self.name} {status}\n{self._last_lines()}")

    def _close(self) -> None:
        for pipe in self._pipes:
            if pipe >= 0:
                waiting.close(pipe)
        self._pipes = -1, -1
        self._answers.clear()


def _place(function: Callable[..., object] | None) -> tuple[str, str] | None:
    """Where the other process finds a function: its file and its name there."""
    if function is None:
        return None
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", "")
    if code is None or "<" in name:
        raise UsageError(f"{name or function!r} can not be found by another process: give a function of a file's top")
    return os.path.abspath(code.co_filename), name
