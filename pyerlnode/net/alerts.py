"""Why no TLS session came about, or why one broke, in words that say what to do.

The two sides tell each other by alerts (RFC 8446, section 6), and OpenSSL names what it has found itself; both come
as the `reason` of an `ssl.SSLError`. What is not in the tables is told by that name.
"""

from __future__ import annotations

import ssl

_TOLD = {
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no version of TLS that this node offers: compare the option versions",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it finds no cipher, curve or signature that both have, or misses a certificate: "
    "compare the options versions and ciphers",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "it takes none of the ciphers of this node (insufficient security): "
    "compare the option ciphers",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate (unknown ca): is that in its "
    "cacertfile?",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, or is not valid yet, by its clock",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate has been revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate (bad certificate): is that for this host, whole, and "
    "not revoked?",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it can not use our certificate (unsupported certificate): is it for this "
    "purpose, and its key of a kind that it takes?",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate (certificate unknown)",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a certificate of this node: give certfile to the client side",
    "TLSV1_ALERT_ACCESS_DENIED": "it denies access to the owner of our certificate",
    "TLSV1_UNRECOGNIZED_NAME": "it has no certificate for the host that we asked for (unrecognized name)",
    "TLSV1_ALERT_INTERNAL_ERROR": "something went wrong there (internal error): see its log",
    "TLSV1_ALERT_DECRYPT_ERROR": "it could not verify our signature (decrypt error): does keyfile belong to certfile?",
    "TLSV1_ALERT_NO_RENEGOTIATION": "it allows no renegotiation",
    "TLSV1_ALERT_USER_CANCELLED": "it broke the handshake off",
}
"""Alerts of the peer."""

_FOUND = {
    "NO_SHARED_CIPHER": "no cipher in common that fits our certificate: compare the options ciphers and versions",
    "NO_CIPHERS_AVAILABLE": "none of our ciphers is for these versions of TLS: compare the options ciphers and "
    "versions",
    "WRONG_CIPHER_RETURNED": "it chose a cipher that was not offered",
    "UNKNOWN_CIPHER_RETURNED": "it chose a cipher that was not offered",
    "UNSUPPORTED_PROTOCOL": "no version of TLS in common: compare the option versions",
    "WRONG_SSL_VERSION": "no version of TLS in common: compare the option versions",
    "WRONG_VERSION_NUMBER": "no version of TLS in common: compare the option versions",
    "NO_PROTOCOLS_AVAILABLE": "no version of TLS in common: compare the option versions",
    "NO_SUITABLE_KEY_SHARE": "no group in common: compare the options supported_groups and eccs",
    "NO_SHARED_GROUP": "no group in common: compare the options supported_groups and eccs",
    "NO_SHARED_GROUPS": "no group in common: compare the options supported_groups and eccs",
    "WRONG_CURVE": "no group in common: compare the options supported_groups and eccs",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no signature in common for our certificate's key",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "no signature in common for our certificate's key",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate, which this node requires",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "a record was damaged or forged on its way (bad record mac)",
    "SSLV3_ALERT_BAD_RECORD_MAC": "a record was damaged or forged on its way, it says (bad record mac)",
    "UNEXPECTED_EOF_WHILE_READING": "it closed without a goodbye",
}
"""What OpenSSL has found."""

_NOT_TLS = frozenset(("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"))

_UNKNOWN_CA = frozenset((2, 18, 19, 20, 21))
"""X509_V_ERR_ of a chain that ends with nobody who is trusted."""

NOT_TLS = b"\x15\x03\x03\x00\x02\x02\x0a"
"""The alert for a peer whose first bytes were no TLS: `unexpected_message`, as OTP's."""

ALERT, HANDSHAKE = 0x15, 0x16
"""The types of the records that a TLS handshake can begin with."""


def is_tls(data: bytes) -> bool:
    """Whether a stream that begins like this may be TLS: a record of a handshake, or an alert."""
    return data[0] in (ALERT, HANDSHAKE) and (len(data) == 1 or data[1] == 3)


def is_no_tls(error: ssl.SSLError) -> bool:
    """Whether `error` says that what came is not TLS at all."""
    return error.reason in _NOT_TLS


def words_of(error: ssl.SSLError) -> str:
    """What `error` means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        unknown = " (unknown ca: is who signed it in our cacertfile?)" if error.verify_code in _UNKNOWN_CA else ""
        return f"its certificate was refused: {error.verify_message}{unknown}"
    reason = error.reason or "broken off"
    known = _TOLD.get(reason) or _FOUND.get(reason)
    if known is not None:
        return known
    words = reason.lower().replace("_", " ")
    return f"it says: {words.partition('alert ')[2]}" if "ALERT" in reason else words
