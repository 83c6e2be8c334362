"""The page "Testing your service against a BEAM" and its example project: they are run as they stand."""

from pathlib import Path

import pytest
from documents import blocks

from interop_tests.test_plugin import ROOT, Run
from pyerlnode.testing import settings
from pyerlnode.testing.beam import Beam

PAGE = ROOT / "docs" / "testing.md"
EXAMPLE = ROOT / "examples" / "testing_your_service"
PROGRAMS = blocks(PAGE, "python")


@pytest.fixture
def run(tmp_path: Path, beam_session: Beam) -> Run:
    return Run(tmp_path, beam_session)


@pytest.mark.beam(elixir=True)
def test_the_pages_tests_pass(run: Run) -> None:
    assert len(PROGRAMS) == 6
    [exunit] = blocks(PAGE, "elixir")
    (run.directory / "test_counter.exs").write_text(exunit.text)
    for name, block in zip(
        ("counter", "test_beam", "test_faults", "test_death", "conftest", "test_pair"), PROGRAMS, strict=True
    ):
        (run.directory / f"{name}.py").write_text(block.text)
    status, output = run(PROGRAMS[0].text)
    assert "7 passed" in output, output
    assert status == 0


@pytest.mark.beam(elixir=True)
def test_the_example_projects_tests_pass(run: Run) -> None:
    status, output = run("", "--rootdir", str(EXAMPLE), "-c", str(EXAMPLE / "pyproject.toml"), str(EXAMPLE / "tests"))
    assert "5 passed" in output, output
    assert status == 0


class Parser:
    """pytest's parser, as far as it is asked here: it keeps the names of the options."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def getgroup(self, *_: str) -> "Parser":
        return self

    def addoption(self, name: str, **_: object) -> None:
        self.names.append(name)

    def addini(self, *_: object, **__: object) -> None: ...


def test_the_page_names_every_option() -> None:
    parser = Parser()
    settings.add_options(parser)
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in parser.names if name not in text] == []
