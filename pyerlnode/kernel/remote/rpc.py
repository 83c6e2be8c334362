"""``rpc``: the older calls beside `erpc`, whose failures are values (protocol.md E.6).

    call                 one call
    block_call           in the peer's `rex` itself, one after the other
    multicall            values, and the nodes that gave none
    abcast, sbcast       a message to a name on many nodes; sbcast says where the name was known
    server_call          ``{From, Msg}`` to a name, which answers ``{Wrapper, Node, Reply}``
    multi_server_call    the same on many nodes, which answer ``{Name, Node, Reply}``
    async_call, yield_   a call now, its value later
    parallel_eval, pmap  many calls spread over nodes
    pinfo                ``process_info`` of a process anywhere

What the function gave or threw is the value of the call, and each other end is the value ``{badrpc, Reason}``:

    error(R), exit(R)    {'EXIT', {R, Stack}}, {'EXIT', R}        time-out             timeout
    a signal             {'EXIT', Reason}                         no connection        nodedown

so a function that gives or throws ``{badrpc, _}`` can not be told from one that failed: `erpc` tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from pyerlnode.errors import (
    CallTimeout,
    Exit,
    NodeDown,
    RemoteError,
    RemoteExit,
    RemoteThrow,
    RpcFailed,
    UsageError,
)
from pyerlnode.kernel.remote import erpc
from pyerlnode.otp import gen
from pyerlnode.runtime.api import ANYTHING, receive_as
from pyerlnode.runtime.mailbox import DOWN, REPLY, Waiter
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.runtime.system import System
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

NO_ANSWER: Final = object()


def call(
    system: System, node: Atom, module: Any, function: Any, args: Iterable[Any] = (), timeout: float | None = 5.0
) -> Any:
    """``rpc:call``: what came of it as a value. Raises `EncodeError` for arguments that have no form as terms."""
    return as_value(lambda: erpc.call(system, node, module, function, args, timeout))


def as_value(ask: Callable[[], Any]) -> Any:
    """What ``rpc:call`` gives where `ask`, which is ``erpc:call``, gives a value or raises."""
    try:
        return _marked(ask())
    except RemoteThrow as thrown:
        return _marked(thrown.value)
    except RemoteExit as ended:
        return A.badrpc, (A.EXIT, ended.reason)
    except RemoteError as failed:
        return A.badrpc, (A.EXIT, (failed.reason, failed.stack))
    except RpcFailed as failed:
        return A.badrpc, _why(failed.reason)


def _marked(value: Any) -> Any:
    """A value that looks like a caught exit is one, to ``rpc``."""
    return (A.badrpc, value) if type(value) is tuple and len(value) == 2 and value[0] is A.EXIT else value


def _why(reason: Any) -> Any:
    match reason:
        case A.timeout | A.notsup:
            return reason
        case A.noconnection:
            return A.nodedown
        case (A.signal, signal):
            return A.EXIT, signal
    return A.EXIT, reason


def block_call(
    system: System, node: Atom, module: Any, function: Any, args: Iterable[Any] = (), timeout: float | None = 5.0
) -> Any:
    """``rpc:block_call``: no other block_call runs on `node` meanwhile. Raises `NoProc` where there is no `rex`."""
    module, function, args = Atom(str(module)), Atom(str(function)), list(args)
    request = (A.block_call, module, function, args, leader_of(system))
    try:
        return _marked(gen.call(system, (A.rex, node), request, timeout))
    except CallTimeout:
        return A.badrpc, A.timeout
    except NodeDown:
        return A.badrpc, A.nodedown


def leader_of(system: System) -> Pid:
    caller = system.myself()
    return caller.group_leader or system.root.group_leader or caller.pid


def multicall(
    system: System,
    nodes: Iterable[Atom],
    module: Any,
    function: Any,
    args: Iterable[Any] = (),
    timeout: float | None = 5.0,
) -> tuple[list[Any], list[Atom]]:
    """``rpc:multicall``: (results, nodes that gave none). A result of a call that failed is ``(A.badrpc, reason)``."""
    results: list[Any] = []
    bad: list[Atom] = []
    for request in erpc.started(system, nodes, module, function, list(args), timeout):
        match request.as_term():
            case (A.error, (A.erpc, _)):
                bad.append(request.dest)
            case term:
                results.append(badrpc(term))
    return results, bad


def badrpc(term: tuple[Any, Any]) -> Any:
    """What ``rpc:call`` gives for a result of ``erpc:multicall``."""
    match term:
        case (A.ok | A.throw, value):
            return _marked(value)
        case (A.exit, (A.exception | A.signal, reason)):
            return A.badrpc, (A.EXIT, reason)
        case (_, (A.exception, reason, stack)):
            return A.badrpc, (A.EXIT, (reason, stack))
        case (_, (_, reason)):
            return A.badrpc, _why(reason)
    raise AssertionError(term)


# --- messages to names -------------------------------------------------------------------------
def abcast(system: System, nodes: Iterable[Atom], name: str | Atom, message: Any) -> None:
    """``rpc:abcast``: send `message` to the name on each node; those that can not be reached are passed over."""
    for node in nodes:
        system.send((name, node), message)


def sbcast(
    system: System, nodes: Iterable[Atom], name: str | Atom, message: Any, timeout: float | None = 5.0
) -> tuple[list[Atom], list[Atom]]:
    """``rpc:sbcast``: (nodes that knew the name, the others)."""
    name = Atom(str(name))
    answers = ask_names(system, nodes, A.rex, (A.sbcast, name, message), A.rex, timeout)
    good = [node for node, answer in answers if answer is node]
    return good, [node for node, _ in answers if node not in good]


def server_call(
    system: System, node: Atom, name: str | Atom, wrapper: Any, message: Any, timeout: float | None = 5.0
) -> Any:
    """``rpc:server_call``: `name` gets ``{From, Message}`` and answers ``{Wrapper, Node, Reply}``.

    Raises `RpcFailed`: nodedown, noproc (OTP waits for ever there), or timeout.
    """
    [(_, answer)] = ask_names(system, [node], Atom(str(name)), message, wrapper, timeout)
    if isinstance(answer, RpcFailed):
        raise answer
    return answer


def multi_server_call(
    system: System, nodes: Iterable[Atom], name: str | Atom, message: Any, timeout: float | None = 5.0
) -> tuple[list[Any], list[Atom]]:
    """``rpc:multi_server_call``: (replies, nodes that gave none)."""
    name = Atom(str(name))
    answers = ask_names(system, nodes, name, message, name, timeout)
    good = [answer for _, answer in answers if not isinstance(answer, RpcFailed)]
    return good, [node for node, answer in answers if isinstance(answer, RpcFailed)]


def ask_names(
    system: System, nodes: Iterable[Atom], name: Atom, message: Any, wrapper: Any, timeout: float | None
) -> list[tuple[Atom, Any]]:
    """Ask `name` on each node: the answer, or an `RpcFailed`. By a process of its own: answers go to a mailbox."""
    asked = list(dict.fromkeys(nodes))
    waiter = Waiter(system.scheduler, system.timers)

    def ask() -> None:
        process = require_current()
        waiter.settle(REPLY, _ask(process, asked, name, message, wrapper, timeout))

    process = system.spawn_function(ask, (), {})
    process.monitored_by = {waiter: waiter}
    try:
        waiter.wait(None)
    finally:
        process.exit(A.kill)
    if waiter.state == DOWN:
        raise Exit(waiter.value)
    return list(waiter.value)


def _ask(
    process: Process, nodes: list[Atom], name: Atom, message: Any, wrapper: Any, timeout: float | None
) -> list[tuple[Atom, Any]]:
    system = process.system
    deadline = None if timeout is None else system.timers.now() + timeout
    monitors: dict[tuple[int, ...], Atom] = {}
    answers: dict[Atom, Any] = {}
    for node in nodes:
        ref: Reference = system.monitor(process, (name, node))
        monitors[ref.words] = node
        system.send((name, node), (process.pid, message))
    while len(answers) < len(nodes):
        left = None if deadline is None else max(0.0, deadline - system.timers.now())
        match receive_as(process, ANYTHING, left, NO_ANSWER):
            case (A.DOWN, Reference() as ref, _, _, reason) if ref.words in monitors:
                node = monitors[ref.words]
                why = A.nodedown if reason is A.noconnection else reason
                answers.setdefault(node, RpcFailed(why, f"{name} on {node} did not answer: {why}"))
            case (found, Atom() as node, reply) if exact.same(found, wrapper) and node in nodes:
                answers[node] = reply
            case left_over if left_over is NO_ANSWER:
                break
    late = RpcFailed(A.timeout, f"{name} did not answer within {timeout} s")
    return [(node, answers.get(node, late)) for node in nodes]


# --- values later ------------------------------------------------------------------------------
def async_call(system: System, node: Atom, module: Any, function: Any, args: Iterable[Any] = ()) -> erpc.Request:
    """``rpc:async_call``: the key for `yield_` and `nb_yield`."""
    return erpc.send_request(system, node, module, function, args)


def yield_(key: erpc.Request) -> Any:
    """``rpc:yield``: wait for the value, which is what `call` gives."""
    return as_value(lambda: erpc.receive_response(key))


def nb_yield(key: erpc.Request, timeout: float = 0.0) -> tuple[Atom, Any] | Atom:
    """``rpc:nb_yield``: ``(A.value, value)``, or ``A.timeout`` after `timeout` seconds; then one may ask again."""
    value = as_value(lambda: erpc.wait_response(key, timeout))
    return A.timeout if value is erpc.PENDING_RESPONSE else (A.value, value)


def parallel_eval(system: System, calls: Iterable[tuple[Any, Any, Iterable[Any]]], nodes: Iterable[Atom]) -> list[Any]:
    """``rpc:parallel_eval``: the values of ``[(module, function, args)]`` in their order, spread over `nodes`."""
    over = list(nodes)
    if not over:
        raise UsageError("parallel_eval needs a node")
    keys = [
        async_call(system, over[number % len(over)], module, function, args)
        for number, (module, function, args) in enumerate(calls)
    ]
    return [yield_(key) for key in keys]


def pmap(
    system: System, function: tuple[Any, Any], extra: Iterable[Any], items: Iterable[Any], nodes: Iterable[Atom]
) -> list[Any]:
    """``rpc:pmap({M, F}, Extra, List)``: ``apply(M, F, [Item | Extra])`` for each, in order.

    Raises ``Exit(A.badrpc)`` when one of them failed.
    """
    module, name = function
    more = list(extra)
    values = parallel_eval(system, [(module, name, [item, *more]) for item in items], nodes)
    if any(type(value) is tuple and len(value) == 2 and value[0] is A.badrpc for value in values):
        raise Exit(A.badrpc)
    return values


def pinfo(system: System, pid: Pid, items: Any = None, here: Callable[[Pid, Any], Any] | None = None) -> Any:
    """``rpc:pinfo``: ``process_info`` of a process of any node; None (`undefined`) when it is not alive.

    Args:
        items: an item's name gives ``(item, value)``, several give a list of them, None the usual ones.
        here: asks a process of this node.
    """
    if system.is_local(pid) and here is not None:
        return here(pid, items)
    if items is None:
        args: list[Any] = [pid]
    elif isinstance(items, (str, Atom)):
        args = [pid, Atom(str(items))]
    else:
        args = [pid, [Atom(str(item)) for item in items]]
    info = erpc.call(system, pid.node, A.erlang, A.process_info, args)
    return None if info is A.undefined else info
