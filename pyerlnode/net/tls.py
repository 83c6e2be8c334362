"""TLS between a socket and the distribution, as ``-proto_dist inet_tls`` speaks it.

Reference: OTP's `inet_tls_dist`. The port is a TLS port from its first byte; inside, every length takes four bytes,
those of the handshake included, and a TLS record has nothing to do with a packet.

`TlsStream` carries the two handshakes (TLS's own, then the distribution's) with time-outs; its `transport` takes the
session over for the connection. Both let OpenSSL work on memory, so the socket stays ours: a `TlsTransport` never
waits, and the ticker's native thread may use it.
"""

from __future__ import annotations

import _socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.monkey import get_original

from pyerlnode.dist.fragment import Buffer
from pyerlnode.errors import HandshakeError
from pyerlnode.net.tls_options import Side, certificate_is_for
from pyerlnode.net.transport import READ_SIZE, peer_name
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

LENGTH_BYTES = 4
"""Of every length inside TLS."""
_HANDSHAKE_RECORD = 0x16
_TAKEN = 256 * 1024
"""Plain bytes that are turned into records at a time: the bound on what waits as records."""
_NOT_TLS = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"))

_allocate_lock = get_original("_thread", "allocate_lock")
_get_ident = get_original("_thread", "get_ident")


class TlsStream:
    """A TLS session over a gevent socket. What goes wrong with TLS is a `HandshakeError` with the reason `tls`.

    Args:
        who: how errors name the peer.
        host: of a client: the host that the server's certificate must be for, when its side checks that.
    """

    def __init__(self, sock: Any, side: Side, *, who: str, host: str = "") -> None:
        self._sock = sock
        self._who = who
        self._host = host
        self._side = side
        self._heard = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = side.context().wrap_bio(
            self._incoming, self._outgoing, server_side=side.server, server_hostname=host or None
        )

    def handshake(self, timeout: float) -> None:
        """TLS's own handshake, and the checks of the peer's certificate."""
        end = time.monotonic() + timeout
        while not self._step():
            self._flush(end)
            self._fill(end)
        self._flush(end)
        if self._host and self._side.checks_host and not self.is_for(self._host):
            raise HandshakeError(f"{self._who}: its certificate is not for the host {self._host}", "tls")

    def _step(self) -> bool:
        """As far as the records that came allow; True when it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self._last_words()
            raise self._failure(error) from None
        return True

    def is_for(self, host: str) -> bool:
        """Whether the peer's certificate, which was verified, names `host`."""
        return certificate_is_for(self._tls.getpeercert(), host)

    @property
    def heard(self) -> bool:
        """Whether the peer has sent anything."""
        return self._heard

    @property
    def checks_host(self) -> bool:
        return self._side.checks_host

    # --- what a handshake of the distribution needs -----------------------------------------------
    def settimeout(self, value: float | None) -> None:
        self._sock.settimeout(value)

    def recv(self, size: int) -> bytes:
        data = self._plain_bytes(size)
        while data is None:
            data = self._plain_bytes(size) if self._fill(None) else b""
        return data

    def _plain_bytes(self, size: int) -> bytes | None:
        """What the records that came hold: b"" at the end, None when they hold nothing more."""
        try:
            return self._tls.read(size)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:  # TLS 1.3 tells a client that it was refused only now
            self._last_words()
            raise self._failure(error) from None

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[self._tls.write(data) :]
        self._sock.sendall(self._outgoing.read())

    def close(self) -> None:
        self._sock.close()

    def transport(self) -> TlsTransport:
        """The session for a connection; this stream is spent."""
        return TlsTransport(self._sock, self._tls, self._incoming, self._outgoing)

    # --- records ------------------------------------------------------------------------------------
    def _flush(self, end: float) -> None:
        data = self._outgoing.read()
        if data:
            self._sock.settimeout(max(0.001, end - time.monotonic()))
            try:
                self._sock.sendall(data)
            except OSError:
                raise self._closed() from None

    def _fill(self, end: float | None) -> bool:
        """Take records from the socket; False at the end of the stream when no `end` was given."""
        if end is not None:
            self._sock.settimeout(max(0.001, end - time.monotonic()))
        try:
            data = self._sock.recv(16 * 1024)
        except TimeoutError:
            if end is None:
                raise
            raise HandshakeError(f"{self._who} did not finish the handshake of TLS in time", "timeout") from None
        except OSError:
            data = b""
        first, self._heard = not self._heard, self._heard or bool(data)
        if data and first and data[0] != _HANDSHAKE_RECORD:
            raise self._plain()
        if data:
            self._incoming.write(data)
        elif end is not None:
            raise self._closed()
        return bool(data)

    def _last_words(self) -> None:
        """The alert that tells the peer why; nobody waits for it to arrive."""
        try:
            self._sock.settimeout(1.0)
            self._sock.sendall(self._outgoing.read())
        except OSError:
            pass  # the peer is gone; the failure stands without it

    # --- words of failure ----------------------------------------------------------------------------
    def _plain(self) -> HandshakeError:
        text = f"{self._who} does not speak TLS, which this node requires: start it with -proto_dist inet_tls"
        return HandshakeError(text, "tls")

    def _closed(self) -> HandshakeError:
        if self._heard:
            return HandshakeError(f"{self._who} closed the connection during the handshake of TLS", "tls")
        return HandshakeError(
            f"{self._who} closed the connection instead of answering TLS: does it run with -proto_dist inet_tls?", "tls"
        )

    def _failure(self, error: ssl.SSLError) -> HandshakeError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return HandshakeError(f"{self._who}: its certificate was refused: {error.verify_message}", "tls")
        reason = error.reason or "broken off"
        if reason in _NOT_TLS:
            return self._plain()
        if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            return HandshakeError(f"{self._who} showed no certificate, which this node requires", "tls")
        words = reason.lower().replace("_", " ")
        return HandshakeError(f"{self._who}: no TLS session came about: {words}", "tls")


