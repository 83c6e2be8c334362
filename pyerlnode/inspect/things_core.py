"""What else a node has: tables, ports, applications, schedulers; and the processes that do not move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pyerlnode.errors import UsageError
from pyerlnode.inspect import text_core as text
from pyerlnode.inspect.process_core import Cut
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Port

T = TypeVar("T")

ETS_KEYS = ("memory", "size")
PORT_KEYS = {"queue": "queue_size", "input": "input", "output": "output", "memory": "memory"}
STATE_BYTES = 256 * 1024
"""The largest state that is sent whole."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The first rows of `matched`, of `all` on the node."""

    node: str
    rows: tuple[T, ...]
    matched: int
    all: int

    @property
    def cut(self) -> int:
        return max(0, self.matched - len(self.rows))


@dataclass(frozen=True, slots=True)
class Ets:
    """A table; `memory` in bytes."""

    id: Any
    name: Atom
    type: str
    protection: str
    size: int
    memory: int
    owner: Pid
    owner_name: Atom | None


def tables(answer: dict[Any, Any], node: str) -> Page[Ets]:
    told = text.fields(answer)
    rows = tuple(
        Ets(id, name, type.name, protection.name, size, memory, owner, text.name(owner_name))
        for id, name, type, protection, size, memory, owner, owner_name in told["rows"]
    )
    return Page(node, rows, told["matched"], told["all"])


@dataclass(frozen=True, slots=True)
class RemotePort:
    """A port: `input` and `output` in bytes, `queue` what waits to be written; addresses of sockets."""

    port: Port
    name: str
    owner: Pid
    owner_name: Atom | None
    input: int
    output: int
    queue: int
    memory: int
    os_pid: int | None
    local: str | None
    peer: str | None


def ports(answer: dict[Any, Any], node: str) -> Page[RemotePort]:
    told = text.fields(answer)
    return Page(node, tuple(_port(*row) for row in told["rows"]), told["matched"], told["all"])


def _port(port: Port, name: bytes, owner: Pid, owner_name: Any, input: int, output: int, *rest: Any) -> RemotePort:
    queue, memory, os_pid, local, peer = rest
    return RemotePort(
        port,
        name.decode("utf-8", "replace"),
        owner,
        text.name(owner_name),
        input,
        output,
        queue,
        memory,
        os_pid if isinstance(os_pid, int) and os_pid else None,
        text.text(local),
        text.text(peer),
    )


@dataclass(frozen=True, slots=True)
class LoadedApplication:
    name: str
    version: str
    about: str
    running: bool
    processes: int


def loaded(answer: list[Any]) -> tuple[LoadedApplication, ...]:
    return tuple(
        LoadedApplication(name.name, version.decode(), about.decode("utf-8", "replace"), running, processes)
        for name, version, about, running, processes in answer
    )


@dataclass(frozen=True, slots=True)
class Scheduler:
    """`busy` is the part of the time, 0.0 to 1.0."""

    number: int
    kind: str
    busy: float


@dataclass(frozen=True, slots=True)
class Schedulers:
    online: int
    run_queues: tuple[int, ...]
    busy: tuple[Scheduler, ...]


def schedulers(answer: dict[Any, Any]) -> Schedulers:
    told = text.fields(answer)
    busy = tuple(Scheduler(number, kind.name, share / 1000) for number, kind, share in told["busy"])
    return Schedulers(told["online"], tuple(told["queues"]), busy)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A process that did not move between two looks; `waits_for` is what it calls, where that is known."""

    pid: Pid
    name: Atom | None
    label: str | None
    queue: int
    stack: tuple[Any, ...]
    waits_for: Any


def stuck(answer: dict[Any, Any], node: str) -> Page[Stuck]:
    told = text.fields(answer)
    rows = tuple(
        Stuck(pid, text.name(name), text.text(label), queue, tuple(stack), None if on is A.undefined else on)
        for pid, name, label, queue, stack, on in told["rows"]
    )
    return Page(node, rows, told["all"], told["looked"])


@dataclass(frozen=True, slots=True)
class State:
    """The state of an OTP process, a `Cut` of one that is too large; its queue and what it did when it was asked."""

    queue: int
    status: str
    current_function: Any
    state: Any


def state(facts: tuple[int, Atom, Any], told: Any) -> State:
    queue, status, current = facts
    whole = told[1] if told[0] is A.whole else Cut(told[1], told[2].decode("utf-8", "replace"))
    return State(queue, status.name, current, whole)


def key(by: str, known: Any, what: str) -> Atom:
    """The item that `by` is a word for."""
    if by not in known:
        raise UsageError(f"{what} are ranked by {', '.join(known)}, not by {by!r}")
    return Atom(known[by] if isinstance(known, dict) else by)
