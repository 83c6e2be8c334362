"""Texts of errors and lines of logs tell values by `pyerlnode.brief`, wherever terms of peers and of users come in.

`repr` and `str` of a term are as long as it is, end in RecursionError at a thousand levels and in ValueError at an
integer of 4,301 digits; those of a program's object may raise anything, and so may `str` of its exception. A report
that raises takes the place of the outcome that it should tell.

So in the rooms below there is no ``!r``, no ``%r`` and no ``repr()`` at all, and no `str`, ``{…}`` or argument of a
logger of what may be any term (`test_identity` reads from the code what that is) or is caught as an `Exception`.
"""

import ast
import functools

import pytest
from each import each

from tests.architecture.test_identity import ROOT, may_be_any

ROOMS = ("runtime", "kernel", "otp", "cluster", "bridges", "net", "port", "workers")
LEVELS = ("debug", "info", "warning", "error", "exception", "critical", "log")
TEXTS = ("str", "format", "ascii")

ALLOWED: dict[tuple[str, str], str] = {
    ("kernel/net_kernel.py", "log.info('connection to %s is down: %s', node, reason)"): "an atom (`Connection`)",
    (
        "kernel/remote/spawn_server.py",
        "log.warning('%s asked for %s:%s/%s, which is not exported', node, module, function, short(count))",
    ): "atoms, or question marks",
    (
        "workers/shared_core.py",
        "repr(numpy.lib.format.dtype_to_descr(value.dtype))",
    ): "a type of NumPy's",
}
"""(module, expression) → why that is no term, or no harm."""


@functools.cache
def faults(source: str) -> list[tuple[int, str]]:
    """(line, expression) of each text that is made of a value in another way than by `brief`."""
    tree = ast.parse(source)
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            child.parent = parent  # type: ignore[attr-defined]
    return sorted({(node.lineno, ast.unparse(shown(node))) for node in ast.walk(tree) if is_fault(node)})  # type: ignore[attr-defined]


def shown(node: ast.AST) -> ast.AST:
    return node.parent if isinstance(node, ast.FormattedValue) else node  # type: ignore[attr-defined]


def is_fault(node: ast.AST) -> bool:
    match node:
        case ast.FormattedValue(value=value, conversion=conversion):
            return conversion in (ord("r"), ord("a")) or is_unsafe(value)
        case ast.Constant(value=str(text)):
            return "%r" in text and not is_docstring(node)
        case ast.Attribute(attr="__repr__" | "__str__"):
            return True
        case ast.Call(func=ast.Name(id="repr")):
            return True
        case ast.Call(func=ast.Name(id=name), args=[value, *_]) if name in TEXTS:
            return is_unsafe(value) and not is_name(node)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id="str" | "repr"), value]):
            return is_unsafe(value)
        case ast.Call(func=ast.Name(id="report"), args=args):
            return any(map(is_unsafe, args))
        case ast.Call(func=ast.Attribute(value=logger, attr=level), args=args) if level in LEVELS:
            return "log" in ast.unparse(logger) and any(map(is_unsafe, args))
    return False


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node.parent, ast.Expr)  # type: ignore[attr-defined]


def is_name(node: ast.AST) -> bool:
    """``Atom(str(x))``: a program gives a name."""
    return isinstance(node.parent, ast.Call) and ast.unparse(node.parent.func) == "Atom"  # type: ignore[attr-defined]


def is_unsafe(node: ast.expr) -> bool:
    return may_be_any(node) or is_caught(node)


def is_caught(node: ast.expr) -> bool:
    """Whether it is an exception of any class."""
    around: ast.AST = node
    while isinstance(node, ast.Name) and hasattr(around, "parent"):
        around = around.parent
        if isinstance(around, ast.ExceptHandler) and around.name == node.id:
            return around.type is not None and "Exception" in ast.unparse(around.type)
    return False


SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
}


@each(SOURCES)
def test_values_are_told_by_brief_alone(module: str) -> None:
    bad = [(line, text) for line, text in faults(SOURCES[module]) if (module, text) not in ALLOWED]
    assert not bad, "\n".join(f"pyerlnode/{module}:{line}: {text}" for line, text in bad)


def test_every_exception_is_still_needed() -> None:
    found = {(module, text) for module, source in SOURCES.items() for _, text in faults(source)}
    assert set(ALLOWED) <= found


CAUGHT = {
    "the destination of a call": "raise NoProc(reason, f'there is no process {dest!r}')",
    "a part of an object": "f'<Device {self.dest!r}>'",
    "an event of sys": "log.info('*DBG* %s %r', pid, event)",
    "a name as text": "def f(name: Any): return f'{name} is taken'",
    "a name in a line": "def f(name: Any): log.warning('%s is lost', name)",
    "a report": "def f(name: Any): report(logger, '%s is lost', name)",
    "repr": "repr(value)",
    "its method": "value.__repr__()",
    "str": "def f(value: Any): return str(value)",
    "of each": "def f(values: Any): return ', '.join(map(str, values))",
    "an exception": """
try:
    work()
except Exception as error:
    log.debug('it failed: %s', error)""",
    "an exception in a text": """
try:
    work()
except (OSError, Exception) as error:
    raise UsageError(f'it failed: {error}')""",
}
FINE = {
    "by brief": "def f(name: Any): return f'{short(name)} is taken by {told(name, 20)}'",
    "of a known type": "def f(name: Atom): log.warning('%s is lost', name)",
    "a name": "def f(name: Any): return Atom(str(name))",
    "an error of the system": """
try:
    work()
except OSError as error:
    log.debug('it failed: %s', error)""",
    "a trace": """
try:
    work()
except Exception as error:
    log.debug('it failed', exc_info=error)""",
    "a docstring": '"""`%r` of a term."""',
}


@pytest.mark.parametrize("source", CAUGHT.values(), ids=CAUGHT)
def test_each_fault_that_was_is_caught(source: str) -> None:
    assert faults(source)


@pytest.mark.parametrize("source", FINE.values(), ids=FINE)
def test_what_is_told_by_brief_is_fine(source: str) -> None:
    assert faults(source) == []
