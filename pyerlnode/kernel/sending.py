"""``erlang:send/3`` and ``erlang:send_nosuspend/2,3``: a message with options, for those who would rather not wait.

    ok            it was handed over, or dropped where OTP drops it
    nosuspend     it was not sent: the peer does not read, and the sender would have had to wait
    noconnect     it was not sent: there is no connection to that node

With the option `priority` a message to an alias that its owner made with ``priority`` comes before the ordinary ones;
to anything else, and to a peer before OTP 28, it is an ordinary one.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.errors import ConnectError
from pyerlnode.kernel.net_kernel import NetKernel
from pyerlnode.runtime.names import Global, Via, whereis_name
from pyerlnode.signal import Message
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference


def send(
    kernel: NetKernel,
    dest: Any,
    message: Any,
    *,
    nosuspend: bool = False,
    noconnect: bool = False,
    priority: bool = False,
) -> Atom:
    """What became of it, as above. Raises what `System.send` does."""
    system = kernel.system
    if isinstance(dest, (Global, Via)):
        dest = whereis_name(system, dest)
        if dest is None:
            return A.ok
    if isinstance(dest, (Pid, Reference)):
        node = dest.node
    else:
        dest, node = system.split_name(dest)
    if node is system.node:
        if priority and type(dest) is Reference:
            system.to_alias(dest, message, True)
        else:
            system.send(dest, message)
        return A.ok
    peer = system.peers.get(node)
    way: Any = kernel.connections.get(node) or (None if peer is None else peer.dialling)
    if way is None:
        if noconnect:
            return A.noconnect
        try:
            way = kernel.begin(node)
        except ConnectError:
            return A.ok  # as what is sent to a node that does not answer
    signal = Message(system.myself().pid, dest, message, None, priority)
    if system.trace_tokens is not None:
        system.trace_tokens.stamped(signal)
    sent = way.send(signal, nosuspend=nosuspend)
    return A.nosuspend if nosuspend and not sent and not way.closed else A.ok
