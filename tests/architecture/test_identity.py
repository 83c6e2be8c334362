"""Terms are told apart by `pyerlnode.term.exact` and by nothing else, wherever terms of peers and of users come in.

Python's ``==``, ``in`` and tables take 1, 1.0 and True for one, raise TypeError for a list, call methods of the
user's classes and go down on the C stack. So in the rooms below nothing is compared, looked up or hashed that may be
any term.

What may be any term is read from the code itself, function by function: a parameter that is annotated `Any` or
`object`, the parameters of a lambda, what a pattern captures without naming its class, and what is taken out of these
or assigned from them. A test of its type (``type(x) is Pid``, ``isinstance(x, Atom)``) in the same condition, in one
around it or in one before it that leaves makes it one of that type. Atoms are compared by ``is``.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from each import each

ROOT = Path(__file__).resolve().parents[2] / "pyerlnode"
ROOMS = ("runtime", "kernel", "otp", "cluster", "bridges")
TABLES = ("dict", "set", "frozenset", "Counter", "defaultdict", "OrderedDict")
LOOK_UPS = ("get", "pop", "setdefault")

ALLOWED: dict[tuple[str, str], str] = {
    ("kernel/global_/core.py", "resource in self.locks"): "a `Key` that comes back in an effect",
    ("kernel/global_/core.py", "self.locks[resource]"): "a `Key` that comes back in an effect",
    ("otp/supervisor.py", "self._state.children.get(id)"): "`Children` tells ids apart by their keys",
    ("runtime/mailbox_core.py", "one == other"): "two of one plain type",
    ("runtime/names.py", "hash((id(self.names), self.name))"): "a `Key`",
    ("runtime/priority_core.py", "table.setdefault(process, [])"): "a process of ours",
    ("runtime/process.py", "self.monitored_by: dict[Any, Any] | None"): "watchers, which are objects of ours",
    ("runtime/trace_tokens.py", "self[index]"): "the index of a queue",
    ("runtime/trace_tokens.py", "self.states.get(pid)"): "the pid of a process of ours",
    ("cluster/load/pool_core.py", "lanes[index]"): "an index of a range",
    ("cluster/load/pool_core.py", "self.places[index]"): "an index of a range",
    ("cluster/sessions/ring_core.py", "best[name]"): "the name of a member, which is text",
    ("cluster/standby/standby.py", "self._subscribers.pop(from_[0], None)"): "who calls is a pid (`gen.is_from`)",
}
"""(module, expression) → why that is no term, or no harm."""


@functools.cache
def faults(source: str) -> list[tuple[int, str]]:
    """(line, expression) of each comparison and look-up by Python of what may be any term."""
    tree = ast.parse(source)
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            child.parent = parent  # type: ignore[attr-defined]
    exact = exact_tables(tree)
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and is_table_of_any(node.annotation):
            found.append((node.lineno, ast.unparse(node).split(" = ")[0]))
        elif isinstance(node, ast.MatchValue) and is_number(node.value):
            found.append((node.lineno, f"case {ast.unparse(node)}"))
        elif isinstance(node, ast.expr) and is_fault(node, exact):
            found.append((node.lineno, ast.unparse(node)))
    return sorted(set(found))


def exact_tables(tree: ast.AST) -> set[str]:
    """Names and attributes that the file says are `ExactDict`s."""
    return {
        node.target.attr if isinstance(node.target, ast.Attribute) else ast.unparse(node.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and "ExactDict" in ast.unparse(node.annotation)
    }


def is_table_of_any(annotation: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Subscript)
        and ast.unparse(node.value) in TABLES
        and ast.unparse(node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice) == "Any"
        for node in ast.walk(annotation)
    )


def is_number(node: ast.expr) -> bool:
    while isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def is_fault(node: ast.expr, exact: set[str]) -> bool:
    match node:
        case ast.Compare():
            sides = [node.left, *node.comparators]
            pairs = zip(node.ops, sides, sides[1:], strict=False)
            return any(is_bad_comparison(op, left, right, exact) for op, left, right in pairs)
        case ast.Subscript() if isinstance(node.value, (ast.Name, ast.Attribute)):
            return may_be_any(node.slice) and not is_exact(node.value, exact) and not may_be_any(node.value)
        case ast.Call(func=ast.Name(id="hash")):
            return True
        case ast.Call(func=ast.Name(id=name), args=[ast.expr() as first, *_]) if name in TABLES:
            return name != "dict" and may_be_any(first)
        case ast.Call(func=ast.Attribute(value=table, attr=name), args=[first, *_]) if name in LOOK_UPS:
            return may_be_any(first) and not is_exact(table, exact)
        case ast.Dict():
            return any(key is not None and may_be_any(key) for key in node.keys)
        case ast.Set():
            return any(map(may_be_any, node.elts))
    return False


def is_bad_comparison(op: ast.cmpop, left: ast.expr, right: ast.expr, exact: set[str]) -> bool:
    match op:
        case ast.Eq() | ast.NotEq():
            return any(map(may_be_any, (left, right))) and not any(map(is_text, (left, right)))
        case ast.In() | ast.NotIn():
            if isinstance(right, (ast.Tuple, ast.List)):
                return may_be_any(left) and not all(is_atom(one) or is_text(one) for one in right.elts)
            if may_be_any(right):
                return not is_atom(left)
            return may_be_any(left) and not is_exact(right, exact)
    return False


def is_exact(table: ast.expr, exact: set[str]) -> bool:
    return (table.attr if isinstance(table, ast.Attribute) else ast.unparse(table)) in exact


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def is_atom(node: ast.expr) -> bool:
    return ast.unparse(node).startswith(("A.", "A["))


# --- what may be any term ------------------------------------------------------------------------
def may_be_any(node: ast.expr) -> bool:
    """A name, or a part of one, that nothing says the type of."""
    base = node
    while isinstance(base, (ast.Subscript, ast.Starred)):
        if isinstance(base, ast.Subscript) and isinstance(base.slice, ast.Slice):
            return False
        base = base.value
    if not isinstance(base, ast.Name):
        return False
    return base.id in raw_names(scope_of(node), base.id) and not is_narrowed(node)


def scope_of(node: ast.AST) -> list[ast.AST]:
    """The functions and lambdas around a node, the nearest first."""
    scopes = []
    while hasattr(node, "parent"):
        node = node.parent
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            scopes.append(node)
    return scopes


def raw_names(scopes: list[ast.AST], name: str) -> set[str]:
    for scope in scopes:
        names, bound = names_of(scope)
        if name in bound:
            return names
    return set()


_CACHE: dict[ast.AST, tuple[set[str], set[str]]] = {}


def names_of(scope: ast.AST) -> tuple[set[str], set[str]]:
    """Of one function: the names that may be any term, and all that it binds."""
    known = _CACHE.get(scope)
    if known is not None:
        return known
    raw: set[str] = set()
    bound: set[str] = set()
    typed = {ast.unparse(n.target) for n in own_nodes(scope) if isinstance(n, ast.AnnAssign) and not is_any(n)}
    arguments = scope.args  # type: ignore[attr-defined]
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        bound.add(argument.arg)
        said = argument.annotation and ast.unparse(argument.annotation)
        if said in ("Any", "object") or (said is None and isinstance(scope, ast.Lambda)):
            raw.add(argument.arg)
    nodes = list(own_nodes(scope))
    while True:
        before = len(raw), len(bound)
        for node in nodes:
            for target, value in bindings(node):
                names = list(names_in(target))
                bound.update(names)
                if value is None or base_of(value) in raw:
                    raw.update(set(names) - typed)
        if (len(raw), len(bound)) == before:
            break
    _CACHE[scope] = raw, bound
    return raw, bound


def is_any(node: ast.AnnAssign) -> bool:
    return ast.unparse(node.annotation) == "Any"


def names_in(target: ast.AST) -> Iterator[str]:
    """The names that an assignment to `target` binds."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple() | ast.List():
            for part in target.elts:
                yield from names_in(part)
        case ast.Starred():
            yield from names_in(target.value)


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function that are not those of a function within it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def bindings(node: ast.AST) -> Iterator[tuple[ast.AST, ast.expr | None]]:
    """(target, value) of what a node binds; no value: a pattern captures it."""
    match node:
        case ast.Assign():
            yield from ((target, node.value) for target in node.targets)
        case ast.AnnAssign() if node.value is not None and is_any(node):
            yield node.target, node.value
        case ast.NamedExpr():
            yield node.target, node.value
        case ast.For() | ast.comprehension():
            yield node.target, node.iter
        case ast.MatchAs(pattern=None, name=str(name)) if not isinstance(node.parent, ast.MatchClass):  # type: ignore[attr-defined]
            yield ast.Name(id=name), None


