"""`each`, a helper of the tests: all cases in one test, which says what failed."""

import inspect
from typing import Any

import pytest
from each import each


def test_a_case_that_fails_is_named_and_keeps_no_other_from_its_turn() -> None:
    seen = []

    @each([1, 2, 3], "case {}".format)
    def test(fixture: str, case: int) -> None:
        seen.append((fixture, case))
        with pytest.raises(ZeroDivisionError):
            1 // (case - 1 if case < 3 else 1)
        raise AssertionError("late")

    failing: Any = test
    assert list(inspect.signature(failing).parameters) == ["fixture"]
    with pytest.raises(AssertionError) as caught:
        failing(fixture="f")
    assert str(caught.value).splitlines()[:2] == ["3 of 3 failed", "case 1: AssertionError: late"]
    assert "case 3: Failed: DID NOT RAISE" in str(caught.value)
    assert seen == [("f", 1), ("f", 2), ("f", 3)]


def test_without_cases_it_fails() -> None:
    @each([])
    def test(case: int) -> None:
        raise AssertionError

    with pytest.raises(AssertionError, match="no cases"):
        test()
