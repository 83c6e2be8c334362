"""Whom a verified certificate is for, how long its chain is, and which lists of revoked ones lie in a directory."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyerlnode.errors import UsageError

_CRL = re.compile(r"[0-9a-f]{8}\.r[0-9]+")
"""How ``openssl rehash`` names a list of revoked certificates."""


# --- hosts ------------------------------------------------------------------------------------------
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


# --- chains -----------------------------------------------------------------------------------------
def intermediates(chain: Sequence[Mapping[str, Any]]) -> int:
    """How many certificates stand between the peer's and the one that is trusted.

    `chain` begins with the one and ends with the other. One that its own issuer has made for itself does not count.
    """
    return sum(1 for certificate in chain[1:-1] if certificate.get("issuer") != certificate.get("subject"))


# --- revoked ones -----------------------------------------------------------------------------------
def crl_files(directory: str) -> list[str]:
    """The lists in a directory, as ``openssl rehash`` (and OTP's `ssl_crl_hash_dir`) has them.

    Raises `UsageError` when the directory can not be read, or holds none.
    """
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        text = f"the TLS option crl_cache names {directory}, which can not be read: {error.strerror}"
        raise UsageError(text) from None
    found = [os.path.join(directory, name) for name in names if _CRL.fullmatch(name)]
    if not found:
        raise UsageError(
            f"the TLS option crl_cache names {directory}, which holds no list of revoked certificates (*.r0): "
            "run `openssl rehash` there"
        )
    return found
