"""A node without a network for each test, and nothing is left of it."""

from collections.abc import Iterator

import pytest

from pyerlnode import Node
from pyerlnode.testing import leaks


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Law 8: whatever a node starts, it stops."""
    before = leaks.snapshot()
    yield
    leaks.assert_no_leaks(before)


@pytest.fixture
def node() -> Iterator[Node]:
    with Node("workers@127.0.0.1", cookie="secret", epmd="none") as node:
        yield node
