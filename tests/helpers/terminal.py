"""pexpect beside gevent: whoever waits for a child may find that the loop of gevent was first.

From the first `gevent.subprocess.Popen` of a process on, its loop waits for all children, and the status of those that
it does not know is lost. So it is the loop that waits for ours here, and nobody else.
"""

from typing import Any

import gevent
import pexpect
import ptyprocess

MOMENT = 0.002
"""Seconds for which the loop looks whether a child has ended."""


class Child(ptyprocess.PtyProcess):
    """A process at a terminal whose end the loop tells."""

    @classmethod
    def spawn(cls, *arguments: Any, **options: Any) -> Any:
        loop = gevent.get_hub().loop
        loop.install_sigchld()  # before there is a child: a signal that came earlier would be lost
        made = super().spawn(*arguments, **options)
        made.watcher = loop.child(made.pid, False, ref=False)
        made.watcher.start(made.ended)
        return made

    def ended(self) -> None:
        status = self.watcher.rstatus
        self.status, self.terminated = status, True
        code = status >> 8
        self.signalstatus = status & 0x7F or None
        self.exitstatus = None if self.signalstatus else code

    def isalive(self) -> bool:
        if not self.terminated:
            gevent.sleep(MOMENT)
        return not self.terminated

    def wait(self) -> int | None:
        while self.isalive():
            pass
        return self.exitstatus  # type: ignore[no-any-return]


class spawn(pexpect.spawn):  # pexpect's name
    def _spawnpty(self, args: Any, **options: Any) -> Any:
        return Child.spawn(args, **options)
