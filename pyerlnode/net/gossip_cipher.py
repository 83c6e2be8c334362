"""The cipher of libcluster's Gossip, by the package `cryptography` (``pip install 'pyerlnode[gossip]'``).

    IV CIPHER     AES-256-CBC with the padding of PKCS #7; the key is the SHA-256 of the secret, IV has 16 bytes

It hides what is in a packet; it does not prove who wrote it.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from pyerlnode.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import CBC

IV_SIZE = 16
_BLOCK_BITS = 128


class Secret:
    """What the nodes of a cluster share. Raises `UsageError` where `cryptography` is not installed."""

    def __init__(self, text: str) -> None:
        try:
            from cryptography.hazmat.primitives import ciphers, padding  # few clusters have a secret
        except ImportError:
            raise UsageError("cryptography is not installed; pip install 'pyerlnode[gossip]'") from None
        self._ciphers, self._padding = ciphers, padding.PKCS7(_BLOCK_BITS)
        self._key = sha256(text.encode()).digest()

    def encrypted(self, text: bytes, iv: bytes | None = None) -> bytes:
        """`iv`, random unless given, and the cipher."""
        iv = secrets.token_bytes(IV_SIZE) if iv is None else iv
        padder, made = self._padding.padder(), self._cipher(iv).encryptor()
        return iv + made.update(padder.update(text) + padder.finalize()) + made.finalize()

    def decrypted(self, data: bytes) -> bytes | None:
        """The text; None when it was not encrypted with this secret."""
        if len(data) <= IV_SIZE:
            return None
        unpadder, made = self._padding.unpadder(), self._cipher(data[:IV_SIZE]).decryptor()
        try:
            return unpadder.update(made.update(data[IV_SIZE:]) + made.finalize()) + unpadder.finalize()
        except ValueError:
            return None

    def _cipher(self, iv: bytes) -> Cipher[CBC]:
        return self._ciphers.Cipher(self._ciphers.algorithms.AES(self._key), self._ciphers.modes.CBC(iv))
