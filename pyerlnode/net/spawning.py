"""Starting a program without a turn of the hub, and the same way whatever gevent has patched.

`subprocess` is no way to: its functions are patched one by one, and with some and not all of them it waits for the hub,
or for itself. `posix_spawn` is one call, which copies no page table of the parent and raises when there is no such
program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gevent.monkey import get_original

_posix_spawn: Any = get_original("os", "posix_spawn")
_waitpid: Any = get_original("os", "waitpid")
_sleep: Any = get_original("time", "sleep")

STDIN: Final = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
LOOK: Final = 0.005


def spawn(command: Sequence[str], env: Mapping[str, str], actions: Sequence[tuple[Any, ...]] = ()) -> int:
    """Start `command`, the path of a program and its arguments, with no standard input; its pid.

    It has a session of its own, as the programs of a BEAM's ports (Ctrl-C at the terminal is for this program alone),
    where the system lets its parent say so; else it does that itself.

    Raises:
        OSError: it can not be started.
    """
    todo = [STDIN, *actions]
    try:
        pid: int = _posix_spawn(command[0], command, env, file_actions=todo, setsid=True)
    except NotImplementedError:
        pid = _posix_spawn(command[0], command, env, file_actions=todo)
    return pid


def ended_well(pid: int, timeout: float) -> bool:
    """Wait in this thread, which does nothing else, for the end of `pid`; whether it came and the status was 0.

    Of one that somebody else has reaped, as gevent does in the main thread, the end is all that is known.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            found, status = _waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if found or time.monotonic() > end:
            return bool(found) and status == 0
        _sleep(LOOK)
