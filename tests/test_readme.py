"""The README tells the truth: its Python program runs as it stands, against a second Python node."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import blocks, commands
from place import ROOT, Place, place

README = ROOT / "README.md"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made


def test_the_readmes_python_program_prints_what_its_console_shows(here: Place, tmp_path: Path) -> None:
    here.python_app()
    [program] = blocks(README, "python")
    (tmp_path / "counter.py").write_text(program.text)
    ran = here.run([sys.executable, "counter.py"])
    shown = [c for block in blocks(README, "console") for c in commands(block) if c.line == "python counter.py"]
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", shown[0].prints)


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    import re

    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_commands_that_ci_runs_are_the_readmes() -> None:
    assert "make test" in "".join(block.text for block in blocks(README, "sh"))
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip().endswith("\nexec make test")
