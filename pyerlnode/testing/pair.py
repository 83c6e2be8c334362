"""`node_pair`: two nodes in memory under a virtual clock, for fast tests of your own servers without a BEAM.

    def test_a_client_is_told_of_the_end(node_pair):
        left, right = node_pair.left, node_pair.right
        pid = right.start(Counter, 41, name="counter")
        left.monitor(pid)
        assert left.call(pid, A.next) == 42
        right.exit(pid, A.kill)
        left.assert_down(pid, A.killed)

The bytes between the two are those of the real distribution; sockets, EPMD and real time are not there. Both are used
as a `Node` is. The test is a process of each of them, which traps exits. What needs time to pass goes by `within`, by
`advance` or by `run`: nothing else moves the clock (`virtual`).
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from gevent import getcurrent

from pyerlnode.kernel.local import Local
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A
from pyerlnode.term.pattern import ANY, match
from pyerlnode.term.pid import Pid, Reference
from pyerlnode.testing.virtual import Simulation

_NONE = object()


class TwinNode(Local):
    """One node of a pair: the methods of a `Node` that need no network, and assertions on what the test received.

    Attributes:
        name: `left@pair` or `right@pair`.
    """

    def __init__(self, simulation: Simulation, name: str, creation: int) -> None:
        self.name = name
        self._simulation = simulation
        self._system = simulation.system(name, creation)
        self._test = self._system.new_process(None)
        self._test.adopted = True
        self._test.greenlet = getcurrent()
        self.process_flag("trap_exit", True)

    def __repr__(self) -> str:
        return f"<TwinNode {self.name}>"

    @property
    def system(self) -> System:
        return self._system

    def _me(self) -> Process:
        return self._test if getcurrent() is self._test.greenlet else super()._me()

    def assert_received(self, pattern: Any = ANY, within: float = 0.0) -> Any:
        """The first message to the test, on this node, that matches; it is taken out of the mailbox.

        Args:
            pattern: as in `receive`.
            within: seconds of the virtual clock that may pass until it is there.

        Raises:
            AssertionError: none has come; says what has.
        """
        clock = self._simulation.clock
        end = clock.now() + within
        while True:
            self._simulation.run_until_idle()
            found = self.receive(pattern, 0, _NONE)
            if found is not _NONE:
                return found
            deadline = self._simulation.next_deadline()
            if deadline > end:
                break
            self._simulation.advance(max(0.0, deadline - clock.now()))
        self._simulation.advance(end - clock.now())
        raise AssertionError(f"{self.name} has received nothing that matches {pattern!r}, but {self.messages()!r}")

    def assert_down(self, what: Pid | Reference, reason: Any = ANY, within: float = 0.0) -> Any:
        """The DOWN of a monitor of the test, named by its reference or by the pid; gives the whole message."""

        def is_it(message: Any) -> bool:
            return match((A.DOWN, Reference, A.process, ANY, reason), message) and what in (message[1], message[3])

        return self._assert("DOWN", is_it, what, reason, within)

    def assert_exit(self, pid: Pid, reason: Any = ANY, within: float = 0.0) -> Any:
        """The exit signal of a process that the test is linked to: ``(A.EXIT, pid, reason)``."""
        return self._assert("EXIT", lambda message: match((A.EXIT, pid, reason), message), pid, reason, within)

    def _assert(self, kind: str, is_it: Any, what: Any, reason: Any, within: float) -> Any:
        try:
            return self.assert_received(is_it, within)
        except AssertionError:
            wanted = f"{what!r}" if reason is ANY else f"{what!r} with {reason!r}"
            raise AssertionError(f"{self.name} has no {kind} of {wanted}, but {self.messages()!r}") from None

    def assert_nothing_received(self, pattern: Any = ANY) -> None:
        """When all are idle no message to the test matches.

        Raises:
            AssertionError: one does; says which.
        """
        self._simulation.run_until_idle()
        found = [message for message in self.messages() if match(pattern, message)]
        assert not found, f"{self.name} has received {found!r}"

    def messages(self) -> list[Any]:
        """What the test has received on this node and not taken yet."""
        return list(self.process_info(self._test.pid, "messages"))


class NodePair:
    """Two nodes that reach each other. Use it in a ``with`` block, or the fixture `node_pair`.

    Args:
        seed: the processes that are ready run in an order that it shuffles; the same one every time.
        delay: seconds, of the virtual clock, that each packet takes.
        dribble: bytes that arrive at once; all unless given.
    """

    def __init__(self, seed: int | None = None, *, delay: float = 0.0, dribble: int | None = None) -> None:
        self.simulation = Simulation(seed)
        self.left = TwinNode(self.simulation, "left@pair", 1)
        self.right = TwinNode(self.simulation, "right@pair", 2)
        self.link = self.simulation.link(self.left.system, self.right.system, delay=delay, dribble=dribble)
        self.run_until_idle = self.simulation.run_until_idle
        self.advance = self.simulation.advance
        self.run = self.simulation.run
        self.cut, self.mend = self.link.cut, self.link.mend
        self.hold, self.release = self.link.hold, self.link.release

    def __enter__(self) -> NodePair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simulation.stop()
