"""Nobody asks a peer into being: `System.peer` makes one, and what other nodes name must leave nothing behind."""

import ast
from pathlib import Path

import pyerlnode

ROOT = Path(pyerlnode.__file__).parent
INSTEAD = "ask System.is_connected"


def asked(source: str) -> list[int]:
    """The lines of ``….peer(node).route`` and the like that are only read."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr in ("route", "dialling", "refusal")
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "peer"
    ]


def test_whether_a_node_is_connected_is_asked_of_the_system() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in ROOT.rglob("*.py")
        if path.parts[-2] != "testing"
        for line in asked(path.read_text(encoding="utf-8"))
    }
    assert not found, INSTEAD


def test_the_question_is_seen() -> None:
    assert asked("self.system.peer(node).route is not None\nsystem.peer(n).monitors\n") == [1]
