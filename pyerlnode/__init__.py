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
        "AlreadyStarted", "CallTimeout", "ConnectError", "DecodeError", "EncodeError", "Error", "Exit",
        "MadeBeforeFork", "NameTaken", "NoProc", "NodeDown", "PyerlnodeError", "ReceiveTimeout", "RemoteError",
        "RemoteExit", "RemoteThrow", "RpcError", "RpcFailed", "ServerExit", "StartFailed", "Throw", "UsageError",
        "WrongThread",
    ),
    "pyerlnode.etf": ("decode", "encode"),
    "pyerlnode.etf.codec": ("Codec",),
    "pyerlnode.facade": ("Cluster", "connect"),
    "pyerlnode.kernel.objects.handle": ("ObjectHandle",),
    "pyerlnode.kernel.objects.server": ("Kept", "keep"),
    "pyerlnode.kernel.remote.child": ("remote_child", "remote_server"),
    "pyerlnode.kernel.streams.handle": ("Stream",),
    "pyerlnode.kernel.streams.server": ("streamed",),
    "pyerlnode.limits": ("Limits",),
    "pyerlnode.node": ("Node",),
    "pyerlnode.otp.agent": ("Agent",),
    "pyerlnode.otp.api": ("call", "cast", "reply"),
    "pyerlnode.otp.application": ("Application", "Applications"),
    "pyerlnode.otp.child_spec": ("child_spec",),
    "pyerlnode.otp.dynamic_supervisor": ("DynamicSupervisor",),
    "pyerlnode.otp.partition_supervisor": ("PartitionSupervisor",),
    "pyerlnode.otp.registry": ("Registry",),
    "pyerlnode.otp.supervisor": ("Supervise", "Supervisor"),
    "pyerlnode.otp.task": ("Task",),
    "pyerlnode.otp.task_supervisor": ("TaskSupervisor",),
    "pyerlnode.otp.where": ("start_link",),
    "pyerlnode.otp.gen_event": ("EventHandler",),
    "pyerlnode.otp.gen_server": ("GenServer",),
    "pyerlnode.otp.gen_statem": (
        "GenStatem", "KeepState", "NextEvent", "NextState", "Postpone", "RepeatState", "ReplyTo",
    ),
    "pyerlnode.otp.results": ("Continue", "Fail", "Ignore", "NoReply", "Reply", "Stop", "Timeout"),
    "pyerlnode.port.owner": ("run_until_stdin_closes",),
    "pyerlnode.port_program": ("BEAM", "PortProgram"),
    "pyerlnode.runtime.api": (
        "alias", "demonitor", "exit_", "link", "make_ref", "monitor", "offload", "process_flag", "process_info",
        "receive", "register", "self_", "send", "send_after", "spawn", "spawn_link", "spawn_monitor", "unalias",
        "unlink", "unregister", "whereis",
    ),
    "pyerlnode.runtime.bounded": ("MailboxLimit",),
    "pyerlnode.runtime.names": ("Global", "Via"),
    "pyerlnode.schema": (
        "AtomEnum", "ElixirError", "MapSet", "arrow", "atom_map", "decode_as", "elixir_struct", "nx", "record",
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
    "Agent",
    "AlreadyStarted",
    "Application",
    "Applications",
    "Atom",
    "AtomEnum",
    "Bitstring",
    "CallTimeout",
    "Charlist",
    "Cluster",
    "Codec",
    "ConnectError",
    "Continue",
    "DecodeError",
    "DynamicSupervisor",
    "ElixirError",
    "EncodeError",
    "Error",
    "EventHandler",
    "Exit",
    "ExternalFun",
    "Fail",
    "FrozenList",
    "FrozenMap",
    "Fun",
    "GenServer",
    "GenStatem",
    "Global",
    "Ignore",
    "ImproperList",
    "KeepState",
    "Kept",
    "Limits",
    "MadeBeforeFork",
    "MailboxLimit",
    "MapSet",
    "NameTaken",
    "NextEvent",
    "NextState",
    "NoProc",
    "NoReply",
    "Node",
    "NodeDown",
    "ObjectHandle",
    "PartitionSupervisor",
    "Pid",
    "Port",
    "PortProgram",
    "Postpone",
    "PyerlnodeError",
    "Range",
    "ReceiveTimeout",
    "Reference",
    "Registry",
    "RemoteError",
    "RemoteExit",
    "RemoteThrow",
    "RepeatState",
    "Reply",
    "ReplyTo",
    "RpcError",
    "RpcFailed",
    "ServerExit",
    "StartFailed",
    "Stop",
    "Stream",
    "Struct",
    "Supervise",
    "Supervisor",
    "Task",
    "TaskSupervisor",
    "TermMap",
    "Throw",
    "Timeout",
    "UsageError",
    "Via",
    "WrongThread",
    "__version__",
    "alias",
    "arrow",
    "atom_map",
    "call",
    "cast",
    "child_spec",
    "connect",
    "decode",
    "decode_as",
    "demonitor",
    "elixir_struct",
    "encode",
    "exit_",
    "keep",
    "kw",
    "kwget",
    "kwmap",
    "link",
    "make_ref",
    "monitor",
    "nx",
    "offload",
    "process_flag",
    "process_info",
    "receive",
    "record",
    "register",
    "remote_child",
    "remote_server",
    "reply",
    "run_until_stdin_closes",
    "self_",
    "send",
    "send_after",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "start_link",
    "streamed",
    "text",
    "unalias",
    "unlink",
    "unregister",
    "whereis",
]

