"""``rpc``: what is left of it beside `erpc` (protocol.md E.6).

    block_call           in the peer's `rex` itself, one after the other
    multicall            values, and the nodes that gave none
    abcast, sbcast       a message to a name on many nodes; sbcast says where the name was known
    server_call          ``{From, Msg}`` to a name, which answers ``{Wrapper, Node, Reply}``
    multi_server_call    the same on many nodes, which answer ``{Name, Node, Reply}``
    async_call, yield_   a call now, its value later
    parallel_eval, pmap  many calls spread over nodes
    pinfo                ``process_info`` of a process anywhere

A failed call raises what `erpc.call` raises; in a list of results (`multicall`) it is ``{badrpc, Reason}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from pyerlnode.errors import CallTimeout, Exit, NodeDown, NoProc, RpcError, RpcFailed, UsageError
from pyerlnode.kernel.remote import erpc
from pyerlnode.kernel.remote.errors import outcome
from pyerlnode.otp import gen
from pyerlnode.runtime.api import ANYTHING, receive_as
from pyerlnode.runtime.mailbox import DOWN, REPLY, Waiter
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.runtime.system import System
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

NO_ANSWER: Final = object()


def block_call(
    system: System, node: Atom, module: Any, function: Any, args: Iterable[Any] = (), timeout: float | None = 5.0
) -> Any:
    """``rpc:block_call``: no other block_call runs on `node` meanwhile. Raises as `erpc.call`."""
    module, function, args = Atom(str(module)), Atom(str(function)), list(args)
    leader = leader_of(system)
    what = f"{module}:{function}/{len(args)} on {node}"
    try:
        answer = gen.call(system, (A.rex, node), (A.block_call, module, function, args, leader), timeout)
    except CallTimeout as error:
        raise RpcFailed(A.timeout, f"{what} did not return within {timeout} s") from error
    except (NodeDown, NoProc) as error:
        raise RpcFailed(A.noconnection if isinstance(error, NodeDown) else A.notsup, f"{what}: {error}") from error
    result = erpc.from_rex(None, answer)
    if isinstance(result, RpcError):
        raise result
    return outcome(None, result, what)


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
            return value
        case (A.exit, (A.exception | A.signal, reason)):
            return A.badrpc, (A.EXIT, reason)
        case (_, (A.exception, reason, stack)):
            return A.badrpc, (A.EXIT, (reason, stack))
        case (_, (_, A.noconnection)):
            return A.badrpc, A.nodedown
        case (_, (_, reason)):
            return A.badrpc, reason
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
    """``rpc:yield``: wait for the value; raises as `erpc.call`."""
    return erpc.receive_response(key)


def nb_yield(key: erpc.Request, timeout: float = 0.0) -> tuple[Atom, Any] | Atom:
    """``rpc:nb_yield``: ``(A.value, value)``, or ``A.timeout`` after `timeout` seconds; then one may ask again."""
    value = erpc.wait_response(key, timeout)
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
    """``rpc:pmap({M, F}, Extra, List)``: ``apply(M, F, [Item | Extra])`` for each, in order."""
    module, name = function
    more = list(extra)
    return parallel_eval(system, [(module, name, [item, *more]) for item in items], nodes)


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
