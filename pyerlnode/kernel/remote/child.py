"""Children on other nodes: what a Python supervisor is told to start, watch and stop on a BEAM.

    class Shop(Supervisor):
        def init(self):
            return Supervise([
                remote_server(["app@10.0.0.1", "app@10.0.0.2"], "Elixir.Stock", 41, id="stock"),
                remote_child("app@10.0.0.1", "Elixir.Shop.Supervisor", "start_link", [[]], type="supervisor"),
            ])

A supervisor's child must be linked to the supervisor, and what a call by `erpc` links to is the process of the call,
which ends at once. So both start a process by a spawn request with a link, and no call is involved:

`remote_server`   speaks OTP's own start protocol: ``proc_lib:init_p`` of ``gen:init_it`` with us as starter and parent,
                  answered by ``{ack, Pid, Return}`` or, from OTP 26 on, ``{nack, Pid, Return}`` (protocol.md E.4). The
                  child *is* the GenServer, its parent is the supervisor: it ends by `terminate` on `shutdown`.
`remote_child`    runs any start function, ``Module:Function(Args)``, which links what it starts to its caller; so the
                  caller has to stay. It is a small process of `erl_eval`, of OTP alone, which the BEAM's side needs
                  nothing for: it hands exits on, both ways, and is the child that the supervisor knows. It can not
                  hand on its own `kill`, so a second process watches it and kills what it kept.

When the connection is lost the peer ends its side (the parent is gone: `noconnection`), and the supervisor gets an exit
`noconnection` and starts the child again: on the first of the nodes that starts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from pyerlnode.brief import short
from pyerlnode.errors import CallTimeout, RpcFailed, StartFailed, UsageError
from pyerlnode.kernel.remote import erpc, spawn
from pyerlnode.otp import gen
from pyerlnode.otp.child_spec import ChildSpec, Start, from_mapping
from pyerlnode.runtime.mailbox_core import NOTHING
from pyerlnode.runtime.process import Process, require_current
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

Name = str | Atom
START_TIMEOUT: Final = 30.0
BEHAVIOURS: Final = ("gen_server", "gen_statem", "gen_event", "supervisor")

# The caller of a start function, in Erlang. Parsed by the peer itself, so that the forms are those of its release.
KEEPER: Final = """
process_flag(trap_exit, true),
Ack = fun(Return) -> Parent ! {ack, self(), Return} end,
Stop = fun(Child, Why) ->
    exit(Child, if Why =:= noconnection -> shutdown; true -> Why end),
    receive {'EXIT', Child, Reason} -> exit(Reason) end
end,
Keep = fun Keep(Child) ->
    receive
        {'EXIT', Parent, Why} -> Stop(Child, Why);
        {'EXIT', Child, Why} -> exit(Why);
        {'EXIT', _, _} -> Keep(Child);
        {get_child, From, Ref} -> From ! {Ref, Child}, Keep(Child);
        _ -> Keep(Child)
    end
end,
Guard = fun(Child, Keeper) ->
    monitor(process, Keeper),
    receive {'DOWN', _, _, _, killed} -> exit(Child, kill); {'DOWN', _, _, _, _} -> ok end
end,
Begin = fun(Child) ->
    Keeper = self(),
    spawn(fun() -> Guard(Child, Keeper) end),
    Ack({ok, Keeper, Child}),
    Keep(Child)
end,
case catch apply(M, F, Args) of
    {ok, Child} when is_pid(Child) -> Begin(Child);
    {ok, Child, _} when is_pid(Child) -> Begin(Child);
    ignore -> Ack(ignore), exit(normal);
    {error, Error} -> Ack({error, Error}), exit(normal);
    Other -> Ack({error, Other}), exit(normal)
