"""Golden bytes of OTP 25, 27 and 29: what they write is read, and written back as OTP 26 and later write it."""

import hashlib
import json
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from each import each

from pyerlnode.errors import DecodeError
from pyerlnode.term import A, NativeRecord

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8"))
WHOLE = [row for row in VECTORS["terms"] if isinstance(row["hex"], str)]
SHORTENED = {"lists:duplicate(65535,$x)": [120] * 65535, "lists:duplicate(65536,$x)": [120] * 65536}
RECORDS = VECTORS["native_records_otp29"]
CASES = [case for case in VECTORS["decode"]["cases"] if "hex" in case]

DEVIATIONS = {
    "ref 0 words": "accepted by 25, 27 and 29, which then die of it when it is the key of a map: refused",
    "EXPORT arity 256": "accepted by 25 and 29, but 27 makes a broken fun of it that kills the emulator: refused",
}


def current(row: dict[str, Any]) -> bytes:
    """The bytes that the newest release writes: ports became 64 bits wide, closures lost their creator."""
    return bytes.fromhex(row.get("hex_otp29") or row.get("hex_otp27") or row["hex"])


@each(WHOLE, lambda row: row["term"][:40])
def test_what_otp_writes_is_written_back_byte_for_byte(etf: ModuleType, row: dict[str, Any]) -> None:
    data = current(row)
    assert etf.encode(etf.decode(data)) == data


@each(WHOLE, lambda row: row["term"][:40])
def test_every_spelling_of_a_term_decodes_to_the_same_value(etf: ModuleType, row: dict[str, Any]) -> None:
    value = etf.decode(bytes.fromhex(row["hex"]))
    for key, spelling in row.items():
        if (
            key.startswith("hex")
            and isinstance(spelling, str)
            and not (row["term"].startswith("binary_to_term(<<131,112"))
        ):
            assert etf.decode(bytes.fromhex(spelling)) == value, key


@each(WHOLE, lambda row: row["term"][:40])
def test_compression_is_that_of_term_to_binary(etf: ModuleType, row: dict[str, Any]) -> None:
    """Where the release of the vectors compressed the same bytes: it had other atoms and another order of keys."""
    written = row.get("hex_compressed_otp25")
    if isinstance(written, str) and zlib.decompress(bytes.fromhex(written)[6:]) == current(row)[1:]:
        assert etf.encode(etf.decode(current(row)), compressed=True).hex() == written


@pytest.mark.parametrize("row", [row for row in VECTORS["terms"] if row["term"] in SHORTENED], ids=lambda r: r["term"])
def test_a_long_string_is_written_as_otp_does(etf: ModuleType, row: dict[str, Any]) -> None:
    data = etf.encode(SHORTENED[row["term"]])
    assert (len(data), hashlib.sha256(data).hexdigest()) == (row["hex"]["len"], row["hex"]["sha256"])
    assert etf.decode(data) == SHORTENED[row["term"]]
    assert etf.decode(bytes.fromhex(row["hex_compressed_otp25"])) == SHORTENED[row["term"]]


@each(RECORDS, lambda row: row["printed"])
def test_native_records_of_otp_29_go_both_ways(etf: ModuleType, row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    value = etf.decode(data)
    assert type(value) is NativeRecord
    assert (value.module, value.name) == (A.m, A.r)
    assert etf.encode(value) == data


@each(CASES, lambda case: case["name"])
def test_odd_input_has_the_verdict_of_otp_27_and_later(etf: ModuleType, case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    verdict = case.get("otp29", case["otp27"])
    if verdict == "badarg" or case["name"] in DEVIATIONS:
        with pytest.raises(DecodeError) as caught:
            etf.decode_prefix(data)
        assert 0 <= caught.value.offset <= len(data)
    else:
        value, end = etf.decode_prefix(data)
        assert end <= len(data)
        assert etf.decode(etf.encode(value)) == value


@each([*WHOLE, *RECORDS], lambda row: row.get("term", row.get("printed"))[:40])
def test_every_truncation_is_a_decode_error(etf: ModuleType, row: dict[str, Any]) -> None:
    data = current(row)
    cuts = range(len(data)) if len(data) < 2_000 else [*range(500), *range(500, len(data), 997), len(data) - 1]
    for cut in cuts:
        with pytest.raises(DecodeError) as caught:
            etf.decode(data[:cut])
        assert 0 <= caught.value.offset <= cut


@each([*WHOLE, *RECORDS], lambda row: row.get("term", row.get("printed"))[:40])
def test_a_term_is_read_from_any_kind_of_buffer_at_any_offset(etf: ModuleType, row: dict[str, Any]) -> None:
    data = current(row)
    value = etf.decode(data)
    framed = b"xx" + data + b"yy"
    for buffer in (framed, bytearray(framed), memoryview(framed), memoryview(bytearray(framed))):
        assert etf.decode_prefix(buffer, 2) == (value, 2 + len(data))
        assert etf.decode_term(buffer, 3, None, None) == (value, 2 + len(data))
