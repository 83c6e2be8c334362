"""AES-256-CBC with the padding of PKCS #7, for messages of some bytes that others encrypt so: libcluster's Gossip.

Reference: FIPS 197, RFC 2315. Written in Python, as the standard library has no cipher: for a heartbeat of a few blocks
now and then that is fast enough. It hides what is in a message; it does not prove who wrote it.

    >>> key, iv = bytes(range(32)), bytes(16)
    >>> decrypt(key, iv, encrypt(key, iv, b"a heartbeat of a node"))
    b'a heartbeat of a node'
"""

from __future__ import annotations

import functools

BLOCK = 16
ROUNDS = 14
"""Of a key of 32 bytes."""
_SHIFT = bytes(((column + row) % 4) * 4 + row for column in range(4) for row in range(4))
"""Where each byte of a block comes from when its rows are shifted."""


class _Tables:
    """Logarithms of GF(2^8) to the base 3, and the substitution of bytes with its inverse."""

    def __init__(self) -> None:
        power, self.exp, self.log = 1, [0] * 510, [0] * 256
        for number in range(255):
            self.exp[number] = self.exp[number + 255] = power
            self.log[power] = number
            power ^= (power << 1) ^ (0x11B if power & 0x80 else 0)
        box = bytearray(256)
        for byte in range(256):
            one = self.exp[255 - self.log[byte]] if byte else 0
            turned = ((one << turn | one >> (8 - turn)) & 0xFF for turn in range(5))
            box[byte] = functools.reduce(int.__xor__, turned) ^ 0x63
        self.box = bytes(box)
        self.back = bytes(self.box.index(byte) for byte in range(256))

    def times(self, factor: int) -> bytes:
        """The table of products with `factor`."""
        return bytes(self.exp[self.log[factor] + self.log[byte]] if byte else 0 for byte in range(256))


@functools.cache
def _tables() -> tuple[_Tables, dict[int, bytes]]:
    tables = _Tables()
    return tables, {factor: tables.times(factor) for factor in (1, 2, 3, 9, 11, 13, 14)}


def _schedule(key: bytes) -> list[bytes]:
    """A key for each round and the one before them."""
    if len(key) != 32:
        raise ValueError("the key of AES-256 has 32 bytes")
    box = _tables()[0].box
    words, constant = [key[at : at + 4] for at in range(0, 32, 4)], 1
    while len(words) < 4 * (ROUNDS + 1):
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(box[byte] for byte in word[1:] + word[:1])
            word = bytes((word[0] ^ constant, *word[1:]))
            constant <<= 1
        elif len(words) % 8 == 4:
            word = bytes(box[byte] for byte in word)
        words.append(_xor(words[-8], word))
    return [b"".join(words[at : at + 4]) for at in range(0, len(words), 4)]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _mixed(block: bytes, factors: tuple[int, int, int, int]) -> bytes:
    """Each column times a circulant matrix."""
    tables = _tables()[1]
    rows = [tables[factor] for factor in factors]
    return bytes(
        rows[0][block[at + row]]
        ^ rows[1][block[at + (row + 1) % 4]]
        ^ rows[2][block[at + (row + 2) % 4]]
        ^ rows[3][block[at + (row + 3) % 4]]
        for at in range(0, BLOCK, 4)
        for row in range(4)
    )


def _encrypted(keys: list[bytes], block: bytes) -> bytes:
    box = _tables()[0].box
    block = _xor(block, keys[0])
    for number in range(1, ROUNDS + 1):
        block = bytes(box[block[at]] for at in _SHIFT)
        if number < ROUNDS:
            block = _mixed(block, (2, 3, 1, 1))
        block = _xor(block, keys[number])
    return block


def _decrypted(keys: list[bytes], block: bytes) -> bytes:
    back = _tables()[0].back
    for number in range(ROUNDS, 0, -1):
        block = _xor(block, keys[number])
        if number < ROUNDS:
            block = _mixed(block, (14, 11, 13, 9))
        unshifted = bytearray(BLOCK)
        for to, at in enumerate(_SHIFT):
            unshifted[at] = back[block[to]]
        block = bytes(unshifted)
    return _xor(block, keys[0])


def encrypt(key: bytes, iv: bytes, text: bytes) -> bytes:
    """`text` in cipher; `key` has 32 bytes, `iv` 16 that are used once."""
    keys, found, before = _schedule(key), [], iv
    padding = BLOCK - len(text) % BLOCK
    text += bytes([padding]) * padding
    for at in range(0, len(text), BLOCK):
        before = _encrypted(keys, _xor(text[at : at + BLOCK], before))
        found.append(before)
    return b"".join(found)


def decrypt(key: bytes, iv: bytes, cipher: bytes) -> bytes | None:
    """The text; None when it was not encrypted with this key."""
    if not cipher or len(cipher) % BLOCK:
        return None
    keys, found, before = _schedule(key), [], iv
    for at in range(0, len(cipher), BLOCK):
        block = cipher[at : at + BLOCK]
        found.append(_xor(_decrypted(keys, block), before))
        before = block
    text = b"".join(found)
    padding = text[-1]
    if not 1 <= padding <= BLOCK or not text.endswith(bytes([padding]) * padding):
        return None
    return text[:-padding]
