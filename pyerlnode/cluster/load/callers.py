"""Who called, seen by the server: whether it still waits for the answer, and how its call is ended by an exit.

A caller monitors the server for as long as it waits (`gen.call`, and OTP's): when the monitor is gone, so is the wish
for an answer. And when this one monitor is ended with a reason, the call exits with it, as if the server had ended, and
the server goes on. A call may also have been handed on by another server, which the caller monitors instead: that there
is no monitor proves nothing, unless there was one. Such a caller is taken to wait for ever, and can only be answered.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.otp import gen
from pyerlnode.runtime.mailbox import DOWN, PENDING
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
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
    local = process.system.aliases.get(ref.words)  # a call of this node that has been elsewhere meanwhile
    if isinstance(local, gen.LocalCall):
        return watcher(process, (from_[0], local))
    peer = process.system.peers.get(ref.node)
    found = None if peer is None else peer.watchers.get(ref.words)
    return found if found in watchers else None


def has_ended(system: System, from_: tuple[Any, Any]) -> bool:
    """Whether it is certain that nobody waits; of callers on this node it is."""
    caller, tag = from_
    if caller.node is system.node and system.process(caller) is None:
        return True  # it has ended; that its call is over is seen a moment later
    if isinstance(tag, gen.LocalCall):
        return tag.state != PENDING
    ref = gen.alias_of(tag)
    return ref is not None and ref.node is system.node and ref.words not in system.aliases


def has_given_up(process: Process, from_: tuple[Any, Any], watched: bool) -> bool:
    """Whether nobody waits any more; `watched` says that there was a monitor (`watcher`) when the call came."""
    return has_ended(process.system, from_) or (watched and watcher(process, from_) is None)


def is_watched(system: System, from_: tuple[Any, Any]) -> bool:
    """Whether a caller of another node monitors some process of this one for its call; true of all whose call has none.

    When it does not, it has given up, or its call was handed on by a server of another node.
    """
    ref = gen.alias_of(from_[1])
    if ref is None or ref.node is system.node:
        return True
    peer = system.peers.get(ref.node)
    return peer is not None and ref.words in peer.watchers


def end_call(process: Process, from_: tuple[Any, Any], watched: bool, answer: Any, reason: Any) -> None:
    """End the call of `from_` by an exit with `reason`; one that was never `watched` gets `answer`."""
    key = watcher(process, from_)
    if isinstance(key, gen.LocalCall):
        key.settle(DOWN, reason)
    elif key is not None:
        process.system._down((process.monitored_by or {}).pop(key), reason)
    elif not watched:
        gen.reply(process.system, from_, answer)
