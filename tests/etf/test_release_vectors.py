"""What each release of OTP writes is read as the same value, and written back as the newest one writes it."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from pyerlnode.term.order import identical
from pyerlnode.term.phash2 import phash2

DATA = Path(__file__).parents[1] / "data"
RELEASES = {
    int(path.stem[-2:]): json.loads(path.read_text(encoding="utf-8")) for path in DATA.glob("vectors_otp*.json")
}
NEWEST = RELEASES[max(RELEASES)]


def test_the_releases_that_are_supported_have_vectors_of_the_same_terms() -> None:
    assert sorted(RELEASES) == [25, 27, 29]
    terms = [[row["term"] for row in rows] for rows in RELEASES.values()]
    assert terms[0] == terms[1] == terms[2]
    assert terms[0] == (DATA / "vector_terms.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_every_release_is_read_as_the_same_values(etf: ModuleType, release: int) -> None:
    for row, newest in zip(RELEASES[release], NEWEST, strict=True):
        value = etf.decode(bytes.fromhex(row["hex"]))
        assert identical(value, etf.decode(bytes.fromhex(newest["hex"]))), row["term"]
        if "utf8" in row:
            assert identical(etf.decode(bytes.fromhex(row["utf8"])), value), row["term"]


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_a_value_of_any_release_is_written_as_the_newest_writes_it(etf: ModuleType, release: int) -> None:
    for row, newest in zip(RELEASES[release], NEWEST, strict=True):
        written = etf.encode(etf.decode(bytes.fromhex(row["hex"])))
        assert written.hex() == newest["hex"], row["term"]


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_phash2_is_that_of_every_release(etf: ModuleType, release: int) -> None:
    for row in RELEASES[release]:
        assert phash2(etf.decode(bytes.fromhex(row["hex"]))) == row["phash2"], row["term"]
