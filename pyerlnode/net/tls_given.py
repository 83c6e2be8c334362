"""The TLS options of one side, as Python or Erlang writes them: taken, found to have no effect here, or refused.

Reference: OTP's `ssl`, the options of ``-ssl_dist_optfile``. An option that is not known is an error, never ignored: it
might have been the one that protects. So is one that Python's `ssl` has no means for; its error says so.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom

VERSIONS = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}
_FIRST_SUITE = "TLS_AES_256_GCM_SHA384"
_SUITES = frozenset((_FIRST_SUITE, "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"))
"""Of TLS 1.3, as OpenSSL offers them, the first one first."""
_GROUPS = {"secp256r1": "prime256v1", "x25519": "X25519", "x448": "X448"}
"""Of those that OpenSSL knows by another name."""
_WITHOUT_EFFECT = frozenset((
    "beast_mitigation", "hibernate_after", "honor_cipher_order", "honor_ecc_order", "keep_secrets", "log_alert",
    "log_level", "middlebox_comp_mode", "receiver_spawn_opts", "reuse_session", "reuse_sessions", "secure_renegotiate",
    "sender_spawn_opts", "session_tickets",
))  # fmt: skip
"""Options of OTP that have no meaning here and take no protection away."""
_NO_FILES = "certificates and keys come from files here: certfile, keyfile, cacertfile"
_NO_RENEWAL = (
    "Python's ssl can not begin one. What the peer begins is answered; leave the option out, also of a file that is "
    "shared, or give it to the BEAM's own file"
)
_REFUSED = {
    "ktls": "there is no TLS of the kernel here, OpenSSL encrypts. A peer that has it sends the same TLS: leave the "
    "option out of this node's file",
    "cert": _NO_FILES, "key": _NO_FILES, "cacerts": _NO_FILES,
    "renegotiate_at": f"it asks this side to negotiate anew, and {_NO_RENEWAL}",
    "key_update_at": f"it asks this side to renew the keys, and {_NO_RENEWAL}",
    "signature_algs": "Python's ssl can not choose signatures: those of OpenSSL are offered",
    "signature_algs_cert": "Python's ssl can not choose signatures: those of OpenSSL are offered",
    "partial_chain": "OpenSSL trusts what is in cacertfile, and functions of Erlang do not run here",
    "sni_fun": "functions of Erlang do not run here",
    "sni_hosts": "a node has one certificate for all names: certfile",
    "psk_identity": "keys that are shared beforehand are not supported: use certificates",
    "user_lookup_fun": "keys that are shared beforehand are not supported: use certificates",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, as files; the key may be in `certfile`."""

    certfile: str
    keyfile: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class SideOptions:
    """One side's options, by OTP's names.

    Attributes:
        certfile, keyfile, password: what this node shows; the key may be in `certfile`.
        certs_keys: the same several times, for keys of several kinds; instead of those three.
        cacertfile: who may have signed what the peer shows.
        verify: `verify_peer` or `verify_none`. Unless given, a client verifies when it has a `cacertfile`, and a
            server does not, as in OTP 26.
        fail_if_no_peer_cert: of a server that verifies: a peer must show a certificate; it must unless this is False.
        versions: of `tlsv1.2` and `tlsv1.3`; both unless given.
        ciphers: names as OpenSSL or IANA has them, for TLS 1.2.
        suites: those of them that are for TLS 1.3.
        check_host: hold the peer's certificate against its host; a client with `verify_peer` does unless told not to.
        server_name_indication: of a client: the host to ask for, and to hold the certificate against, instead of that
            of the node's name; ``disable``: ask for none, and do not check.
        depth: how many certificates may stand between the peer's and a trusted one.
        crl_check: ``peer``: the peer's certificate must not be revoked; ``true``: nor may any of its chain.
        crl_cache: the directory with the lists for that.
        group: the only group (or curve) for the exchange of keys, as OpenSSL has its name: `eccs`, `supported_groups`.
        client_renegotiation: of a server: a client of TLS 1.2 may negotiate anew.
    """

    certfile: str = ""
    keyfile: str = ""
    password: str = ""
    certs_keys: tuple[KeyPair, ...] = ()
    cacertfile: str = ""
    verify: str = ""
    fail_if_no_peer_cert: bool | None = None
    versions: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    check_host: bool | None = None
    server_name_indication: str = ""
    depth: int = 10
    crl_check: str = ""
    crl_cache: str = ""
    group: str = ""
    client_renegotiation: bool = True

    @property
    def pairs(self) -> tuple[KeyPair, ...]:
        """What this node can show."""
        return self.certs_keys or ((KeyPair(self.certfile, self.keyfile, self.password),) if self.certfile else ())

    @property
    def files(self) -> tuple[str, ...]:
        shown = [file for pair in self.pairs for file in (pair.certfile, pair.keyfile)]
        return tuple(file for file in (*shown, self.cacertfile) if file)