end.
"""


def remote_server(
    nodes: Name | Iterable[Name],
    module: Name,
    args: Any = None,
    *,
    name: Name | None = None,
    behaviour: str = "gen_server",
    timeout: float = START_TIMEOUT,
    **options: Any,
) -> ChildSpec:
    """A `GenServer` (or another behaviour) of a peer, as a child: ``Module.init(args)`` runs there.

    Args:
        nodes: where: the first of these that starts it.
        module: the callback module: ``Elixir.Stock``.
        name: registered there.
        behaviour: gen_server, gen_statem, gen_event or supervisor.
        timeout: seconds for a start on one node, `init` included.
        options: keys of a child specification: id (else the module), restart, shutdown (seconds), significant.
    """
    if behaviour not in BEHAVIOURS:
        raise UsageError(f"behaviour is one of {', '.join(BEHAVIOURS)}, not {short(behaviour)}")
    callback = Atom(str(module))
    kind = Atom("supervisor" if behaviour == "supervisor" else "worker")
    given = None if name is None else Atom(str(name))
    start = Start(start_server, (_names(nodes), Atom(behaviour), callback, given, args, timeout), A.gen, A.start)
    return from_mapping({"id": given or callback, "type": kind, "modules": [callback], **options, "start": start})


def remote_child(
    nodes: Name | Iterable[Name],
    module: Name,
    function: Name,
    args: Iterable[Any] = (),
    *,
    timeout: float = START_TIMEOUT,
    **options: Any,
) -> ChildSpec:
    """What a start function of a peer starts, ``Module:Function(Args)``, as a child.

    The child's pid is that of the process that called the function there; `child_of` gives the pid behind it. Its exit
    reasons are those of the process behind it. Arguments are those of `remote_server`.
    """
    owner = Atom(str(module))
    start = Start(start_mfa, (_names(nodes), owner, Atom(str(function)), list(args), timeout), owner, A.start_link)
    return from_mapping({"id": owner, "modules": [owner], **options, "start": start})


# --- start functions: run by the supervisor's process --------------------------------------------
def start_server(nodes: list[Atom], behaviour: Atom, module: Atom, name: Any, args: Any, timeout: float) -> Any:
    """Start a behaviour on the first of `nodes` that can: ``{ok, Pid}`` linked to the current process."""
    me = require_current()
    named = [] if name is None else [(A.local, name)]
    if behaviour is A.supervisor:  # itself a gen_server, whose callback module is `supervisor`
        args = (named[0] if named else A.self, module, args)
        behaviour, module = A.gen_server, A.supervisor
    init = [behaviour, me.pid, me.pid, *named, module, args, []]
    mfa = (A.proc_lib, A.init_p, [me.pid, [me.pid], A.gen, A.init_it, init])
    return _on_first(me, nodes, lambda _: mfa, timeout)


def start_mfa(nodes: list[Atom], module: Atom, function: Atom, args: list[Any], timeout: float) -> Any:
    """Call a start function in a process that stays, on the first of `nodes` that can: ``{ok, Pid, Child}``."""
    me = require_current()
    bindings = {A.Parent: me.pid, A.M: module, A.F: function, A.Args: args}
    return _on_first(me, nodes, lambda node: (A.erl_eval, A.exprs, [_keeper(me, node, timeout), bindings]), timeout)


def child_of(pid: Pid, timeout: float = 5.0) -> Pid:
    """The process behind the pid of a `remote_child`. Raises `CallTimeout` when it does not say."""
    me = require_current()
    ref = me.system.new_ref()
    me.system.send(pid, (A.get_child, me.pid, ref))
    message = me.receive(lambda m: type(m) is tuple and len(m) == 2 and exact.same(m[0], ref), timeout)
    if message is NOTHING:
        raise CallTimeout(A.timeout, f"{pid} did not say whom it keeps within {timeout} s")
    found: Pid = message[1]
    return found


# --- carrying it out -------------------------------------------------------------------------------
def _names(nodes: Name | Iterable[Name]) -> list[Atom]:
    names = [nodes] if isinstance(nodes, (str, Atom)) else list(nodes)
    if not names:
        raise UsageError("a remote child needs a node")
    return [Atom(str(name)) for name in names]


def _on_first(me: Process, nodes: list[Atom], mfa_for: Callable[[Atom], spawn.Mfa], timeout: float) -> Any:
    """The answer of the first node that is there. Raises `StartFailed` with ``{nodedown, Node}`` when none is."""
    why: Exception | None = None
    for node in nodes:
        answer, why = _on_one(me, node, mfa_for, timeout)
        if why is None:
            return answer
    reason = (A.nodedown, nodes[-1])
    raise StartFailed(reason, f"none of {', '.join(map(str, nodes))} could start it: {why}") from why


def _on_one(
    me: Process, node: Atom, mfa_for: Callable[[Atom], spawn.Mfa], timeout: float
) -> tuple[Any, Exception | None]:
    """(the answer, None), or (None, why the node could not be had)."""
    try:
        pid = spawn.spawn_on(me.system, me, node, mfa_for(node), [A.link], timeout)
        return _acknowledged(me, pid, timeout), None
    except RpcFailed as error:
        if error.reason is not A.noconnection:
            raise StartFailed(error.reason, str(error)) from error
        return None, error
    except CallTimeout as error:
        return None, error


def _acknowledged(me: Process, pid: Pid, timeout: float) -> Any:
    """Wait for what `pid` says of its start; nothing of it is left in the mailbox when it failed."""

    def told(message: Any) -> bool:
        return type(message) is tuple and len(message) == 3 and type(message[1]) is Pid and message[1] == pid

    answer = me.receive(told, timeout)
    if answer is NOTHING:
        me.system.unlink(me, pid)
        me.system.exit(pid, A.kill)
        raise StartFailed(A.timeout, f"{pid} did not start within {timeout} s")
    kind, _, value = answer
    if kind is A.EXIT:
        if value is A.noconnection:
            raise RpcFailed(value, f"the connection to {pid.node} was lost during the start")
        raise StartFailed(value, f"{pid} ended during its start: {gen.brief(value)}")
    if type(value) is not tuple or value[0] is not A.ok:  # it ends by itself; its exit message is not for us
        me.system.unlink(me, pid)
        me.receive(told, 0)
    return value


def _keeper(me: Process, node: Atom, timeout: float) -> Any:
    """The forms of `KEEPER`, parsed by the node that is to evaluate them."""
    tokens = erpc.call(me.system, node, "erl_scan", "string", [list(KEEPER.encode())], timeout)
    parsed = erpc.call(me.system, node, "erl_parse", "parse_exprs", [tokens[1]], timeout)
    return parsed[1]
