"""The plan of `docs/internals/architecture.md`, held by the imports themselves.

A module imports only from floors below its own or from its own room; rooms on one floor never
import each other; a family of files is a package, and its decisions are its own; there is no cycle;
gevent is met only at the edges; the pure rooms import the standard library only.
"""

import ast
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from each import each

ROOT = Path(__file__).resolve().parents[2] / "pyerlnode"
FLOORS = {
    "brief": -1, "orphans": -1,
    "errors": 0, "limits": 0, "former": 0,
    "term": 1,
    "signal": 2, "etf": 2, "schema": 2,
    "runtime": 3, "dist": 3,
    "otp": 4, "net": 4, "port": 4,
    "kernel": 5, "cluster": 5, "bridges": 5,
    "node": 6, "port_program": 6,
    "facade": 7, "workers": 7, "awaited": 7,
    "inspect": 8,
    "aio": 8,  # the facade again, for coroutines
    "__init__": 8,
    "tools": 9, "testing": 9,  # programs that stand on the public face, as a user's do
    "__main__": 10,
}  # fmt: skip
GEVENT = (
    "runtime.edges", "runtime.process", "runtime.mailbox", "runtime.scheduler", "runtime.threads", "runtime.timer",
    "facade", "aio", "net", "port", "tools", "testing", "workers",
)  # fmt: skip
PURE = ("brief", "errors", "limits", "term", "signal", "etf", "schema", "dist")
OURS = {"pyerlnode"}
FLAT = {"otp/gen_": "OTP's own modules, each beside its core"}


def sources() -> dict[str, str]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


class Trees(Mapping[str, ast.Module]):
    """Each module, parsed when it is looked at: every worker of a run imports this file, and one runs its tests."""

    def __init__(self) -> None:
        self.sources = sources()
        self._parsed: dict[str, ast.Module] = {}

    def __getitem__(self, name: str) -> ast.Module:
        if name not in self._parsed:
            self._parsed[name] = ast.parse(self.sources[name])
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return name in self.sources

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)


TREE = Trees()


@functools.cache
def imports(name: str) -> list[tuple[str, int]]:
    """Every module that `name` imports, at any depth of the code; `if TYPE_CHECKING` counts too."""
    return list(_imports(name))


def _imports(name: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(TREE[name]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} imports relatively; write the whole path"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield (inner if inner.removeprefix("pyerlnode.") in TREE else module), node.lineno


def room(name: str) -> str:
    return name.split(".")[0]


def is_core(name: str) -> bool:
    """A module of decisions alone."""
    return name.split(".")[-1] == "core" or name.endswith("_core")


def family(name: str) -> str:
    """The package within a room that `name` belongs to; empty for what stands in the room itself."""
    parts = name.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else ""


def ours(name: str) -> Iterator[tuple[str, int]]:
    for target, line in imports(name):
        if target == "pyerlnode":
            yield "__init__", line
        elif target.startswith("pyerlnode."):
            yield target.removeprefix("pyerlnode."), line


@each(TREE)
def test_module_imports_only_from_floors_below(name: str) -> None:
    assert room(name) in FLOORS, f"{name}: a room that the plan does not know"
    for target, line in ours(name):
        if room(target) != room(name):
            assert FLOORS[room(target)] < FLOORS[room(name)], f"{name}:{line} imports {target}"


@each(TREE)
def test_gevent_is_met_only_at_the_edges(name: str) -> None:
    if not any(name == edge or name.startswith(edge + ".") for edge in GEVENT):
        met = [line for target, line in imports(name) if target.split(".")[0] in ("gevent", "greenlet")]
        assert not met, f"{name} imports gevent in lines {met}"


@each(n for n in TREE if room(n) in PURE or is_core(n))
def test_pure_module_imports_the_standard_library_only(name: str) -> None:
    impure = {"socket", "time", "threading", "select", "random", "secrets", "asyncio", "subprocess"}
    for target, line in imports(name):
        top = target.split(".")[0]
        assert top in OURS or (top in sys.stdlib_module_names and top not in impure), f"{name}:{line} imports {target}"


def test_there_is_no_import_cycle() -> None:
    graph = {name: {t for t, _ in ours(name) if t in TREE and t != name} for name in TREE}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


@each(TREE)
def test_the_core_of_a_family_is_its_own(name: str) -> None:
    for target, line in ours(name):
        if family(target) and is_core(target):
            assert family(target) in (family(name), name), f"{name}:{line} imports {target}, another family's decisions"


def test_a_family_of_three_is_a_package() -> None:
    rooms: dict[str, list[str]] = {}
    for path in ROOT.rglob("*.py"):
        if "_" in path.stem.strip("_"):
            prefix = f"{path.parent.relative_to(ROOT)}/{path.stem.strip('_').split('_')[0]}_"
            rooms.setdefault(prefix, []).append(path.name)
    flat = {prefix: files for prefix, files in rooms.items() if len(files) >= 3 and prefix not in FLAT}
    assert not flat, f"a package each, or a reason in FLAT: {flat}"
