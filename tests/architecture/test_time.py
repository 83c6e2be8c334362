"""No test depends on how fast the machine is.

A wait for what has to come ends by `patience()`, an upper bound that is a promise by `deadline(…)` (both of
`pyerlnode.testing.patience`), and nobody sleeps to wait. What is left is found here by its form; a time-out that is
the subject of a test (a call to a server that never answers) is shorter than a second and goes to a call.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from each import each

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("tests", "interop_tests")
WAITS = {
    "accept", "communicate", "create_connection", "expect", "get", "join", "joinall", "receive", "result", "run",
    "spawn", "wait", "wait_io",
}  # fmt: skip
"""Calls whose `timeout` only says when to give up."""
CLOCKS = {"monotonic", "perf_counter", "time"}
TOOK = re.compile(r"\b(took|elapsed|began|duration|slowest)\b")
NO_TIME = re.compile(r"process_time|clock\.now")
"""What a test has used itself, and the virtual clock."""
LATER = re.compile(r"after ([0-9_]+) ?->")

ALLOWED = {
    "interop_tests/beam_src/scenario.erl": "asks whether something is still up: the time is the question",
    "interop_tests/test_behaviours_gen_server.py": "asks whether something is told at all: the time is the question",
    "interop_tests/test_chaos_tree.py": "what is on its way down is asked again and again",
    "interop_tests/test_phoenix_pubsub.py": "a server is busy for that time",
    "interop_tests/test_priority.py": "messages are let come in before the first is taken",
    "interop_tests/test_spawn.py": "asks whether something is told at all: the time is the question",
    "interop_tests/worker_targets.py": "a function of a user raises it",
    "tests/kernel/test_blocked.py": "a program is stopped for two seconds: the time is the question",
    "tests/net/test_busy_wait.py": "has a clock of its own",
    "tests/net/test_hostile_peers.py": "a peer is slow on purpose",
    "tests/testing/test_patience.py": "a program is stopped for that time",
    "tests/testing/test_waiting.py": "the time is the subject",
    "interop_tests/test_behaviours_gen_event.py": "collects what was said until nobody says anything",
}
"""Files in which a time stands for something else than waiting, each with what for."""


def files(*suffixes: str) -> list[str]:
    return sorted(
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    )


def number(node: ast.AST | None) -> float | None:
    return node.value if isinstance(node, ast.Constant) and type(node.value) in (int, float) else None


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def is_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node) in CLOCKS and not node.args


def of_call(call: ast.Call) -> Iterator[str]:
    name, keywords = name_of(call), {word.arg: word.value for word in call.keywords}
    timeout = number(keywords.get("timeout"))
    gives_up = timeout is not None and (timeout >= 1 or (timeout > 0 and name in WAITS))
    if gives_up and name in WAITS | {"call", "rpc", "await_node"} and "default" not in keywords:
        yield "timeout=patience()"
    first, second = ([number(argument) for argument in call.args] + [None, None])[:2]
    if name in ("wait", "join", "Timeout") and first and isinstance(call.func, ast.Attribute):
        yield f"{name}(patience())"
    if name in ("wait_for", "wait_until") and second is not None and second >= 1:
        yield f"{name} without a time: it has its own"
    if name == "settings" and number(keywords.get("deadline")) is not None:
        yield "settings without a deadline: the profile has none"


def sleeps(node: ast.AST, waits: bool = False) -> Iterator[int]:
    """Where a test itself sleeps, but to look at something again and again; what it starts may be slow."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.While):
            yield from sleeps(child, getattr(child, "name", "").startswith("test_"))
        else:
            if waits and isinstance(child, ast.Call) and name_of(child) == "sleep" and number([*child.args, None][0]):
                yield child.lineno
            yield from sleeps(child, waits)


def of_test(path: str) -> Iterator[tuple[int, str]]:
    """What in this file depends on time: the line, and what to write."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    yield from ((line, "wait_for(condition): nobody sleeps to wait") for line in sleeps(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from ((node.lineno, better) for better in of_call(node))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            if is_clock(node.left) and 1 <= (number(node.right) or 0) < 60:
                yield node.lineno, "time.monotonic() + patience()"
        elif isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
            bounds = [node.test.left, *node.test.comparators]
            for left, operator, right in zip(bounds, node.test.ops, bounds[1:], strict=False):
                if isinstance(operator, ast.Gt | ast.GtE):
                    left, right = right, left
                text = ast.unparse(left)
                is_time = any(map(is_clock, ast.walk(left))) or TOOK.search(text)
                if is_time and not NO_TIME.search(text) and number(right) is not None:
                    yield node.lineno, "with deadline(…): the machine's own lateness does not count"


@each(path for path in files(".py") if path not in ALLOWED)
def test_nothing_depends_on_how_fast_the_machine_is(path: str) -> None:
    found = [f"{path}:{line}: write {better}" for line, better in of_test(path)]
    assert not found, "\n".join(found)


@each(path for path in files(".py", ".erl", ".ex", ".exs") if path not in ALLOWED)
def test_a_beam_waits_for_a_minute_too(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    short = [found[0] for found in LATER.finditer(text) if 25 < int(found[1].replace("_", "")) < 60_000]
    assert not short, f"{path}: a passing test never waits for it, so let it be 60000: {short}"
