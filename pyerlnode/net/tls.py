"""TLS between a socket and the distribution, as ``-proto_dist inet_tls`` speaks it.

Reference: OTP's `inet_tls_dist`. The port is a TLS port from its first byte; inside, every length takes four bytes,
those of the handshake included, and a TLS record has nothing to do with a packet.

`TlsStream` carries the two handshakes (TLS's own, then the distribution's) with time-outs; its `transport` takes the
session over for the connection. Both let OpenSSL work on memory, so the socket stays ours: a `TlsTransport` never
waits, and the ticker's native thread may use it.

A session of TLS 1.2 may be negotiated anew by either side while messages go both ways. OpenSSL takes nothing to write
meanwhile: what is to be sent waits, as for a full socket, until the peer's records have brought it to an end.
"""

from __future__ import annotations

import _socket
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.monkey import get_original

from pyerlnode.dist.fragment import Buffer
from pyerlnode.errors import HandshakeError
from pyerlnode.net.alerts import NOT_TLS, is_no_tls, is_tls, words_of
from pyerlnode.net.certificates import certificate_is_for, intermediates
from pyerlnode.net.tls_options import Side
from pyerlnode.net.transport import READ_SIZE, peer_name
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.forks import ours

log = logging.getLogger("pyerlnode.net.tls")

LENGTH_BYTES = 4
"""Of every length inside TLS."""
_TAKEN = 256 * 1024
"""Plain bytes that are turned into records at a time: the bound on what waits as records."""

_allocate_lock = get_original("_thread", "allocate_lock")
_get_ident = get_original("_thread", "get_ident")