def side(given: Mapping[str, Any]) -> SideOptions:
    """Options by name, as Python or Erlang write them. Raises `UsageError` for one that is not known or not usable."""
    taken: dict[str, Any] = {}
    for name, value in given.items():
        if name in _TAKE:
            taken.update(_TAKE[name](name, value))
        elif name == "ktls" and value is False:
            continue
        elif name in _REFUSED:
            raise UsageError(f"the TLS option {name} is not supported: {_REFUSED[name]}")
        elif name not in _WITHOUT_EFFECT:
            raise UsageError(f"the TLS option {name} is not supported; these are: {', '.join(sorted(_TAKE))}")
    options = SideOptions(**taken)
    if options.certs_keys and options.certfile:
        raise UsageError("the TLS options certs_keys and certfile are two words for one thing: give one of them")
    if options.crl_check and not options.crl_cache:
        raise UsageError(
            "the TLS option crl_check needs a crl_cache: {ssl_crl_hash_dir, {internal, [{dir, Directory}]}}; this node "
            "fetches no lists, and nobody can hand it one"
        )
    return options


# --- values -----------------------------------------------------------------------------------------
def text_of(name: str, value: Any) -> str:
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list) and all(isinstance(character, int) for character in value):
        return "".join(map(chr, value))
    if type(value) is Atom:
        return value.name
    raise UsageError(f"the TLS option {name} is a text")


def _text(name: str, value: Any) -> dict[str, Any]:
    return {name: text_of(name, value)}


def _bool(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise UsageError(f"the TLS option {name} is true or false")
    return {name: value}


def _verify(name: str, value: Any) -> dict[str, Any]:
    text = text_of(name, value)
    if text not in ("verify_peer", "verify_none"):
        raise UsageError("the TLS option verify is verify_peer or verify_none")
    return {name: text}


def _versions(name: str, value: Any) -> dict[str, Any]:
    chosen = tuple(text_of(name, version) for version in value) if isinstance(value, (list, tuple)) else ()
    if not chosen or not set(chosen) <= set(VERSIONS):
        raise UsageError(f"the TLS option versions is a list of {' and '.join(VERSIONS)}: older ones are not safe")
    return {name: chosen}


def _ciphers(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], int)):
        names = text_of(name, value).split(":")
    elif isinstance(value, (list, tuple)):
        names = [text_of(name, cipher) for cipher in value]
    else:
        raise UsageError("the TLS option ciphers is a list of names")
    suites = tuple(cipher for cipher in names if cipher.startswith("TLS_") and "_WITH_" not in cipher)
    if unknown := sorted(set(suites) - _SUITES):
        raise UsageError(f"the TLS option ciphers names {unknown[0]}, which OpenSSL does not offer")
    if suites and _FIRST_SUITE not in suites:
        raise UsageError(
            f"the TLS option ciphers has to name {_FIRST_SUITE} among those of TLS 1.3: Python's ssl offers them all, "
            "and that one first; or leave them out, and have TLS 1.2 alone"
        )
    return {name: tuple(_openssl_name(cipher) for cipher in names if cipher not in suites), "suites": suites}


