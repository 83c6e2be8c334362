"""A message that no `case` takes: how it is noticed, and what becomes of it.

    def handle_cast(self, request):
        match request:
            case (A.add, int(n)):
                self.value += n

Elixir's server with this one clause ends by a FunctionClauseError for any other request. A `match` of Python falls
through without a word, and the callback gives None, as one that has done its work does. So None is looked at twice:

- The callback's code is read once, when it first gives None. A `match` that ends it, without a case that takes anything
  (``case _``, ``case other``), is an *open* one. All other callbacks mean by None that they have handled the message,
  and so does one whose source is not to be had.
- Of an open one the patterns are asked again, without their bodies. A message that one of them takes was handled. A
  guard can not be asked again, as the body may have changed what it looks at: a case with a guard counts as the one
  that took the message, unless it always gives a result such as `NoReply()`.
- Where the patterns can not be asked (they look at local variables, or at something else than the arguments), None says
  that no case took the message; a case that did says so by a result.

What follows is the class's `unmatched`: ``warn`` logs a line, once for each shape of message; ``crash`` ends the
process with ``{function_clause, Stack}``, as the BEAM does; ``ignore`` drops it. A call that no case takes ends the
process in each case, since its caller would wait for nothing.
"""

from __future__ import annotations

import ast
import inspect
import logging
import opcode
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Any, Final
from weakref import WeakKeyDictionary

from pyerlnode.brief import short
from pyerlnode.errors import Exit, UsageError
from pyerlnode.runtime.reason_core import module_atom
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

WARN: Final = "warn"
CRASH: Final = "crash"
IGNORE: Final = "ignore"
CHOICES: Final = (WARN, CRASH, IGNORE)
MOST_SHAPES: Final = 64
"""Shapes of messages that one class warns of."""
PARTS: Final = 6
"""Elements of a tuple that a shape shows."""
RESULTS: Final = frozenset(
    {
        "Continue", "KeepState", "NextState", "NoReply", "RemoveHandler", "RepeatState", "Reply", "Stop",
        "StopAndReply", "SwapHandler", "Timeout",
    }
)  # fmt: skip
"""Names of what callbacks give; a call of one is no None."""

Took = Callable[..., bool]
"""Whether a case takes what the callback was called with; its arguments are the callback's."""


def choice(cls: type) -> str:
    """What `cls` says; an attribute of this name that is something else says nothing."""
    given = getattr(cls, "unmatched", WARN)
    return given if given in (CRASH, IGNORE) else WARN


def check_choice(cls: type) -> None:
    given = cls.__dict__.get("unmatched", WARN)
    if isinstance(given, str) and given not in CHOICES:
        raise UsageError(f"{cls.__name__}.unmatched is one of {', '.join(CHOICES)}, not {short(given)}")


# --- what follows ------------------------------------------------------------------------------
def gave_none(
    logger: logging.Logger, cls: type, who: Pid | Atom, callback: Any, args: tuple[Any, ...], what: str
) -> None:
    """The method `callback` of a `cls` has given None for `args`; `what` says what kind of message they are.

    Raises `Exit` when no case took it and the class wants to end.
    """
    wish = choice(cls)
    if wish == IGNORE or not is_missed(callback, args):
        return
    function = callback.__func__
    if wish == CRASH:
        raise function_clause(cls, function)
    _warn(logger, cls, function.__name__, who, what)


def is_always_done(cls: type, *functions: Any) -> bool:
    """Whether None of these methods of `cls` never asks for anything to be done."""
    return choice(cls) == IGNORE or all(matcher(function) is None for function in functions)


def is_missed(callback: Any, args: tuple[Any, ...]) -> bool:
    """Whether None from ``callback(*args)``, a method, says that no case took the message."""
    took = matcher(callback.__func__) if type(callback) is MethodType else None
    if took is None:
        return False
    try:
        return not took(callback.__self__, *args)
    except (
        Exception
    ):  # a property or __eq__ of the program's own, which a pattern looks at: then it is as it was before
        return False


def function_clause(cls: type, function: Any) -> Exit:
    """The end of a process whose callback has no clause; its stack has the callback's arity, not its arguments."""
    code: CodeType = inspect.unwrap(function).__code__
    where = [(A.file, list(code.co_filename.encode("utf-8", "replace"))), (A.line, code.co_firstlineno)]
    stack = [(module_atom(cls), Atom(function.__name__[:255]), code.co_argcount, where)]
    return Exit((A.function_clause, stack), f"no case of {cls.__name__}.{function.__name__} takes the message")


_told: WeakKeyDictionary[type, set[tuple[str, str]]] = WeakKeyDictionary()


def _warn(logger: logging.Logger, cls: type, name: str, who: Pid | Atom, what: str) -> None:
    """One line for each class, callback and shape of message."""
    told = _told.setdefault(cls, set())
    if (name, what) in told or len(told) > MOST_SHAPES:
        return
    told.add((name, what))
    text = "%s %s: no case of %s takes %s, which is dropped; this is told once"
    if len(told) > MOST_SHAPES:
        text += ", and further shapes are not told"
    logger.warning(text, cls.__name__, who, name, what)


