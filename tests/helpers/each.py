"""Many small cases in one test.

A case of pytest's own costs milliseconds for its collection in each worker and for its report; where the cases are rows
of data that take less, `each` runs them in one test that says which of them failed.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

SHOWN = 20
Test = Callable[..., None]


def each(cases: Iterable[Any], name: Callable[[Any], str] = str) -> Callable[[Test], Test]:
    """The decorated test, whose last parameter is a case, for every one of `cases`."""
    rows = list(cases)

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        *fixtures, last = signature.parameters.values()

        @functools.wraps(test)
        def of_each(**values: Any) -> None:
            assert rows, "there are no cases"
            failed = [f"{name(row)}: {found}" for row in rows if (found := fault(test, **values, **{last.name: row}))]
            assert not failed, "\n".join([f"{len(failed)} of {len(rows)} failed", *failed[:SHOWN]])

        of_each.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return of_each

    return decorate


def fault(test: Test, **values: Any) -> str:
    try:
        test(**values)
    except (Exception, pytest.fail.Exception) as error:
        return f"{type(error).__name__}: {error}"
    return ""
