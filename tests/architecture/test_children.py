"""A program at a terminal is started by `terminal.spawn`, whose end the loop of gevent tells: else it may get lost."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BY = ROOT / "tests" / "helpers" / "terminal.py"


def test_programs_at_a_terminal_are_waited_for_by_the_loop() -> None:
    word = "pexpect." + "spawn"
    paths = [path for room in ("tests", "interop_tests") for path in (ROOT / room).rglob("*.py") if path != BY]
    found = [str(path) for path in paths if word in path.read_text(encoding="utf-8")]
    assert not found, f"write terminal.spawn in {found}"
