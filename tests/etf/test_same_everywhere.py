"""What a value is does not depend on what the program has imported before, nor on who has registered what first."""

import subprocess
import sys

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.etf import encode
from pyerlnode.schema import Date
from pyerlnode.term import (
    A,
    Atom,
    Charlist,
    FrozenList,
    Fun,
    ImproperList,
    Pid,
    Range,
    Struct,
    TermMap,
    kwget,
    kwmap,
    register_encoder,
)
from pyerlnode.testing.patience import patience

DATE = encode(Date(2020, 2, 29))
SET = encode(frozenset([1]))
WITHOUT_SCHEMA = "import sys; from pyerlnode.etf import decode, encode; assert 'pyerlnode.schema' not in sys.modules\n"


def told(source: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=patience()
    )
    return run.stdout.strip() + run.stderr


@pytest.mark.parametrize("imported", ["", "import pyerlnode.schema\n", "from pyerlnode import decode\n"])
def test_a_struct_is_the_same_value_whatever_was_imported(imported: str) -> None:
    source = (
        f"{WITHOUT_SCHEMA}{imported}made = decode({DATE!r}), decode({SET!r})\n"
        f"print([type(one).__name__ for one in made], encode(made) == encode((decode({DATE!r}), decode({SET!r}))))"
    )
    assert told(source) == "['Date', 'MapSet'] True"


@pytest.mark.parametrize(
    "value",
    [
        "__import__('datetime').date(2020, 2, 29)",
        "__import__('datetime').datetime(2020, 2, 29, 1)",
        "__import__('datetime').time(1, 2)",
        "__import__('decimal').Decimal('1.5')",
        "{1, 2}",
        "frozenset([1])",
        "range(3)",
        "__import__('pyerlnode.term').term.Range(1, 3)",
        "__import__('uuid').UUID(int=5)",
        "__import__('enum').Enum('E', 'a').a",
    ],
)
def test_a_value_of_python_is_written_and_printed_whatever_was_imported(value: str) -> None:
    """One OS process for each: the first such value that is met is the one that teaches."""
    source = f"{WITHOUT_SCHEMA}from pyerlnode.term.text import format_term\nv = {value}\nprint(encode(v).hex())"
    made = eval(value)  # it is written above
    assert told(source) == encode(made).hex()


def test_what_the_program_has_registered_first_stays() -> None:
    source = (
        f"{WITHOUT_SCHEMA}from decimal import Decimal\n"
        "from pyerlnode.term import A, register_encoder, register_struct\n"
        "register_encoder(Decimal, str); register_struct(A['Elixir.Date'], lambda struct: 'mine')\n"
        f"encode({{1}}); decode({SET!r})\n"
        f"print(encode(Decimal('1.5')) == encode('1.5'), decode({DATE!r}))"
    )
    assert told(source) == "True mine"


@pytest.mark.parametrize(
    "kind",
    [int, float, bool, str, bytes, bytearray, memoryview, tuple, list, dict, type(None), object, Atom, Pid, Fun, Struct,
     TermMap, ImproperList, FrozenList, Charlist],
)  # fmt: skip
def test_an_encoder_of_a_type_that_the_codec_writes_itself_is_refused(kind: type) -> None:
    with pytest.raises(UsageError, match="form of its own"):
        register_encoder(kind, lambda _: 1)


def test_an_encoder_of_what_is_no_type_is_refused() -> None:
    with pytest.raises(UsageError, match="of a type"):
        register_encoder(5, lambda _: 1)  # type: ignore[arg-type]


def test_a_range_is_a_value_whose_form_may_be_another() -> None:
    assert encode(Range(1, 3)) == encode(range(1, 4))


def test_a_map_of_atoms_is_made_and_read_by_keywords() -> None:
    made = kwmap(a=1, b=[2])
    assert made == {A.a: 1, A.b: [2]}
    assert (kwget(made, "a"), kwget(made, A.b), kwget(made, "c", 7)) == (1, [2], 7)
