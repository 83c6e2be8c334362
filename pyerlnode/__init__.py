"""A gevent-powered Python node for Erlang and Elixir clusters.

    from pyerlnode import A, GenServer, Node, Reply

`Node` joins a cluster from a gevent program, `connect` from any other. The names below are the public face; what is
not listed here or in a module of the documentation may change.

They are imported when they are first used (PEP 562), so that a program pays for what it needs: terms and the codec come
without gevent.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "pyerlnode.errors": (
        "AlreadyStarted", "CallTimeout", "ConnectError", "DecodeError", "EncodeError", "Exit", "NameTaken", "NoProc",
        "NodeDown", "PyerlnodeError", "ReceiveTimeout", "RemoteError", "RemoteExit", "RemoteThrow", "RpcError",
        "RpcFailed", "ServerExit", "StartFailed", "Throw", "UsageError",
    ),
    "pyerlnode.etf": ("decode", "encode"),
    "pyerlnode.facade": ("Cluster", "connect"),
    "pyerlnode.limits": ("Limits",),
    "pyerlnode.node": ("Node",),
    "pyerlnode.otp.gen_server": ("GenServer",),
    "pyerlnode.otp.results": ("Continue", "Ignore", "NoReply", "Reply", "Stop", "Timeout"),
    "pyerlnode.port_program": ("BEAM", "PortProgram"),
    "pyerlnode.runtime.api": (
        "demonitor", "exit_", "link", "monitor", "process_flag", "receive", "register", "self_", "send", "spawn",
        "spawn_link", "spawn_monitor", "unlink", "whereis",
    ),
    "pyerlnode.term": (
        "A", "Atom", "Bitstring", "Charlist", "ExternalFun", "FrozenList", "FrozenMap", "Fun", "ImproperList", "Pid",
        "Port", "Range", "Reference", "Struct", "TermMap", "kw", "kwget", "text",
    ),
    "pyerlnode.term.containers": ("text",),
    "pyerlnode.term.pattern": ("ANY",),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ANY",
    "BEAM",
    "A",
    "AlreadyStarted",
    "Atom",
    "Bitstring",
    "CallTimeout",
    "Charlist",
    "Cluster",
    "ConnectError",
    "Continue",
    "DecodeError",
    "EncodeError",
    "Exit",
    "ExternalFun",
    "FrozenList",
    "FrozenMap",
    "Fun",
    "GenServer",
    "Ignore",
    "ImproperList",
    "Limits",
    "NameTaken",
    "NoProc",
    "NoReply",
    "Node",
    "NodeDown",
    "Pid",
    "Port",
    "PortProgram",
    "PyerlnodeError",
    "Range",
    "ReceiveTimeout",
    "Reference",
    "RemoteError",
    "RemoteExit",
    "RemoteThrow",
    "Reply",
    "RpcError",
    "RpcFailed",
    "ServerExit",
    "StartFailed",
    "Stop",
    "Struct",
    "TermMap",
    "Throw",
    "Timeout",
    "UsageError",
    "__version__",
    "connect",
    "decode",
    "demonitor",
    "encode",
    "exit_",
    "kw",
    "kwget",
    "link",
    "monitor",
    "process_flag",
    "receive",
    "register",
    "self_",
    "send",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "text",
    "unlink",
    "whereis",
]

if TYPE_CHECKING:
    from pyerlnode.errors import (
        AlreadyStarted,
        CallTimeout,
        ConnectError,
        DecodeError,
        EncodeError,
        Exit,
        NameTaken,
        NodeDown,
        NoProc,
        PyerlnodeError,
        ReceiveTimeout,
        RemoteError,
        RemoteExit,
        RemoteThrow,
        RpcError,
        RpcFailed,
        ServerExit,
        StartFailed,
        Throw,
        UsageError,
    )
    from pyerlnode.etf import decode, encode
    from pyerlnode.facade import Cluster, connect
    from pyerlnode.limits import Limits
    from pyerlnode.node import Node
    from pyerlnode.otp.gen_server import GenServer
    from pyerlnode.otp.results import Continue, Ignore, NoReply, Reply, Stop, Timeout
    from pyerlnode.port_program import BEAM, PortProgram
    from pyerlnode.runtime.api import (
        demonitor,
        exit_,
        link,
        monitor,
        process_flag,
        receive,
        register,
        self_,
        send,
        spawn,
        spawn_link,
        spawn_monitor,
        unlink,
        whereis,
    )
    from pyerlnode.term import (
        A,
        Atom,
        Bitstring,
        Charlist,
        ExternalFun,
        FrozenList,
        FrozenMap,
        Fun,
        ImproperList,
        Pid,
        Port,
        Range,
        Reference,
        Struct,
        TermMap,
        kw,
        kwget,
    )
    from pyerlnode.term.containers import text
    from pyerlnode.term.pattern import ANY


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'pyerlnode' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
