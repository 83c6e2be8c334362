"""How a node proves itself over TLS, and what it demands of its peers: options, files, contexts.

Reference: OTP's "Erlang Distribution over TLS"; the options are those of ``-ssl_dist_optfile``, one term
``[{server, Options}, {client, Options}].`` in a file. Which ones: `SideOptions`.

    Tls.load("/etc/app/tls.conf")                                  # the file that the BEAM nodes use
    Tls.of({"certfile": "node.pem", "cacertfile": "ca.pem", "verify": "verify_peer"})     # the same on both sides

Laws:
- An option that is not known here is an error, never ignored: it might have been the one that protects. One that
  Python's `ssl` has no means for is refused with that reason.
- A client with a `cacertfile` verifies its peers, as OTP's since 26 does. One that verifies nobody is told of once, in
  the log.
- Certificates are swapped while the node runs: before each connection the files are looked at, and what has
  changed is read anew. Files that can not be used leave the old ones in force, with one line in the log.
- `verify_peer` of a client also holds the certificate against the host part of the name that was dialled, as OTP
  does; a server holds it against the peer's name only when asked to: `check_host`, or OTP's
  ``{verify_fun, {inet_tls_dist, verify_client, _}}``.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyerlnode.errors import TermSyntaxError, UsageError
from pyerlnode.net.certificates import certificate_is_for, crl_files
from pyerlnode.net.tls_given import VERSIONS, SideOptions, side
from pyerlnode.term.atom import Atom

__all__ = ["Side", "SideOptions", "Tls", "certificate_is_for", "make_context", "side"]

log = logging.getLogger("pyerlnode.net.tls")

_CLIENT_RENEGOTIATION = 0x100 if ssl.OPENSSL_VERSION_INFO >= (3,) else 0
"""SSL_OP_ALLOW_CLIENT_RENEGOTIATION: without it OpenSSL 3 ends a session that its client negotiates anew."""


class Side:
    """The context of one side, made anew when its files have changed."""

    def __init__(self, options: SideOptions, *, server: bool) -> None:
        self.options = options = _completed(options, server)
        self.server = server
        self.verifies = options.verify == "verify_peer"
        self.checks_host = self.verifies and (not server if options.check_host is None else options.check_host)
        if options.server_name_indication == "disable" and not server:
            self.checks_host = False
        self._marks = _marks(options)
        self._context = make_context(options, server=server)

    def host_for(self, host: str) -> str:
        """The host to ask for, and to hold the certificate against, of a peer whose name has this one."""
        return self.options.server_name_indication or host

    def context(self) -> ssl.SSLContext:
        """The context for the next connection."""
        marks = _marks(self.options)
        if marks != self._marks:
            self._marks = marks
            try:
                self._context = make_context(self.options, server=self.server)
            except UsageError as error:
                log.warning("new certificates can not be used, the old ones stay in force: %s", error)
            else:
                log.info("certificates have been read anew for the %s side", "server" if self.server else "client")
        return self._context


class Tls:
    """Both sides of a node. Raises `UsageError` when a file or an option can not be used."""

    def __init__(self, server: SideOptions, client: SideOptions) -> None:
        if not server.pairs:
            raise UsageError("TLS needs a certfile for the server side: peers that connect want to see one")
        self.server = Side(server, server=True)
        self.client = Side(client, server=False)
        if not self.client.verifies:
            log.warning(
                "TLS without verification: this node talks to whoever answers (verify_none of the client side). "
                "Give it a cacertfile"
            )

    @classmethod
    def of(cls, given: Tls | str | os.PathLike[str] | Mapping[str, Any]) -> Tls:
        """`given` itself, a file for `load`, or options: of both sides, or under the keys `server` and `client`."""
        if isinstance(given, Tls):
            return given
        if isinstance(given, (str, os.PathLike)):
            return cls.load(given)
        if set(given) & {"server", "client"}:
            if extra := set(given) - {"server", "client"}:
                raise UsageError(f"TLS options beside server and client: {', '.join(sorted(extra))}")
            return cls(side(given.get("server", {})), side(given.get("client", {})))
        both = side(given)
        return cls(both, both)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tls:
        """The options in a file, as of ``-ssl_dist_optfile``."""
        from pyerlnode.term.text.parse import consult  # a parser that no other node pays for

        try:
            terms = consult(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"the TLS options {path} can not be read: {error.strerror}") from error
        except TermSyntaxError as error:
            raise UsageError(f"the TLS options {path} are no Erlang term: {error}") from error
        if len(terms) != 1 or not isinstance(terms[0], list):
            raise UsageError(f"the TLS options {path} are one list: [{{server, […]}}, {{client, […]}}].")
        return cls.of({name: dict(_pairs(options, path)) for name, options in _pairs(terms[0], path)})


def _pairs(options: Any, path: str | os.PathLike[str]) -> list[tuple[str, Any]]:
    """The pairs of a property list; an atom alone means true."""
    if not isinstance(options, list):
        raise UsageError(f"the TLS options {path} hold something that is no list of options")
    pairs = [(option, True) if type(option) is Atom else option for option in options]
    if not all(type(pair) is tuple and len(pair) == 2 and type(pair[0]) is Atom for pair in pairs):
        raise UsageError(f"the TLS options {path} hold something that is no {{Option, Value}}")
    return [(name.name, value) for name, value in reversed(pairs)]  # of two the first one counts


def _completed(options: SideOptions, server: bool) -> SideOptions:
    """What was left open, as OTP 26 fills it in."""
    verify = options.verify or ("verify_none" if server or not options.cacertfile else "verify_peer")
    if verify == "verify_peer" and not options.cacertfile:
        raise UsageError("TLS with verify_peer needs a cacertfile: who may have signed what peers show?")
    if server and verify == "verify_none" and options.fail_if_no_peer_cert:
        raise UsageError("the TLS option fail_if_no_peer_cert needs {verify, verify_peer} on the server side")
    must = verify == "verify_peer" if options.fail_if_no_peer_cert is None else options.fail_if_no_peer_cert
    return replace(options, verify=verify, fail_if_no_peer_cert=must)


# --- files and contexts ----------------------------------------------------------------------------
def _marks(options: SideOptions) -> tuple[object, ...]:
    """What changes when a file does, also when it is replaced by another of the same age or reached by a link."""
    files = list(options.files)
    if options.crl_check:
        try:
            files += crl_files(options.crl_cache)
        except UsageError:
            files.append("")  # making the context says so
    return tuple((file, _mark(file)) for file in files)


def _mark(file: str) -> object:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def make_context(options: SideOptions, *, server: bool) -> ssl.SSLContext:
    """The context that these options mean. Raises `UsageError` naming the file that can not be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # `hosts_of` looks at addresses and at the common name, too
    chosen = {VERSIONS[version] for version in options.versions or VERSIONS}
    if options.ciphers or options.suites:  # without a cipher a version is not spoken
        chosen -= {ssl.TLSVersion.TLSv1_2} if not options.ciphers else set()
        chosen -= {ssl.TLSVersion.TLSv1_3} if not options.suites else set()
        if not chosen:
            raise UsageError("the TLS option ciphers names none for the versions that are left")
    context.minimum_version, context.maximum_version = min(chosen), max(chosen)
    context.options |= _CLIENT_RENEGOTIATION if options.client_renegotiation else ssl.OP_NO_RENEGOTIATION
    context.verify_mode = _verify_mode(options, server)
    _load(context, options)
    return context


