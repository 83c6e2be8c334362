"""What the whole suite stands on."""

import gc


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage: without them, what the tests' own checks collect and list is little.

    A run of `tests/` took eight times as long with them.
    """
    gc.collect()
    gc.freeze()