def base_of(node: ast.expr) -> str | None:
    while isinstance(node, (ast.Subscript, ast.Starred)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def is_narrowed(node: ast.expr) -> bool:
    """Whether a condition around says the type of this expression."""
    text = ast.unparse(node)
    signs = (f"type({text}) is ", f"isinstance({text}, ", f"type({text}) in ")
    refusals = (f"type({text}) is not ", f"not isinstance({text}, ")
    child: ast.AST = node
    while hasattr(child, "parent"):
        parent = child.parent
        conditions: list[ast.AST] = []
        match parent:
            case ast.BoolOp(op=ast.And()):
                conditions = parent.values[: parent.values.index(child)]  # type: ignore[arg-type]
            case ast.BoolOp(op=ast.Or()):
                before = parent.values[: parent.values.index(child)]  # type: ignore[arg-type]
                if any(sign in ast.unparse(condition) for condition in before for sign in refusals):
                    return True
            case ast.If() | ast.IfExp() | ast.While() if child is not parent.test:
                conditions = [parent.test]
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                conditions = [test for generator in parent.generators for test in generator.ifs]
            case ast.FunctionDef() | ast.Lambda():
                pass
        if any(sign in ast.unparse(condition) for condition in conditions for sign in signs):
            return True
        if any(refuses(before, text) for before in before_in_block(parent, child)):
            return True
        child = parent
    return False


def before_in_block(parent: ast.AST, child: ast.AST) -> list[ast.AST]:
    """The statements before `child` in its block."""
    for block in (getattr(parent, field, None) for field in ("body", "orelse", "finalbody")):
        if isinstance(block, list) and child in block:
            return block[: block.index(child)]
    return []


def refuses(statement: ast.AST, text: str) -> bool:
    """Whether it ends the function or the turn when this expression is not of the type."""
    if not isinstance(statement, ast.If) or not isinstance(statement.body[-1], (ast.Return, ast.Raise, ast.Continue)):
        return False
    return any(sign in ast.unparse(statement.test) for sign in (f"not isinstance({text}, ", f"type({text}) is not "))


# --- the tests -------------------------------------------------------------------------------------
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
}