def shape(term: Any) -> str:
    """What `term` looks like, without what is in it: ``{add, integer}``. Atoms and tags of tuples are shown."""
    if type(term) is Atom:
        return str(term)[:80]
    if type(term) is not tuple:
        return _kind(term)
    parts = [_kind(part) for part in term[:PARTS]]
    if term and type(term[0]) is Atom:
        parts[0] = str(term[0])[:80]
    return "{" + ", ".join(parts) + (f", … {len(term)} in all}}" if len(term) > PARTS else "}")


_KINDS: Final = {
    Atom: "atom", bool: "boolean", int: "integer", float: "float", bytes: "binary", str: "binary", list: "list",
    tuple: "tuple", dict: "map", type(None): "nil",
}  # fmt: skip


def _kind(term: Any) -> str:
    return _KINDS.get(type(term)) or type(term).__name__.lower()[:80]


# --- what the code of a callback says ----------------------------------------------------------
_ASKING: Final = frozenset(
    number
    for name, number in opcode.opmap.items()
    if name.startswith("MATCH_") or name.endswith("_NONE") or name in ("COMPARE_OP", "IS_OP")
)
"""What a pattern that takes not everything is compiled to."""
_matchers: WeakKeyDictionary[Any, Took | None] = WeakKeyDictionary()


def matcher(function: Any) -> Took | None:
    """Tells whether a case of an open `match` takes the arguments; None of a callback whose None is no question."""
    if type(function) is not FunctionType:
        return None
    if function not in _matchers:
        _matchers[function] = _read(function)
    return _matchers[function]


def _read(function: Any) -> Took | None:
    function = getattr(function, "__awaited__", function)  # what is awaited in its place
    decoder = getattr(function, "__decoder__", None)  # of `typed`
    inner = function if decoder is None else function.__wrapped__
    if type(inner) is not FunctionType or hasattr(inner, "__wrapped__"):
        return None  # what a decorator of the program makes of None is its own
    if _ASKING.isdisjoint(inner.__code__.co_code[::2]):
        return None  # nothing is compared: no need to look for the source
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inner)))
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):  # no source, or not that of this function
        return None
    node = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != inner.__name__:
        return None
    last = _last(node.body)
    if not isinstance(last, ast.Match) or any(_takes_all(case) for case in last.cases):
        return None
    if any(isinstance(part, ast.Await) for case in last.cases if case.guard for part in ast.walk(case.guard)):
        return None  # what it awaits is not asked for twice
    took = _compiled(inner, node, last)
    if took is None:
        return lambda *_: False
    return took if decoder is None else lambda me, message, *rest: took(me, decoder(message), *rest)


def _last(body: list[ast.stmt]) -> ast.stmt:
    """The statement with which the callback ends."""
    last = body[-1]
    while isinstance(last, ast.With) or (isinstance(last, ast.Try) and not last.orelse):
        last = last.body[-1]
    return last


def _takes_all(case: ast.match_case) -> bool:
    return case.guard is None and _is_irrefutable(case.pattern)


def _is_irrefutable(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchOr):
        return any(map(_is_irrefutable, pattern.patterns))
    return isinstance(pattern, ast.MatchAs) and (pattern.pattern is None or _is_irrefutable(pattern.pattern))


def _compiled(function: FunctionType, node: ast.FunctionDef | ast.AsyncFunctionDef, match: ast.Match) -> Took | None:
    """A function of the callback's arguments that asks the patterns of `match` alone; None when it can not be made."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) or code.co_kwonlyargcount:
        return None
    cases = [case for case in match.cases if case.guard is None or not _gives_result(case.body)]
    used = _names(match.subject).union(*[_names(case.pattern) for case in cases])
    changed = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    if used & changed or not used <= {*names, *code.co_freevars, *code.co_names}:
        return None
    asked = [ast.match_case(case.pattern, None, [ast.Return(ast.Constant(True))]) for case in cases]
    body: list[ast.stmt] = [ast.Return(ast.Constant(False))]
    if asked:
        body.insert(0, ast.Match(match.subject, asked))
    return _made(function, names, body)


def _made(function: FunctionType, names: tuple[str, ...], body: list[ast.stmt]) -> Took:
    """A function with `body` that sees what `function` sees: its globals and the variables around it."""
    free = function.__code__.co_freevars
    inner = ast.FunctionDef("took", _arguments(names), body, [], None)
    outer = ast.FunctionDef("around", _arguments(free), [inner], [], None)
    module = ast.fix_missing_locations(ast.Module([outer], []))
    around = next(part for part in compile(module, "<unmatched>", "exec").co_consts if isinstance(part, CodeType))
    code = next(part for part in around.co_consts if isinstance(part, CodeType))
    cells = dict(zip(free, function.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    return FunctionType(code, function.__globals__, "took", None, closure)


def _arguments(names: tuple[str, ...]) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])


def _names(tree: ast.AST) -> set[str]:
    """The names that are read."""
    return {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}


def _gives_result(body: list[ast.stmt]) -> bool:
    """Whether `body` always ends with a result that is not None, or raises."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    if isinstance(last, ast.If):
        return bool(last.orelse) and _gives_result(last.body) and _gives_result(last.orelse)
    if not isinstance(last, ast.Return):
        return False
    value = last.value
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in RESULTS
