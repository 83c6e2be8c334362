"""What anybody asks of a stage, on this node or another: to subscribe, to change its demand, to pass on a message.

    sync_subscribe(consumer, producer, max_demand=100)      -> the subscription's tag

The requests are GenStage's calls and casts, so the stage may be one of Elixir's, of Flow or of Broadway:

    call, cast {'$subscribe', nil | {OldTag, Reason}, Producer, Options}      {ok, Tag} | {error, Reason}
    call, cast {'$info', Message}                                             ok
    cast {'$demand', forward | accumulate}
    call '$demand'                                                            forward | accumulate
    call '$estimate_buffered_count'                                           a number
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import Exit
from pyerlnode.otp import gen
from pyerlnode.otp.where import call, system_of
from pyerlnode.runtime.names import Global, Via, whereis_name
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid


class Request:
    """The names of the requests."""

    SUBSCRIBE: Final = A["$subscribe"]
    DEMAND: Final = A["$demand"]
    INFO: Final = A["$info"]
    ESTIMATE: Final = A["$estimate_buffered_count"]


_REQUESTS: Final = (Request.SUBSCRIBE, Request.DEMAND, Request.INFO, Request.ESTIMATE)


def is_request(request: Any) -> bool:
    """Whether a call or cast is one of GenStage's own."""
    return (request[0] if type(request) is tuple and request else request) in _REQUESTS


def keywords(options: Mapping[str, Any] | list[Any]) -> list[Any]:
    """A keyword list of a subscription's options; `cancel` may be a text."""
    if isinstance(options, list):
        return options
    pairs = [(A[name], value) for name, value in options.items()]
    return [(name, A[value] if name is A.cancel and isinstance(value, str) else value) for name, value in pairs]


def whereis(system: System, to: Any) -> Any:
    """A producer to monitor: a pid, or the ``(name, node)`` of another node; None when there is none.

    `to` as Python has it, or as it comes over the wire: ``{global, Name}``, ``{via, Module, Name}``, ``{Name, Node}``.
    Raises `UsageError` for what is no destination.
    """
    if type(to) is Pid:
        return to
    if type(to) is tuple and len(to) == 2 and to[0] is A["global"]:
        to = Global(to[1])
    elif type(to) is tuple and len(to) == 3 and to[0] is A.via:
        to = Via(to[1], to[2])
    if isinstance(to, (Global, Via)):
        return whereis_name(system, to)
    name, node = system.split_name(to)
    return system.whereis(name) if node is system.node else (name, node)


# --- for whoever has a stage's pid or name, here or on another node ----------------------------
def sync_subscribe(
    stage: Any, to: Any, *, replaces: tuple[Any, Any] | None = None, timeout: float | None = 5.0, on: Any = None,
    **options: Any,
) -> Any:  # fmt: skip
    """Have the consumer `stage` subscribe to the producer `to`; gives the subscription's tag.

    Args:
        replaces: ``(tag, reason)`` of a subscription that the producer is to cancel first.
        options: `max_demand`, `min_demand`, `cancel`, and what the dispatcher wants.

    Raises `Exit` with what the stage refuses, and what a call raises.
    """
    answer = call(stage, (Request.SUBSCRIBE, replaces, _sent(to), keywords(options)), timeout, on)
    if type(answer) is tuple and answer[0] is A.ok:
        return answer[1]
    raise Exit(answer[1], f"{short(stage)} does not subscribe to {short(to)}: {gen.brief(answer[1])}")


def async_subscribe(
    stage: Any, to: Any, *, replaces: tuple[Any, Any] | None = None, on: Any = None, **options: Any
) -> None:
    """As `sync_subscribe`, without waiting."""
    gen.cast(system_of(on), stage, (Request.SUBSCRIBE, replaces, _sent(to), keywords(options)))


def demand(stage: Any, mode: str, *, on: Any = None) -> None:
    """Set a producer's mode: "forward", or "accumulate" to keep demand and events back."""
    gen.cast(system_of(on), stage, (Request.DEMAND, A[mode]))


def demand_mode(stage: Any, *, timeout: float | None = 5.0, on: Any = None) -> str:
    """A producer's mode."""
    return str(call(stage, Request.DEMAND, timeout, on))


def sync_info(stage: Any, message: Any, *, timeout: float | None = 5.0, on: Any = None) -> None:
    """Have ``handle_info(message)`` of a stage called behind the events that it has buffered now."""
    call(stage, (Request.INFO, message), timeout, on)


def async_info(stage: Any, message: Any, *, on: Any = None) -> None:
    """As `sync_info`, without waiting."""
    gen.cast(system_of(on), stage, (Request.INFO, message))


def estimate_buffered_count(stage: Any, *, timeout: float | None = 5.0, on: Any = None) -> int:
    """How many events a producer has buffered."""
    count: int = call(stage, Request.ESTIMATE, timeout, on)
    return count


def _sent(to: Any) -> Any:
    """A destination as a term."""
    if isinstance(to, Global):
        return A["global"], to.name
    if isinstance(to, Via):
        return A.via, Atom(str(to.module)) if isinstance(to.module, str) else to.module, to.name
    if isinstance(to, str):
        return Atom(to)
    return tuple(Atom(part) if isinstance(part, str) else part for part in to) if type(to) is tuple else to