@each(SOURCES)
def test_terms_are_told_apart_by_exact_alone(module: str) -> None:
    bad = [(line, text) for line, text in faults(SOURCES[module]) if (module, text) not in ALLOWED]
    assert not bad, "\n".join(f"pyerlnode/{module}:{line}: {text}" for line, text in bad)


def test_every_exception_is_still_needed() -> None:
    found = {(module, text) for module, source in SOURCES.items() for _, text in faults(source)}
    assert set(ALLOWED) <= found


CAUGHT = {
    "statem timers 1 and 1.0 overwrite each other": "timers: dict[Any, Timer]",
    "a timer named by a list raises TypeError": "def f(name: Any): return self.timers.get(name)",
    "{target_h, 0} reaches the handler without id": """
def f(name: Any):
    module, id = name
    return entry.id == id""",
    "supervisor ids 1, 1.0 and true collide": """
def f(specs: Any):
    for spec in specs:
        seen[spec[0]] = 1""",
    "an exit of a list raises in a selective receive": "me.receive(lambda m: m[1] in pids)",
    "an exit of nil ends a process without a parent": "def f(message: Any): return message[1] == self.parent",
    "what a pattern captures": """
def f(message: Any):
    match message:
        case (A.join, group):
            return self.groups[group]""",
    "a one that may be true": """
match message:
    case (A.ask, 1):
        pass""",
    "a hash of a tag": "hash(tag)",
    "a key of a display": "def f(key: Any): return {key: 1}",
    "a set": "def f(keys: Any): return set(keys)",
    "true is 1": "def f(answer: Any): return answer in (True, A.yes)",
}
FINE = {
    "typed": "def f(pid: Pid): return self.table[pid] if pid == me else None",
    "narrowed": "def f(message: Any): return type(message[1]) is Pid and message[1] in self.pids",
    "narrowed around": """
def f(message: Any):
    if isinstance(message, Pid):
        return self.pids[message]""",
    "refused before": """
def f(id: Any):
    if not isinstance(id, Pid):
        return None
    return self.table[id]""",
    "a class pattern": """
def f():
    match m:
        case (A.x, Pid() as pid):
            return self.pids[pid]""",
    "by exact": "def f(key: Any): return self.table.get(exact.key(key)), exact.same(key, other)",
    "an exact table": """
timers: ExactDict[Timer]
def f(name: Any):
    return self.timers.get(name)""",
    "atoms": "def f(word: Any): return word is A.x or word in (A.x, A.y)",
    "refused in the same condition": "def f(tag: Any): return type(tag) is not Reference or tag in self.table",
    "declared": """
def f(message: Any):
    ref: Reference = message[1]
    return ref in self.table""",
    "a part of a term": "def f(message: Any): return message[0]",
}


@pytest.mark.parametrize("source", CAUGHT.values(), ids=CAUGHT)
def test_each_fault_that_was_is_caught(source: str) -> None:
    assert faults(source)


@pytest.mark.parametrize("source", FINE.values(), ids=FINE)
def test_what_is_told_apart_exactly_is_fine(source: str) -> None:
    assert faults(source) == []
