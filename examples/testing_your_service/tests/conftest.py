"""The node under test: the service's own, at the BEAM's name server, with the BEAM's cookie."""

from pathlib import Path
from typing import Any

import prices
import pytest


@pytest.fixture
def service(erl_node: Any) -> Any:
    prices.serve(erl_node)
    return erl_node


@pytest.fixture
def shop(beam: Any) -> Any:
    """The BEAM with the application's module."""
    beam.load(Path(__file__).parent / "beam" / "shop.ex")
    return beam