class TlsTransport:
    """A session as a `Transport`. It takes the descriptor of `sock` (plain or gevent's) over."""

    __slots__ = (
        "__weakref__", "_again", "_cipher", "_closed", "_ended", "_failed", "_incoming", "_lock", "_loop", "_outgoing",
        "_read", "_readable", "_sock", "_thread", "_tls", "_view", "_wants_read", "_wants_write", "_writable", "_write",
        "name", "threadsafe",
    )  # fmt: skip

    def __init__(
        self, sock: Any, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, hub: Any = None
    ) -> None:
        self.name = peer_name(sock)
        self.threadsafe = True
        self._sock = _socket.socket(fileno=sock.detach())
        self._sock.setblocking(False)
        self._tls, self._incoming, self._outgoing = tls, incoming, outgoing
        self._loop = (hub or gevent.get_hub()).loop
        self._read = self._loop.io(self._sock.fileno(), 1)
        self._write = self._loop.io(self._sock.fileno(), 2)
        self._view = memoryview(bytearray(READ_SIZE))
        self._cipher: Buffer = b""  # records that the socket has not taken
        self._lock = _allocate_lock()  # OpenSSL's session is for one thread at a time
        self._thread = _get_ident()
        self._ended = self._closed = self._again = False
        self._failed: OSError | None = None
        self._wants_read = self._wants_write = False
        self._readable: Callable[[], None] | None = None
        self._writable: Callable[[], None] | None = None
        ours(self)

    def start(self, readable: Callable[[], None], writable: Callable[[], None]) -> None:
        self._readable, self._writable = edge(readable), edge(writable)
        self.want_read(True)
        self._call_again()  # records that came along with the handshake lie here, not in the socket

    # --- reading --------------------------------------------------------------------------------------
    def receive(self) -> bytes | None:
        if self._failed is not None:
            raise self._failed
        if self._ended:
            return b""
        with self._lock:
            self._fill()
            parts = self._decrypt()
            if self._outgoing.pending:  # an answer of TLS itself
                self._flush()
        self._watch()
        if not parts:
            if self._failed is not None:
                raise self._failed
            return b"" if self._ended else None
        if self._ended or self._failed is not None:
            self._call_again()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fill(self) -> None:
        try:
            size = self._sock.recv_into(self._view)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed = error
            return
        if size:
            self._incoming.write(self._view[:size])
        else:
            self._incoming.write_eof()

    def _decrypt(self) -> list[bytes]:
        """Everything that the records hold which have come whole."""
        parts: list[bytes] = []
        try:
            while data := self._tls.read(READ_SIZE):
                parts.append(data)
            self._ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._ended = True
        except ssl.SSLError as error:
            self._failed = error
        return parts

    # --- writing --------------------------------------------------------------------------------------
    def send(self, buffers: list[Buffer]) -> int:
        with self._lock:
            taken = self._encrypt(buffers) if self._flush() else 0
        self._watch()
        return taken

    def _encrypt(self, buffers: list[Buffer]) -> int:
        chosen: list[Buffer] = []
        size = 0
        for buffer in buffers:
            part = memoryview(buffer)[: _TAKEN - size]
            chosen.append(part)
            size += len(part)
            if size >= _TAKEN:
                break
        data = memoryview(chosen[0] if len(chosen) == 1 else b"".join(chosen))
        done = 0
        while done < size:
            done += self._tls.write(data[done:])
        self._flush()
        return size

    def _flush(self) -> bool:
        """Hand records to the socket; True when it has taken them all. The lock is held."""
        while True:
            if not self._cipher:
                self._cipher = self._outgoing.read()
                if not self._cipher:
                    return True
            try:
                written = self._sock.send(self._cipher)
            except (BlockingIOError, InterruptedError):
                return False
            self._cipher = memoryview(self._cipher)[written:]

    # --- watchers -------------------------------------------------------------------------------------
    def want_read(self, wanted: bool) -> None:
        self._wants_read = wanted
        if not wanted:
            self._read.stop()
            return
        if not self._read.active:
            self._read.start(self._readable)
        if self._ended or self._failed is not None:
            self._call_again()

    def want_write(self, wanted: bool) -> None:
        self._wants_write = wanted
        self._watch()

    def _watch(self) -> None:
        """Be told of room in the socket while somebody waits for it: the connection, or records of ours."""
        if self._closed or _get_ident() != self._thread:
            return
        if not (self._wants_write or self._cipher):
            self._write.stop()
        elif not self._write.active:
            self._write.start(self._on_writable)

    @edge
    def _on_writable(self) -> None:
        try:
            with self._lock:
                self._flush()
        except OSError:
            self._cipher = b""  # the reader will find the end
        if self._wants_write and self._writable is not None:
            self._writable()
        else:
            self._watch()

    def _call_again(self) -> None:
        """Call `readable` although the socket itself has nothing more to say."""
        if not self._again:
            self._again = True
            self._loop.run_callback(self._on_again)

    @edge
    def _on_again(self) -> None:
        self._again = False
        if not self._closed and self._wants_read and self._readable is not None:
            self._readable()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._tls.unwrap()
        except (OSError, ValueError):
            pass  # it wants the peer's goodbye, too, for which nobody waits
        try:
            self._flush()
        except OSError:
            pass  # the peer is gone
        self.forsake()

    def forsake(self) -> None:
        """Let go of the socket, without the goodbye of TLS: in a fork the session goes on, in the parent."""
        self._closed = True
        for watcher in (self._read, self._write):
            watcher.stop()
            watcher.close()
        self._sock.close()