def _verify_mode(options: SideOptions, server: bool) -> ssl.VerifyMode:
    if options.verify != "verify_peer":
        return ssl.CERT_NONE
    return ssl.CERT_OPTIONAL if server and not options.fail_if_no_peer_cert else ssl.CERT_REQUIRED


def _load(context: ssl.SSLContext, options: SideOptions) -> None:
    if missing := [file for file in options.files if not os.path.exists(file)]:
        raise UsageError(f"the TLS file {missing[0]} does not exist")
    for pair in reversed(options.pairs):  # of two keys of one kind OpenSSL keeps the last, OTP the first
        with _named(f"file {pair.certfile}"):
            context.load_cert_chain(pair.certfile, pair.keyfile or None, _password(pair.password))
    if options.cacertfile:
        with _named(f"file {options.cacertfile}"):
            context.load_verify_locations(options.cacertfile)
    if options.crl_check:
        _load_crls(context, options)
    if options.ciphers:
        with _named("option ciphers"):
            context.set_ciphers(":".join(options.ciphers))
    if options.group:
        with _named("option eccs or supported_groups"):
            context.set_ecdh_curve(options.group)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is one
        words = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or "not readable"
        raise UsageError(f"the TLS {what} can not be used: {words.replace('_', ' ').lower()}") from error


def _password(password: str) -> Any:
    return lambda: password  # a key with a password must not ask the terminal for it


def _load_crls(context: ssl.SSLContext, options: SideOptions) -> None:
    for file in crl_files(options.crl_cache):
        with _named(f"file {file}"):
            trusted = b"-----BEGIN CERTIFICATE" in Path(file).read_bytes()
            context.load_verify_locations(file)
        if trusted:
            raise UsageError(f"the TLS file {file} holds a certificate, which would be trusted: it is for lists alone")
    context.verify_flags |= (
        ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF if options.crl_check == "peer" else ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    )
