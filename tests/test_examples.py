"""The examples that need no BEAM run as they stand; the others are held by `interop_tests/test_documents.py`."""

import sys
from pathlib import Path

from documents import opening_prints
from place import ROOT, place


def test_two_python_nodes_example_prints_what_its_opening_says(tmp_path: Path) -> None:
    example = ROOT / "examples" / "06_two_python_nodes.py"
    with place(tmp_path) as here:
        ran = here.run([sys.executable, str(example)])
    assert ran.stdout.strip() == opening_prints(example), ran.stderr
    assert (ran.returncode, ran.stderr) == (0, "")
