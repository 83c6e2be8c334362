"""Calls, casts and answers of the current process: what a server says without the node that it runs on at hand.

    from pyerlnode import call, cast, reply

They act in the name of the process that runs; `Node.call` and its kin are for programs that are none.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.otp import gen
from pyerlnode.runtime.process import require_current


def call(dest: Any, request: Any, timeout: float | None = gen.DEFAULT_TIMEOUT) -> Any:
    """``GenServer.call``. Raises `NoProc`, `ServerExit`, `NodeDown` or `CallTimeout`, each an `Exit`."""
    return gen.call(require_current().system, dest, request, timeout)


def cast(dest: Any, message: Any) -> None:
    """``GenServer.cast``."""
    gen.cast(require_current().system, dest, message)


def reply(from_: tuple[Any, Any], value: Any) -> None:
    """``gen_server:reply``: answer a call whose `handle_call` gave `NoReply`, from any process."""
    gen.reply(require_current().system, from_, value)
