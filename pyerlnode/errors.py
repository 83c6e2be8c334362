"""What can go wrong, sorted by whose side it is on.

Every exception of the library is a `PyerlnodeError`, and its first base says who can mend it: the
caller (`UsageError`), the peer (`PeerError`), the network (`NetworkError`). Two families are not
faults but OTP's own words. `Error`, `Exit` and `Throw` are Erlang's ``error(R)``, ``exit(R)`` and
``throw(V)``: raised in a callback or a function of a process, they do there what those do in Erlang.
`RemoteError`, `RemoteExit` and `RemoteThrow` are the same three classes of a remote function that
did not return; one that is let through goes on as what it was. Anything else that escapes is our bug.

The text of each is one line that a person can act on; it never carries a cookie or a message body.
"""

from __future__ import annotations

from typing import Any

from pyerlnode.brief import told


class PyerlnodeError(Exception):
    """The base of everything that this library raises on purpose."""


# --- the caller's side -------------------------------------------------------------------------
class UsageError(PyerlnodeError, ValueError):
    """A value given to the library is not usable; the text says which and what to give instead."""


class EncodeError(UsageError):
    """A Python value has no form on the wire. Raised at the sender, before anything is queued.

    `path` says where in the term it stands, as Python would index it: ``[2]['key']``.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{message} (at term{path})" if path else message)
        self.path = path


class TermSyntaxError(UsageError):
    """Text that is not a term; `position` is the offset in the text, counted from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} at character {position + 1}")
        self.position = position


class BadName(UsageError):
    """A node name or a registered name that the protocol can not carry."""


class CookieError(UsageError):
    """No usable cookie: a bad value, or a cookie file that others can read."""


class NameRegistered(UsageError):
    """`register` of a name that is taken, or of a process that is not alive (OTP: `badarg`)."""


class NotAProcess(UsageError):
    """A call that only a process can make (`receive`, `link`) was made outside of one."""


class MadeBeforeFork(UsageError):
    """A node, or a connection to a cluster, was used in a fork of the OS process that it belongs to."""


class WrongThread(UsageError):
    """A node was used by a thread other than its own, where that can not work; `node.run` is the way in."""


# --- the peer's side ---------------------------------------------------------------------------
class PeerError(PyerlnodeError):
    """A peer broke the protocol."""


class DecodeError(PeerError, ValueError):
    """Bytes that are not a term; `offset` is where, counted from the first byte given."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} at byte {offset}")
        self.offset = offset


class LimitExceeded(DecodeError):
    """Bytes that claim more than the limits of `pyerlnode.limits` allow."""


class SchemaError(PeerError, UsageError):
    """A term is not of the type that was asked for; `path` says where in the term, as Python would index it.

    The peer sent another shape, or the program asks for the wrong one: so it is both sides' error.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{message} (at term{path})" if path else message)
        self.path = path


class ProtocolError(PeerError):
    """Framing or control data that leaves the connection unusable: it must be closed."""


class HandshakeError(ProtocolError):
    """The handshake did not come to an end; `reason` is one word: `not_allowed`, `nok`, `bad_cookie`, …"""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class AnotherNode(HandshakeError):
    """Who answered is not the node that was dialled; `found` is its name."""

    def __init__(self, message: str, found: str) -> None:
        super().__init__(message, "protocol")
        self.found = found


