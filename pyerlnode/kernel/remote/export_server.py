"""Servers that processes of other nodes start and supervise: ``node.export_server("Elixir.Calc", Counter)``.

A supervisor's start function must give a pid that is linked to the supervisor. A function that is called by `erpc`
runs in a process of its own, which ends with the call, so a link to *that* process would be of no use. But the request
for the call comes from the caller itself (protocol.md E.6), so its pid is known here, and the server is linked to it
over the wire before its `init` runs. What is exported, with `Calc` for the module:

    start_link(Arg…)   {ok, Pid} linked to the caller | ignore | {error, Reason}
    start(Arg…)        the same without a link
    child_spec(Arg)    the map for a supervisor of any node, whose start is {erpc, call, [Node, Calc, start_link, …]}

On the BEAM nothing but OTP is needed:

    Supervisor.start_link([%{id: Calc, start: {:erpc, :call, [:"py@host", Calc, :start_link, [41]]}}], …)

The supervisor is the server's parent as OTP means it: its exit signal ends also a server that traps exits, by way of
`terminate`. A caller that gives up before the server has started does not get one later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

from pyerlnode.brief import short
from pyerlnode.errors import AlreadyStarted, StartFailed, UsageError
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.kernel.remote.spawn_server import Call
from pyerlnode.otp import gen_event, gen_server, gen_statem
from pyerlnode.otp.behaviour import Behaviour
from pyerlnode.otp.child_spec import ChildSpec, Start, from_mapping
from pyerlnode.runtime.process import Process, current
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid


class Host(Protocol):
    """A node: what has exports and a system."""

    exports: Exports

    @property
    def system(self) -> System: ...


class ServerExport:
    """The functions under which one class can be started from elsewhere."""

    def __init__(self, host: Host, module: Atom, cls: type[Behaviour], name: Any, options: Mapping[str, Any]) -> None:
        self._host = host
        self._module = module
        self._cls = cls
        self._name = name
        self._options = {**getattr(cls, "child_options", {}), **options}

    def start_link(self, *args: Any) -> Any:
        """Start one that is linked to who asks: the caller of the `erpc`, or the current process."""
        asking = current()
        if asking is None:
            raise UsageError("start_link links to the process that calls it; this greenlet is none")
        parent = caller_of(asking)
        answer = self._start(args, parent)
        if isinstance(parent, Pid) and isinstance(asking.handler, Call) and not asking.monitored_by:
            self._end(answer)  # nobody waits for it any more
        return answer

    def start(self, *args: Any) -> Any:
        """Start one on its own."""
        return self._start(args, None)

    def child_spec(self, arg: Any = None) -> dict[Atom, Any]:
        """The child specification for a supervisor of another node; a list of arguments is given as `arg`."""
        args = arg if isinstance(arg, list) else [] if arg is None else [arg]
        start = Start(self.start_link, (self._host.system.node, self._module, A.start_link, args), A.erpc, A.call)
        spec: ChildSpec = from_mapping({"id": self._name or self._module, **self._options, "start": start})
        return spec.to_wire()

    def _start(self, args: tuple[Any, ...], link: Process | Pid | None) -> Any:
        system, cls = self._host.system, cast(Any, self._cls)
        try:
            if issubclass(cls, gen_statem.GenStatem):
                pid = gen_statem.start(system, cls, args, {}, name=self._name, link=link)
            elif issubclass(cls, gen_event.GenEvent):
                pid = gen_event.start(system, name=self._name, link=link)
            else:
                pid = gen_server.start(system, cls, args, {}, name=self._name, link=link)
        except (AlreadyStarted, StartFailed) as error:
            return A.error, error.reason
        return A.ignore if pid is None else (A.ok, pid)

    def _end(self, answer: Any) -> None:
        match answer:
            case (A.ok, Pid() as pid):
                process = self._host.system.process(pid)
                if process is not None:
                    process.exit(A.killed)


def caller_of(process: Process) -> Process | Pid:
    """Who asked for what `process` runs: of a remote call the process that made it, else `process` itself."""
    return process.handler.caller() if isinstance(process.handler, Call) else process


def export_server(
    host: Host, module: str | Atom, cls: type[Behaviour], *, name: str | Atom | None = None, **options: Any
) -> None:
    """Let other nodes start servers of `cls` as ``module:start_link`` and supervise them.

    Args:
        host: the node.
        module: what other nodes call it: ``Elixir.Calc`` is Elixir's `Calc`.
        cls: a `GenServer`, `GenStatem`, `GenEvent` or `Supervisor`.
        name: registered by the start; then there can be one at a time.
        options: keys of a child specification for `child_spec`: id, restart, shutdown (seconds), type, significant.
    """
    if not (isinstance(cls, type) and issubclass(cls, Behaviour)):
        raise UsageError(f"export_server wants a class of a behaviour, not {short(cls)}")
    made = ServerExport(host, Atom(str(module)), cls, None if name is None else Atom(str(name)), options)
    made.child_spec()  # a wrong option is an error here, not in a supervisor far away
    functions = {"start_link": made.start_link, "start": made.start, "child_spec": made.child_spec}
    host.exports.add_all(module, functions)
