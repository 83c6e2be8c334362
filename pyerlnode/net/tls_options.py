"""How a node proves itself over TLS, and what it demands of its peers: options, files, contexts.

Reference: OTP's "Using TLS for Erlang Distribution"; the options are those of ``-ssl_dist_optfile``, one term
``[{server, Options}, {client, Options}].`` in a file.

    Tls.load("/etc/app/tls.conf")                                  # the file that the BEAM nodes use
    Tls.of({"certfile": "node.pem", "cacertfile": "ca.pem", "verify": "verify_peer"})     # the same on both sides

Laws:
- An option that is not known here is an error, never ignored: it might have been the one that protects.
- Certificates are swapped while the node runs: before each connection the files are looked at, and what has
  changed is read anew. Files that can not be used leave the old ones in force, with one line in the log.
- `verify_peer` of a client also holds the certificate against the host part of the name that was dialled, as OTP
  does; a server holds it against the peer's name only when asked to: `check_host`, or OTP's
  ``{verify_fun, {inet_tls_dist, verify_client, _}}``.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pyerlnode.errors import TermSyntaxError, UsageError
from pyerlnode.term.atom import A, Atom

log = logging.getLogger("pyerlnode.net.tls")

_VERSIONS = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}
_WITHOUT_EFFECT = frozenset((
    "client_renegotiation", "hibernate_after", "honor_cipher_order", "ktls", "log_level", "reuse_session",
    "reuse_sessions", "secure_renegotiate", "session_tickets",
))  # fmt: skip
"""Options of OTP that have no meaning here and take no protection away."""


@dataclass(frozen=True, slots=True)
class SideOptions:
    """One side's options, by OTP's names.

    Attributes:
        certfile, keyfile, password: what this node shows; the key may be in `certfile`.
        cacertfile: who may have signed what the peer shows.
        verify: `verify_peer` or `verify_none`.
        fail_if_no_peer_cert: of a server: a peer must show a certificate. Counts with `verify_peer` only.
        versions: of `tlsv1.2` and `tlsv1.3`; both unless given.
        ciphers: names as OpenSSL has them, for TLS 1.2.
        check_host: hold the peer's certificate against its host; a client with `verify_peer` does unless told not to.
    """

    certfile: str = ""
    keyfile: str = ""
    password: str = ""
    cacertfile: str = ""
    verify: str = "verify_none"
    fail_if_no_peer_cert: bool = False
    versions: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    check_host: bool | None = None

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file for file in (self.certfile, self.keyfile, self.cacertfile) if file)


class Side:
    """The context of one side, made anew when its files have changed."""

    def __init__(self, options: SideOptions, *, server: bool) -> None:
        self.options = options
        self.server = server
        self.checks_host = options.verify == "verify_peer" and (
            not server if options.check_host is None else options.check_host
        )
        self._marks = _marks(options)
        self._context = make_context(options, server=server)

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
        if not server.certfile:
            raise UsageError("TLS needs a certfile for the server side: peers that connect want to see one")
        self.server = Side(server, server=True)
        self.client = Side(client, server=False)

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


# --- options ---------------------------------------------------------------------------------------
def side(given: Mapping[str, Any]) -> SideOptions:
    """Options by name, as Python or Erlang write them. Raises `UsageError` for one that is not known or not usable."""
    taken: dict[str, Any] = {}
    for name, value in given.items():
        if name == "verify_fun":
            taken["check_host"] = _verify_fun(value)
        elif name in _TAKE:
            taken[name] = _TAKE[name](name, value)
        elif name not in _WITHOUT_EFFECT:
            known = ", ".join(sorted((*_TAKE, "verify_fun")))
            raise UsageError(f"the TLS option {name} is not supported; these are: {known}")
    return SideOptions(**taken)


def _pairs(options: Any, path: str | os.PathLike[str]) -> list[tuple[str, Any]]:
    """The pairs of a property list; an atom alone means true."""
    if not isinstance(options, list):
        raise UsageError(f"the TLS options {path} hold something that is no list of options")
    pairs = [(option, True) if type(option) is Atom else option for option in options]
    if not all(type(pair) is tuple and len(pair) == 2 and type(pair[0]) is Atom for pair in pairs):
        raise UsageError(f"the TLS options {path} hold something that is no {{Option, Value}}")
    return [(name.name, value) for name, value in pairs]


def _text(name: str, value: Any) -> str:
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list) and all(isinstance(character, int) for character in value):
        return "".join(map(chr, value))
    if type(value) is Atom:
        return value.name
    raise UsageError(f"the TLS option {name} is a text")


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"the TLS option {name} is true or false")
    return value


def _verify(name: str, value: Any) -> str:
    text = _text(name, value)
    if text not in ("verify_peer", "verify_none"):
        raise UsageError("the TLS option verify is verify_peer or verify_none")
    return text


def _versions(name: str, value: Any) -> tuple[str, ...]:
    chosen = tuple(_text(name, version) for version in value)
    if not chosen or not set(chosen) <= set(_VERSIONS):
        raise UsageError(f"the TLS option versions is a list of {' and '.join(_VERSIONS)}: older ones are not safe")
    return chosen


def _ciphers(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], int)):
        return tuple(_text(name, value).split(":"))
    return tuple(_text(name, cipher) for cipher in value)


def _verify_fun(value: Any) -> bool:
    match value:
        case (A.inet_tls_dist, A.verify_client, _):
            return True
    raise UsageError("the TLS option verify_fun is {inet_tls_dist, verify_client, []} or not given")


_TAKE: dict[str, Callable[[str, Any], Any]] = {
    "certfile": _text, "keyfile": _text, "password": _text, "cacertfile": _text, "verify": _verify,
    "fail_if_no_peer_cert": _bool, "versions": _versions, "ciphers": _ciphers, "check_host": _bool,
}  # fmt: skip
assert set(_TAKE) == {field.name for field in fields(SideOptions)}


# --- files and contexts ----------------------------------------------------------------------------
def _marks(options: SideOptions) -> tuple[object, ...]:
    """What changes when a file does, also when it is replaced by another of the same age or reached by a link."""
    return tuple(map(_mark, options.files))


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
    context.minimum_version = min((_VERSIONS[v] for v in options.versions), default=ssl.TLSVersion.TLSv1_2)
    if options.versions:
        context.maximum_version = max(_VERSIONS[v] for v in options.versions)
    context.verify_mode = _verify_mode(options, server)
    _load(context, options)
    return context


def _verify_mode(options: SideOptions, server: bool) -> ssl.VerifyMode:
    if options.verify == "verify_none":
        return ssl.CERT_NONE
    return ssl.CERT_OPTIONAL if server and not options.fail_if_no_peer_cert else ssl.CERT_REQUIRED


def _load(context: ssl.SSLContext, options: SideOptions) -> None:
    if options.verify == "verify_peer" and not options.cacertfile:
        raise UsageError("TLS with verify_peer needs a cacertfile: who may have signed what peers show?")
    if missing := [file for file in options.files if not os.path.exists(file)]:
        raise UsageError(f"the TLS file {missing[0]} does not exist")
    file = options.certfile
    try:
        if file:  # a key with a password must not ask the terminal for it
            context.load_cert_chain(file, options.keyfile or None, lambda: options.password)
        if options.cacertfile:
            file = options.cacertfile
            context.load_verify_locations(file)
        if options.ciphers:
            file = "option ciphers"
            context.set_ciphers(":".join(options.ciphers))
    except OSError as error:  # ssl.SSLError is one
        words = getattr(error, "reason", None) or error.strerror or "not readable"
        raise UsageError(f"the TLS file {file} can not be used: {words.replace('_', ' ').lower()}") from error


# --- whom a certificate is for -----------------------------------------------------------------------
def certificate_is_for(certificate: Mapping[str, Any] | None, host: str) -> bool:
    """Whether a verified certificate (as `ssl` gives it) names `host`: a DNS name or an address.

    By the alternative names when it has any, else by the common name. ``*.example.com`` stands for one label.
    """
    return any(_matches(pattern, host) for pattern in hosts_of(certificate))


def hosts_of(certificate: Mapping[str, Any] | None) -> list[str]:
    """The hosts that a certificate names."""
    if not certificate:
        return []
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    if names:
        return names
    subject = [pair for group in certificate.get("subject", ()) for pair in group]
    return [value for kind, value in subject if kind == "commonName"]


def _matches(pattern: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(pattern.strip()) == ipaddress.ip_address(host)
    except ValueError:
        pass
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        label, dot, rest = host.partition(".")
        return bool(label and dot) and rest == pattern[2:] and "." in rest
    return pattern == host
