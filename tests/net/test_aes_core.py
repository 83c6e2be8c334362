"""AES-256-CBC as NIST's examples have it (SP 800-38A, F.2.5), and texts of every length there and back."""

import os

import pytest

from pyerlnode.net.aes_core import decrypt, encrypt

KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
IV = bytes(range(16))
TEXT = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CIPHER = bytes.fromhex(
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
    "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"
)


def test_the_example_of_the_standard_comes_out() -> None:
    assert encrypt(KEY, IV, TEXT)[: len(CIPHER)] == CIPHER
    assert decrypt(KEY, IV, encrypt(KEY, IV, TEXT)) == TEXT


def test_texts_of_every_length_come_back() -> None:
    for length in range(50):
        key, iv, text = os.urandom(32), os.urandom(16), os.urandom(length)
        made = encrypt(key, iv, text)
        assert len(made) == (length // 16 + 1) * 16
        assert decrypt(key, iv, made) == text


def test_what_is_no_cipher_of_this_key_is_nothing() -> None:
    made = encrypt(KEY, IV, b"a text")
    for other in (b"", made[:-1], made + b"x"):
        assert decrypt(KEY, IV, other) is None
    wrong = [decrypt(bytes([number]) * 32, IV, made) for number in range(20)]
    assert b"a text" not in wrong
    with pytest.raises(ValueError, match="32 bytes"):
        encrypt(b"short", IV, b"")
