"""`ping`, `call` and `rpc`: one question to one node, by the same facade that scripts use.

Names are read as an operator types them: `counter` is the atom, `MyApp.Stock` is Elixir's module of that name
(the atom `Elixir.MyApp.Stock`), and anything in single quotes is the atom as it stands.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyerlnode.errors import (
    CallTimeout,
    Exit,
    NodeDown,
    NoProc,
    PyerlnodeError,
    RemoteError,
    RemoteExit,
    RemoteThrow,
    RpcFailed,
    TermSyntaxError,
    UsageError,
)
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.text import Style, format_term, parse_term
from pyerlnode.term.text.chars import NEWEST
from pyerlnode.tools.output import Output

if TYPE_CHECKING:
    from pyerlnode.facade import Cluster
    from pyerlnode.node import Node

ELIXIR_ALIAS = re.compile(r"[A-Z]\w*(\.[A-Z]\w*)*", re.ASCII)


class Failed(PyerlnodeError):
    """What a command tried did not come about; the text is the line that the user reads."""


# --- reading what was typed ------------------------------------------------------------------------
def read_term(text: str, what: str, style: Style = "erlang", node: Atom | None = None, creation: int = 0) -> Any:
    """The term that `text` is; `what` names the argument in the error, `node` who has printed its identifiers."""
    try:
        return parse_term(text, style=style, node=node, creation=creation)
    except TermSyntaxError as error:
        raise UsageError(f"{what} is not a term: {error}, in {_shown(text)}") from None


def read_name(text: str) -> Atom:
    """The atom of a registered name, a module or a function as an operator types it."""
    if ELIXIR_ALIAS.fullmatch(text):
        return Atom(text if text.startswith("Elixir.") else f"Elixir.{text}")
    if len(text) > 2 and text[0] == text[-1] == "'":
        term = read_term(text, "the name")
        if isinstance(term, Atom):
            return term
    if not text or any(c.isspace() or c in "'\"(){}[]<>,#" for c in text):
        raise UsageError(f"{_shown(text)} is not a name: give an atom (counter) or an Elixir module (MyApp.Stock)")
    return Atom(text)


def _style(args: argparse.Namespace) -> Style:
    return "elixir" if args.elixir else "erlang"


def _brief(reason: Any) -> str:
    """A reason on one line, without its stack and the call that it ended: neither helps at a prompt."""
    where = ""
    match reason:
        case (inner, (A.gen_server, A.call, _)):
            return _brief(inner)
        case (A.python_error, bytes(kind), bytes(message), _):
            return f"{kind.decode()}: {message.decode('utf-8', 'replace')}"
        case (inner, [(Atom() as module, Atom() as function, arity, list()), *_]):
            reason = inner
            where = f" in {module}:{function}/{arity if isinstance(arity, int) else len(arity)}"
    text = format_term(reason, width=0)
    return (text if len(text) <= 300 else text[:297] + "…") + where


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:57]) + "…"


# --- connecting ------------------------------------------------------------------------------------
def connected(args: argparse.Namespace) -> Cluster:
    """The facade on `args.node`, with the cookie, name, time-out and EPMD port of `args`.

    Unless a name was given, nobody needs to find us: we register nowhere and listen on loopback only.
    """
    from pyerlnode.facade import connect, whole

    args.node = _node_to_ask() if args.node is None else whole(args.node)
    if args.cookie is not None and args.cookie_file is not None:
        raise UsageError("give --cookie or --cookie-file, not both")
    options: dict[str, Any] = {"name": args.name} if args.name is not None else {"epmd": "none", "listen": "127.0.0.1"}
    cluster = connect(
        args.node,
        cookie=args.cookie,
        cookie_file=args.cookie_file,
        epmd_port=args.epmd_port,
        addresses=args.peer_port or _peer_port(os.environ.get("PYERLNODE_PEER_PORT", "").strip()),
        tls=args.tls_optfile or os.environ.get("PYERLNODE_TLS_OPTFILE", "").strip() or None,
        setup_time=args.timeout,
        **options,
    )
    if args.json:
        cluster.run(_print_beside)
    return cluster


def _print_beside(node: Node) -> None:
    """What a function prints over there does not stand in the one document: it goes to standard error."""
    node.system.root.group_leader = node.open_device(sys.stderr, sys.stdin)


def _asked_node(args: argparse.Namespace) -> Atom:
    from pyerlnode.facade import whole

    return Atom(whole(args.node))


def _creation(cluster: Cluster, node: Atom) -> int:
    """In which life the node is, which text does not tell of its identifiers."""
    return cluster.run(lambda ours: ours.system.peers[node].creation if node in ours.system.peers else 0)


def release_of(cluster: Cluster, args: argparse.Namespace) -> int:
    """The OTP release of the node that is asked, where what is printed depends on it; the newest if it does not say."""
    if not args.elixir:
        return NEWEST
    try:
        answer = cluster.rpc(args.node, "erlang", "system_info", [A.otp_release], timeout=args.timeout)
        return int("".join(map(chr, answer)))
    except (PyerlnodeError, TypeError, ValueError):
        return NEWEST


def _peer_port(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise UsageError(f"PYERLNODE_PEER_PORT is {_shown(text)}: give a port between 1 and 65535")
    return int(text) if text else None


def _node_to_ask() -> str:
    from pyerlnode.kernel.release_core import node_to_ask
    from pyerlnode.node import this_host

    node = node_to_ask(os.environ, this_host)
    if node is None:
        raise UsageError("name a NODE, or set PYERLNODE_NODE or RELEASE_NODE to its name")
    return node


def asked(ask: Callable[[], Any], what: str, timeout: float) -> tuple[Any, float]:
    """What `ask` answers and the milliseconds that it took; a failure in words that name `what`."""
    began = time.perf_counter()
    late = f"{what} gave no answer within {timeout:g} s; --timeout gives it longer"
    try:
        answer = ask()
    except CallTimeout:
        raise Failed(late) from None
    except NoProc:
        raise Failed(f"{what}: no process is registered under that name there") from None
    except NodeDown:
        raise Failed(f"{what}: the connection was lost before an answer came") from None
    except RemoteError as error:
        raise Failed(_remote_error(what, error)) from None
    except RemoteExit as error:
        raise Failed(f"{what} ended by exit: {_brief(error.reason)}") from None
    except RemoteThrow as error:
        raise Failed(f"{what} threw {_brief(error.value)}") from None
    except RpcFailed as error:
        if error.reason is A.timeout:
            raise Failed(late) from None
        raise Failed(f"{what} could not be made: {_brief(error.reason)}") from None
    except Exit as error:
        raise Failed(f"{what}: the server ended before it answered: {_brief(error.reason)}") from None
    return answer, (time.perf_counter() - began) * 1000


def _remote_error(what: str, error: RemoteError) -> str:
    if error.reason is A.undef:
        return f"{what}: there is no such function there, or it is not exported"
    return f"{what} failed with {_brief(error.reason)}"


# --- the commands ----------------------------------------------------------------------------------
def ping(args: argparse.Namespace) -> int:
    """Ask `args.count` times, one second apart; fail if any answer is missing."""
    output = Output(json_=args.json)
    began = time.perf_counter()
    with connected(args) as cluster:
        joined = (time.perf_counter() - began) * 1000
        times = []
        for turn in range(args.count):
            if turn:
                time.sleep(1.0)
            pong, took = asked(lambda: cluster.ping(args.node), f"ping of {args.node}", args.timeout)
            if not pong:
                raise Failed(f"{args.node} does not answer; it was connected {joined:.0f} ms after the start")
            times.append(round(took, 3))
            output.line(f"{output.paint('pong', 'green')} from {args.node} in {took:.2f} ms")
        output.document(ok=True, node=args.node, connect_ms=round(joined, 3), ping_ms=times)
    return 0


def call(args: argparse.Namespace) -> int:
    """``GenServer.call({NAME, NODE}, TERM)``."""
    name = read_name(args.server)
    node = _asked_node(args)
    read_term(args.request, "TERM", _style(args), node)  # what is none is told before anything is tried
    with connected(args) as cluster:
        request = read_term(args.request, "TERM", _style(args), node, _creation(cluster, node))
        what = f"call of {args.server} on {args.node}"
        answer, took = asked(lambda: cluster.call((name, args.node), request, timeout=args.timeout), what, args.timeout)
        _print(args, answer, took, release_of(cluster, args))
    return 0


def rpc(args: argparse.Namespace) -> int:
    """``erpc:call(NODE, M, F, ARGS)``."""
    module, function = read_name(args.module), read_name(args.function)
    node = _asked_node(args)
    arguments = read_term(args.arguments, "ARGS", _style(args), node)
    if not isinstance(arguments, list):
        raise UsageError(f"ARGS is the list of the arguments: write '[{args.arguments}]' for one argument")
    with connected(args) as cluster:
        arguments = read_term(args.arguments, "ARGS", _style(args), node, _creation(cluster, node))
        what = f"{args.module}:{args.function}/{len(arguments)} on {args.node}"
        answer, took = asked(
            lambda: cluster.rpc(args.node, module.name, function.name, arguments, timeout=args.timeout),
            what,
            args.timeout,
        )
        _print(args, answer, took, release_of(cluster, args))
    return 0


def _print(args: argparse.Namespace, answer: Any, took: float, release: int) -> None:
    output = Output(json_=args.json, style=_style(args), release=release)
    output.term(answer, node=args.node, ms=round(took, 3))
