"""One place for all tests of the tools, and in it the Python stand-in for an Elixir application."""

from collections.abc import Iterator

import pytest
from place import Place, place


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="session")
def app(here: Place) -> str:
    here.python_app()
    return "app@127.0.0.1"
