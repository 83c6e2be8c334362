"""What every interop test stands on: the project's own plugin, with its check that nothing is left.

The fixtures `beam`, `beam_factory` and `cluster` are the plugin's (`pyerlnode.testing.plugin`). Each
Python node of a test runs in the hub of the main thread, beside the test itself.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.testing.beam import Beam
from pyerlnode.testing.lab import why_no_namespaces

BEAM_SRC = Path(__file__).parent / "beam_src"


def pytest_configure(config: pytest.Config) -> None:
    """Law 8, whatever a node starts, it stops: every test here is checked."""
    config.option.beam_leaks = True


def lab_kinds() -> list[str]:
    """The kinds of network lab (`pyerlnode.testing.lab`) that this machine can have."""
    return ["proxy"] if why_no_namespaces() else ["proxy", "namespaces"]


def pytest_report_header(config: pytest.Config) -> str:
    reason = why_no_namespaces()
    return f"network lab: proxies only: {reason}" if reason else "network lab: proxies, and namespaces with nftables"


@pytest.fixture(autouse=True)
def with_a_beam(beam_session: Beam) -> None:
    """Each test here has a BEAM, and with that the plugin's check."""


@pytest.fixture
def python(beam: Beam) -> Iterator[Callable[..., Any]]:
    """Makes Python nodes with the BEAM's cookie at its EPMD, stopped after the test: ``python(ticktime=5.0)``."""
    from pyerlnode import Node
    from pyerlnode.testing.plugin import python_name

    with ExitStack() as stack:

        def make(name: str | None = None, **options: Any) -> Any:
            settings = {"cookie": beam.cookie, "epmd_port": beam.epmd_port, **options}
            return stack.enter_context(Node(name or python_name(), **settings))

        yield make


@pytest.fixture
def node(python: Callable[..., Any]) -> Any:
    """A Python node, not connected yet."""
    return python()


@pytest.fixture
def helper(beam: Beam) -> Callable[[str], Beam]:
    """Loads a module of `beam_src` on the BEAM and gives the BEAM: ``helper("echo.erl")``."""

    def load(name: str) -> Beam:
        beam.load(BEAM_SRC / name)
        return beam

    return load


@pytest.fixture
def python_peer(beam_session: Beam) -> Iterator[Callable[..., Any]]:
    """Makes Python nodes in OS processes of their own, with the BEAM's cookie at its EPMD unless told otherwise."""
    from interop_tests.python_peer import PythonPeer
    from pyerlnode.testing.plugin import python_name

    made = []

    def make(name: str | None = None, cookie: str | None = None, epmd_port: int | None = None, **options: Any) -> Any:
        port = beam_session.epmd_port if epmd_port is None else epmd_port
        made.append(PythonPeer(name or python_name(), cookie or beam_session.cookie, port, **options))
        return made[-1]

    yield make
    for peer in made:
        peer.stop()
