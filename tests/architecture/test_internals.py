"""The pages about the tree, held to the tree."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "internals"


def drawings():
    spec = importlib.util.spec_from_file_location("draw", PAGES / "draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["floors", "message", "process"])
def test_a_drawing_is_what_its_script_makes(name: str) -> None:
    assert (PAGES / "figures" / f"{name}.svg").read_text(encoding="utf-8") == drawings().DRAWINGS[name]().svg()


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(
        r"`((?:pyerlnode|tests|docs|benchmarks|interop_tests)/[\w./-]*?)`", page.read_text(encoding="utf-8")
    )
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing, f"{page.name} names what is not there: {missing}"
