"""What the whole suite stands on."""

import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def nothing_before_this_module_is_garbage() -> None:
    """Thousands of collected tests, and what modules before this one still hold, are no garbage.

    Without them, what the tests' own checks collect and list is little: a run of `tests/` took eight times as long with
    the collected tests, and a check of `tests/net` still four times as long with what came since.
    """
    gc.collect()
    gc.freeze()