if TYPE_CHECKING:
    from pyerlnode.errors import (
        AlreadyStarted,
        CallTimeout,
        ConnectError,
        DecodeError,
        EncodeError,
        Error,
        Exit,
        MadeBeforeFork,
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
        WrongThread,
    )
    from pyerlnode.etf import decode, encode
    from pyerlnode.etf.codec import Codec
    from pyerlnode.facade import Cluster, connect
    from pyerlnode.kernel.objects.handle import ObjectHandle
    from pyerlnode.kernel.objects.server import Kept, keep
    from pyerlnode.kernel.remote.child import remote_child, remote_server
    from pyerlnode.kernel.streams.handle import Stream
    from pyerlnode.kernel.streams.server import streamed
    from pyerlnode.limits import Limits
    from pyerlnode.node import Node
    from pyerlnode.otp.agent import Agent
    from pyerlnode.otp.api import call, cast, reply
    from pyerlnode.otp.application import Application, Applications
    from pyerlnode.otp.child_spec import child_spec
    from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
    from pyerlnode.otp.gen_event import EventHandler
    from pyerlnode.otp.gen_server import GenServer
    from pyerlnode.otp.gen_statem import GenStatem, KeepState, NextEvent, NextState, Postpone, RepeatState, ReplyTo
    from pyerlnode.otp.partition_supervisor import PartitionSupervisor
    from pyerlnode.otp.registry import Registry
    from pyerlnode.otp.results import Continue, Fail, Ignore, NoReply, Reply, Stop, Timeout
    from pyerlnode.otp.supervisor import Supervise, Supervisor
    from pyerlnode.otp.task import Task
    from pyerlnode.otp.task_supervisor import TaskSupervisor
    from pyerlnode.otp.where import start_link
    from pyerlnode.port.owner import run_until_stdin_closes
    from pyerlnode.port_program import BEAM, PortProgram
    from pyerlnode.runtime.api import (
        alias,
        demonitor,
        exit_,
        link,
        make_ref,
        monitor,
        offload,
        process_flag,
        process_info,
        receive,
        register,
        self_,
        send,
        send_after,
        spawn,
        spawn_link,
        spawn_monitor,
        unalias,
        unlink,
        unregister,
        whereis,
    )
    from pyerlnode.runtime.bounded import MailboxLimit
    from pyerlnode.runtime.names import Global, Via
    from pyerlnode.schema import (
        AtomEnum,
        ElixirError,
        MapSet,
        arrow,
        atom_map,
        decode_as,
        elixir_struct,
        nx,
        record,
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
        kwmap,
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
