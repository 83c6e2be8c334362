"""Who called, seen by the server: whether it still waits for the answer, and how its call is ended by an exit.

A caller monitors the server for as long as it waits (`gen.call`, and OTP's): when the monitor is gone, so is the wish
for an answer. And when this one monitor is ended with a reason, the call exits with it, as if the server had ended, and
the server goes on. A caller that came without a monitor is taken to wait for ever, and can only be answered.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.otp import gen
from pyerlnode.runtime.mailbox import DOWN, PENDING
from pyerlnode.runtime.process import Process
from pyerlnode.term.containers import ImproperList
from pyerlnode.term.pid import Pid, Reference


def is_from(from_: Any) -> bool:
    """Whether `from_` is what a call has: ``{Pid, Tag}``."""
    return type(from_) is tuple and len(from_) == 2 and type(from_[0]) is Pid


def watcher(process: Process, from_: tuple[Any, Any]) -> Any:
    """The key of the caller's monitor among those who monitor `process`; None when there is none."""
    tag, watchers = from_[1], process.monitored_by or {}
    if isinstance(tag, gen.LocalCall):
        return tag if tag.state == PENDING and tag in watchers else None
    ref = gen.alias_of(tag) if type(tag) is ImproperList else tag
    if type(ref) is not Reference:
        return None
    if ref.words in watchers:
        return ref.words
    peer = process.system.peers.get(ref.node)
    found = None if peer is None else peer.watchers.get(ref.words)
    return found if found in watchers else None


def has_given_up(process: Process, from_: tuple[Any, Any], watched: bool) -> bool:
    """Whether nobody waits any more. Who has an alias had a monitor; of others `watched` says whether they had."""
    caller, tag = from_
    if caller.node is process.system.node and process.system.process(caller) is None:
        return True  # it has ended; that its call is over is seen a moment later
    if watcher(process, from_) is not None:
        return False
    return watched or isinstance(tag, gen.LocalCall) or gen.alias_of(tag) is not None


def end_call(process: Process, from_: tuple[Any, Any], watched: bool, answer: Any, reason: Any) -> None:
    """End the call of `from_` by an exit with `reason`; one that was never `watched` gets `answer`."""
    key = watcher(process, from_)
    if isinstance(key, gen.LocalCall):
        key.settle(DOWN, reason)
    elif key is not None:
        process.system._down((process.monitored_by or {}).pop(key), reason)
    elif not watched:
        gen.reply(process.system, from_, answer)
