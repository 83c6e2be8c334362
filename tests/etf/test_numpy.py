"""NumPy's scalars are terms, in both codecs and everywhere else, and NumPy is not imported for them."""

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from pyerlnode.errors import EncodeError
from pyerlnode.term import A, exact
from pyerlnode.term.order import identical
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.text import format_term
from pyerlnode.testing.patience import patience

numpy = pytest.importorskip("numpy")

FORMS: list[tuple[Any, Any]] = [
    (numpy.bool_(True), True),
    (numpy.bool_(False), False),
    (numpy.float16(0.1), 0.0999755859375),
    (numpy.float32(1.1), 1.100000023841858),
    (numpy.float64(0.1), 0.1),
    (numpy.longdouble(0.1), 0.1),
    (numpy.float32(-0.0), -0.0),
    (numpy.str_("é"), "é".encode()),
    (numpy.bytes_(b"a\0b"), b"a\0b"),
    *(
        (kind(value), int(value))
        for kind in (numpy.int8, numpy.int16, numpy.int32, numpy.int64, numpy.intp, numpy.longlong)
        for value in (numpy.iinfo(kind).min, -1, 0, numpy.iinfo(kind).max)
    ),
    *(
        (kind(value), int(value))
        for kind in (numpy.uint8, numpy.uint16, numpy.uint32, numpy.uint64, numpy.uintp, numpy.ulonglong)
        for value in (0, numpy.iinfo(kind).max)
    ),
]


@pytest.mark.parametrize(("value", "term"), FORMS, ids=lambda value: f"{type(value).__name__} {value!r}")
def test_a_scalar_is_the_term_that_its_value_is(etf: ModuleType, value: Any, term: Any) -> None:
    for around in (lambda part: part, lambda part: [A.x, (part, {A.k: part})], lambda part: {part: 1}):
        assert etf.encode(around(value)) == etf.encode(around(term))
        assert exact.same(around(value), around(term))
        assert identical(around(value), around(term))
        assert format_term(around(value)) == format_term(around(term))
        assert phash2(around(value)) == phash2(around(term))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        *((kind(text), "not finite") for kind in (numpy.float16, numpy.float32, numpy.float64, numpy.longdouble)
          for text in ("nan", "inf", "-inf")),
        (numpy.longdouble("0.1"), "no double holds exactly"),
        (numpy.longdouble("1e4000"), "no double holds exactly"),
        (numpy.datetime64("2026-01-01"), "no form"),
        (numpy.timedelta64(5, "s"), "no form"),
        (numpy.timedelta64("NaT"), "no form"),
        (numpy.complex64(1), "no form"),
        (numpy.complex128(1), "no form"),
        (numpy.array(5), "wrap an array in nx"),
        (numpy.array([1.5]), "wrap an array in nx"),
        (numpy.array([True]), "wrap an array in nx"),
        (numpy.void(b"x"), "no form"),
    ],
    ids=lambda value: f"{type(value).__name__} {value!r}",
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_no_term_is_refused_with_its_place(etf: ModuleType, value: Any, why: str) -> None:
    if sys.float_info.mant_dig == numpy.finfo(numpy.longdouble).nmant + 1 and why.startswith("no double"):
        pytest.skip("a longdouble is a double on this machine")
    with pytest.raises(EncodeError, match=why) as caught:
        etf.encode([1, {A.k: value}])
    assert caught.value.path == "[1][A.k]"


def test_numpy_is_not_imported_for_it() -> None:
    code = "import pyerlnode, sys; pyerlnode.encode([1.5, {1}]); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=patience())
    assert done.stdout == "False\n"