class FlagsMissing(HandshakeError):
    """The peer lacks flags that no node of today can do without."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "not_allowed")


# --- the network's side ------------------------------------------------------------------------
class NetworkError(PyerlnodeError, ConnectionError):
    """Something between the nodes: EPMD, a port, a host."""


class EpmdError(NetworkError):
    """EPMD could not be asked or gave no usable answer."""


class NameTaken(EpmdError):
    """Another node is registered at EPMD under this name."""


class ConnectError(NetworkError):
    """No connection to `node` came about; `reason` is one word.

    The words: `no_epmd`, `unknown_node`, `unknown_host`, `refused`, `timeout`, `bad_cookie`, `not_allowed`,
    `not_connected`, `nok`, `closed`, `protocol`, `self`, `stopped`, `tls`, `bad_name`.
    """

    def __init__(self, message: str, node: str, reason: str) -> None:
        super().__init__(message)
        self.node = node
        self.reason = reason


class NoSuchNodeName(ConnectError, BadName):
    """There can be no node of that name. Whoever names it, a program or a peer in a term: it can not be reached."""


# --- OTP's words -------------------------------------------------------------------------------
class Error(PyerlnodeError):
    """Erlang's ``error(Reason)``, for any term: a process that lets it escape ends with ``{Reason, Stack}``.

    `stack` has Erlang's frames; without one it is that of the Python code that raised it.
    """

    def __init__(self, reason: Any, stack: Any = (), message: str | None = None) -> None:
        super().__init__(message if message is not None else f"error: {told(reason)}")
        self.reason = reason
        self.stack = stack


class Exit(PyerlnodeError):
    """A process ends with `reason` (any term). Raised in a process: OTP's ``exit(Reason)``.

    A failed `call` raises one of the subclasses, so an uncaught one ends the caller as in OTP.
    """

    def __init__(self, reason: Any, message: str | None = None) -> None:
        super().__init__(message if message is not None else f"exit: {told(reason)}")
        self.reason = reason


class NoProc(Exit):
    """The process, name or alias that was called does not exist (OTP: `noproc`)."""


class NodeDown(Exit):
    """The connection to the process called was lost or never came about (OTP: `nodedown`, `noconnection`)."""


class CallTimeout(Exit, TimeoutError):
    """No answer within the time-out; a late one is dropped (OTP: `timeout`)."""


class ServerExit(Exit):
    """The call was ended: the server died before it answered, or the function of a worker raised.

    `reason` is OTP's ``{Reason, {gen_server, call, …}}``. When a Python exception did it, `__cause__` is its
    `PythonError`.
    """


class PythonError(PyerlnodeError):
    """A Python exception that was raised in another process, as its exit reason tells of it.

    It stands behind a `ServerExit`, as its ``__cause__``: `kind` is the name of the class, `message` its text, and
    `traceback` the frames as Python prints them, which a printed traceback shows from Python 3.11 on.
    """

    def __init__(self, kind: str, message: str, traceback: str = "") -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.traceback = traceback and f"Traceback (most recent call last):\n{traceback}{kind}: {message}"
        add_note = getattr(self, "add_note", None)
        if self.traceback and add_note is not None:
            add_note(self.traceback)


class StartFailed(Exit):
    """A process did not start: its `init` raised, stopped or was killed (OTP: ``{error, Reason}`` of `start`)."""


class AlreadyStarted(StartFailed):
    """The name is taken by `pid` (OTP: ``{error, {already_started, Pid}}``)."""

    def __init__(self, reason: Any, message: str, pid: Any) -> None:
        super().__init__(reason, message)
        self.pid = pid


class Throw(PyerlnodeError):
    """Erlang's ``throw(Value)``.

    In a callback of a behaviour it is another way to give `value` back, as in OTP. A function that was called by
    `erpc` throws at its caller; a process whose own function lets it escape ends with ``{{nocatch, Value}, Stack}``.
    """

    def __init__(self, value: Any) -> None:
        super().__init__(f"throw: {told(value)}")
        self.value = value


class RpcError(PyerlnodeError):
    """A remote function did not return; the base of the ways in which it did not."""


class RemoteError(RpcError, Error):
    """The remote function ended by an error: `reason` as Erlang has it, `stack` its frames."""

    def __init__(self, reason: Any, stack: Any = (), message: str | None = None) -> None:
        Error.__init__(self, reason, stack, message if message is not None else f"remote error: {told(reason)}")


class RemoteExit(RpcError):
    """The remote function ended by ``exit(Reason)``."""

    def __init__(self, reason: Any) -> None:
        super().__init__(f"remote exit: {told(reason)}")
        self.reason = reason


class RemoteThrow(RpcError, Throw):
    """The remote function ended by ``throw(Value)``."""

    def __init__(self, value: Any) -> None:
        PyerlnodeError.__init__(self, f"remote throw: {told(value)}")
        self.value = value


class RpcFailed(RpcError):
    """The call itself failed: `reason` is `noconnection`, `timeout`, `notsup`, `system_limit`, or a signal's."""

    def __init__(self, reason: Any, message: str | None = None) -> None:
        super().__init__(message if message is not None else f"remote call failed: {told(reason)}")
        self.reason = reason


class ReceiveTimeout(PyerlnodeError, TimeoutError):
    """No message that matches arrived in time."""