def _openssl_name(cipher: str) -> str:
    """OpenSSL's name of a cipher of TLS 1.2 that may have IANA's: TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384."""
    if not cipher.startswith("TLS_"):
        return cipher
    exchange, _, rest = cipher.removeprefix("TLS_").partition("_WITH_")
    rest = rest.replace("AES_", "AES").replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace("_CBC", "")
    return (rest if exchange == "RSA" else f"{exchange}_{rest}").replace("_", "-")


def _verify_fun(_name: str, value: Any) -> dict[str, Any]:
    match value:
        case (A.inet_tls_dist, A.verify_client, _):
            return {"check_host": True}
    raise UsageError("the TLS option verify_fun is {inet_tls_dist, verify_client, []} or not given")


def _sni(name: str, value: Any) -> dict[str, Any]:
    host = text_of(name, value)
    if not host:
        raise UsageError("the TLS option server_name_indication is a host, or disable")
    return {name: host}


def _depth(name: str, value: Any) -> dict[str, Any]:
    if type(value) is not int or not 0 <= value <= 255:
        raise UsageError("the TLS option depth is a number from 0 to 255")
    return {name: value}


def _crl_check(name: str, value: Any) -> dict[str, Any]:
    if value is False:
        return {}
    if value is True:
        return {name: "true"}
    text = text_of(name, value)
    if text == "best_effort":
        raise UsageError(
            "the TLS option crl_check can not be best_effort: OpenSSL refuses a certificate whose list it has not got. "
            "Give true or peer, with a crl_cache"
        )
    if text not in ("peer", "true"):
        raise UsageError("the TLS option crl_check is true, false or peer")
    return {name: text}


def _crl_cache(name: str, value: Any) -> dict[str, Any]:
    match value:
        case str() | os.PathLike():
            return {name: os.fspath(value)}
        case (A.ssl_crl_hash_dir, (A.internal, [(A.dir, directory)])):
            return {name: text_of(name, directory)}
    raise UsageError(
        "the TLS option crl_cache is {ssl_crl_hash_dir, {internal, [{dir, Directory}]}}: this node fetches no lists, "
        "and nobody can hand it one"
    )


def _group(name: str, value: Any) -> dict[str, Any]:
    groups = [text_of(name, group) for group in value] if isinstance(value, (list, tuple)) else []
    if not groups:
        raise UsageError(f"the TLS option {name} is a list of names")
    if len(groups) > 1:
        raise UsageError(
            f"the TLS option {name} can name one group alone here, not {len(groups)}: Python's ssl sets one or none. "
            "Leave it out, and OpenSSL offers x25519, secp256r1, x448, secp521r1, secp384r1 and more"
        )
    return {"group": _GROUPS.get(groups[0], groups[0])}


def _certs_keys(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise UsageError("the TLS option certs_keys is a list of maps")
    return {name: tuple(map(_pair, value))}


def _pair(value: Any) -> KeyPair:
    if not isinstance(value, Mapping):
        raise UsageError("the TLS option certs_keys is a list of maps")
    given = {text_of("certs_keys", key): text_of("certs_keys", file) for key, file in value.items()}
    if extra := sorted(set(given) - {"certfile", "keyfile", "password"}):
        raise UsageError(f"the TLS option certs_keys can not take {extra[0]}: {_NO_FILES}")
    if "certfile" not in given:
        raise UsageError("the TLS option certs_keys holds a map without a certfile")
    return KeyPair(**given)


_TAKE: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "certfile": _text, "keyfile": _text, "password": _text, "certs_keys": _certs_keys, "cacertfile": _text,
    "verify": _verify, "fail_if_no_peer_cert": _bool, "versions": _versions, "ciphers": _ciphers, "check_host": _bool,
    "verify_fun": _verify_fun, "server_name_indication": _sni, "depth": _depth, "crl_check": _crl_check,
    "crl_cache": _crl_cache, "eccs": _group, "supported_groups": _group, "client_renegotiation": _bool,
}  # fmt: skip