class TlsStream:
    """A TLS session over a gevent socket. What goes wrong with TLS is a `HandshakeError` with the reason `tls`.

    Args:
        who: how errors name the peer.
        host: of a client: the host that the server's certificate must be for, when its side checks that.
        heard: what was read from the socket already.
    """

    def __init__(self, sock: Any, side: Side, *, who: str, host: str = "", heard: bytes = b"") -> None:
        self._sock = sock
        self._who = who
        self._host = side.host_for(host) if host else ""
        self._side = side
        self._heard = b""  # the beginning of what came
        self._early = heard
        self._shown: bytes | None = None  # the peer's certificate that was checked
        self._end = float("inf")  # of the wait that goes on, as `settimeout` has begun it
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = side.context().wrap_bio(
            self._incoming, self._outgoing, server_side=side.server, server_hostname=self._asked_for()
        )

    def handshake(self, timeout: float) -> None:
        """TLS's own handshake, and the checks of the peer's certificate."""
        self.settimeout(timeout)
        try:
            if self._early:
                self._took(self._early)
            while not self._step():
                self._send_records()
                if not self._fill():
                    raise self._closed()
            self._send_records()
        except TimeoutError:
            raise self._late() from None
        except OSError as error:
            if isinstance(error, ssl.SSLError):
                raise
            raise self._closed() from None
        self._check()

    def _asked_for(self) -> str | None:
        return None if self._host in ("", "disable") else self._host

    def _check(self) -> None:
        """What OpenSSL does not."""
        side = self._side
        self._shown = self._tls.getpeercert(binary_form=True)
        if self._host and side.checks_host and not self.is_for(self._host):
            raise HandshakeError(f"{self._who}: its certificate is not for the host {self._host}", "tls")
        depth = side.options.depth
        if side.verifies and (found := self._intermediates(depth)) > depth:
            text = f"{found} certificates stand between its own and a trusted one, the option depth allows {depth}"
            raise HandshakeError(f"{self._who}: its certificate was refused: {text}", "tls")
        suite = (self._tls.cipher() or ("",))[0]
        if side.options.suites and suite.startswith("TLS_") and suite not in side.options.suites:
            text = f"it and this node came to the cipher {suite}, which the option ciphers does not have"
            raise HandshakeError(f"{self._who}: {text}", "tls")

    def check_again(self) -> bool:
        """Check the certificate that the peer shows when it negotiates anew; False while that goes on.

        Raises `HandshakeError`. OpenSSL itself has seen who signed it.
        """
        try:
            shown = self._tls.getpeercert(binary_form=True)
        except ValueError:  # "handshake not done yet"
            return False
        if shown != self._shown:
            self._check()
        return True

    def _intermediates(self, allowed: int) -> int:
        """Those in the peer's chain; no closer look at a chain that is short enough anyway."""
        chain = self._tls._sslobj.get_verified_chain() or ()  # type: ignore[attr-defined] # public from Python 3.13 on
        if len(chain) - 2 <= allowed:
            return 0
        return intermediates([certificate.get_info() for certificate in chain])

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
        """Whether the peer's certificate, which was verified, names `host`, as each that it shows later has to."""
        self._host = host
        return certificate_is_for(self._tls.getpeercert(), host)

    @property
    def heard(self) -> bool:
        """Whether the peer has sent anything."""
        return bool(self._heard)

    @property
    def checks_host(self) -> bool:
        return self._side.checks_host

    # --- what a handshake of the distribution needs -----------------------------------------------
    def settimeout(self, value: float | None) -> None:
        """A bound on all that the next `recv` or `sendall` waits for, however many records that takes."""
        self._end = float("inf") if value is None else time.monotonic() + value

    def recv(self, size: int) -> bytes:
        data = self._plain_bytes(size)
        while data is None:
            self._send_records()  # TLS may have an answer of its own
            data = self._plain_bytes(size) if self._fill() else b""
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
            data = data[self._write(data) :]
        self._send_records()

    def _write(self, data: bytes) -> int:
        try:
            return self._tls.write(data)
        except ssl.SSLWantReadError:  # the peer negotiates anew
            self._send_records()
            if not self._fill():
                raise ConnectionResetError from None
            return 0

    def close(self) -> None:
        self._sock.close()

    def transport(self) -> TlsTransport:
        """The session for a connection; this stream is spent."""
        again = self.check_again if self._side.verifies else None
        return TlsTransport(self._sock, self._tls, self._incoming, self._outgoing, check_again=again)

    # --- records ------------------------------------------------------------------------------------
    def _bound(self) -> None:
        """Let the socket wait for what is left of the time. Raises `TimeoutError` when nothing is."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(None if left == float("inf") else left)

    def _send_records(self) -> None:
        data = self._outgoing.read()
        if data:
            self._bound()
            self._sock.sendall(data)

    def _fill(self) -> bool:
        """Take records from the socket; False at the end of the stream."""
        self._bound()
        data = self._sock.recv(16 * 1024)
        self._took(data)
        return bool(data)

    def _took(self, data: bytes) -> None:
        if len(self._heard) < 2:
            self._heard += data[:2]
            if self._heard and not is_tls(self._heard):
                self._last_words(NOT_TLS)
                raise self._plain()
        self._incoming.write(data)

    def _last_words(self, alert: bytes = b"") -> None:
        """The alert that tells the peer why; nobody waits for it to arrive."""
        try:
            self._sock.settimeout(1.0)
            self._sock.sendall(alert or self._outgoing.read())
        except OSError:
            pass  # the peer is gone; the failure stands without it

    # --- words of failure ----------------------------------------------------------------------------
    def _plain(self) -> HandshakeError:
        text = f"{self._who} does not speak TLS, which this node requires: start it with -proto_dist inet_tls"
        return HandshakeError(text, "tls")

    def _late(self) -> HandshakeError:
        if self._heard or self._side.server:
            return HandshakeError(f"{self._who} did not finish the handshake of TLS in time", "timeout")
        text = f"{self._who} did not answer TLS in time: does it run with -proto_dist inet_tls?"
        return HandshakeError(text, "timeout")

    def _closed(self) -> HandshakeError:
        if self._side.server:  # who gives way to our own attempt does so
            when = "during the handshake of TLS" if self._heard else "before it said anything"
            return HandshakeError(f"{self._who} closed the connection {when}", "closed")
        if self._heard:
            return HandshakeError(f"{self._who} closed the connection during the handshake of TLS", "tls")
        return HandshakeError(
            f"{self._who} closed the connection instead of answering TLS: does it run with -proto_dist inet_tls?", "tls"
        )

    def _failure(self, error: ssl.SSLError) -> HandshakeError:
        if is_no_tls(error):
            return self._plain()
        return HandshakeError(f"{self._who}: no TLS session came about: {words_of(error)}", "tls")


class TlsTransport:
    """A session as a `Transport`. It takes the descriptor of `sock` (plain or gevent's) over."""

    __slots__ = (
        "__weakref__", "_again", "_anew", "_check_again", "_cipher", "_closed", "_ended", "_failed", "_incoming",
        "_lock", "_loop", "_outgoing", "_read", "_readable", "_sock", "_stalled", "_thread", "_tls", "_view",
        "_wants_read", "_wants_write", "_writable", "_write", "name", "threadsafe",
    )  # fmt: skip

    def __init__(
        self,
        sock: Any,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        hub: Any = None,
        check_again: Callable[[], bool] | None = None,
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
        self._stalled = False  # nothing can be encrypted until records have come
        self._check_again = check_again
        self._anew = False  # the session is negotiated anew, so the peer may show another certificate
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
            self._stalled = False
            if self._outgoing.pending:  # an answer of TLS itself
                self._anew = self._check_again is not None
                self._flush()
            if self._anew and not self._is_the_peer():
                parts = []
        self._watch()
        if not parts:
            if self._failed is not None:
                raise self._failed
            return b"" if self._ended else None
        if self._ended or self._failed is not None:
            self._call_again()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _is_the_peer(self) -> bool:
        """False when who negotiates anew has shown a certificate with which it would not have been let in."""
        assert self._check_again is not None
        try:
            self._anew = not self._check_again()
        except HandshakeError as error:
            self._failed = ConnectionAbortedError(str(error))
            log.warning("the TLS session with %s is broken off: %s", self.name, error)
        return self._failed is None

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
            log.warning("the TLS session with %s is broken off: %s", self.name, words_of(error))
        return parts

    # --- writing --------------------------------------------------------------------------------------
    def send(self, buffers: list[Buffer]) -> int:
        with self._lock:
            taken = self._encrypt(buffers) if self._flush() else 0
        self._watch()
        return taken

    def _encrypt(self, buffers: list[Buffer]) -> int:
        """How many of these bytes have become records: none while a session is negotiated anew."""
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
        try:
            while done < size:
                done += self._tls.write(data[done:])
        except ssl.SSLWantReadError:
            self._stalled = True
        self._flush()
        return done

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
        if not self._cipher and (self._stalled or not self._wants_write):
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
        if self._wants_write and not self._stalled and self._writable is not None:
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
