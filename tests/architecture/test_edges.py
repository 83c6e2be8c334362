"""Nothing that the loop, a greenlet or a native thread calls can be stopped by an exception: it is an `edge`.

A watcher whose callback raises is stopped by gevent, which makes a connection deaf for ever; a greenlet that ends by an
exception does no longer what it was for. So each function that is handed to one of them is decorated with `edge`, or
wrapped by it where it is handed over. What is found here by its shape are the calls that hand one over.
"""

import ast
from collections.abc import Iterator

import pytest
from each import each

from tests.architecture.test_floors import TREE, room

WATCHERS = {"io", "timer", "async_", "child", "idle", "signal", "stat", "prepare", "check", "fork"}
FIRST = {
    "run_callback",
    "run_callback_threadsafe",
    "spawn",
    "spawn_raw",
    "Greenlet",
    "_start_new_thread",
    "start_new_thread",
    "rawlink",
}
SECOND = {"spawn_later", "signal_handler"}
HARMLESS = {
    "hub.handle_system_error": "raises in the main greenlet what is the end of the program",
    "self.idle.pop().switch": "a worker that finds the scheduler stopping, and returns",
    "waiter.settle": "puts a waiting greenlet into the ready queue",
    "ended.set": "an event",
    "os.read": "C alone; Python's handler of a signal runs behind it, where gevent catches what that raises",
    "system.scheduler.loop.run_callback": "handed on: `Telemetry._tell` is what it is called with",
}


def name_of(node: ast.AST) -> str:
    return ast.unparse(node)


def watchers(tree: ast.Module) -> set[str]:
    """What the module calls the watchers that it makes: ``x = ….loop.io(…)``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
            made = node.value.func
            if isinstance(made, ast.Attribute) and made.attr in WATCHERS and name_of(made.value).endswith("loop"):
                found |= {name_of(target) for target in getattr(node, "targets", [getattr(node, "target", None)])}
    return found


def place_of_function(word: str, owner: str, known: set[str]) -> int | None:
    """Which argument of ``owner.word(…)`` is a function that is handed over."""
    if (word == "start" and owner in known) or (word == "link" and owner == "greenlet"):
        return 0
    if word in FIRST and (word not in ("spawn", "Greenlet") or owner == "gevent"):
        return 0
    return 1 if word in SECOND and owner == "gevent" else None


def handed_over(tree: ast.Module) -> Iterator[ast.expr]:
    """Every function that the module hands to the loop, to a greenlet or to a thread."""
    known = watchers(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            owner, _, word = name_of(node.func).rpartition(".")
            place = place_of_function(word, owner, known)
            if place is not None and len(node.args) > place:
                yield node.args[place]
            if word in ("Thread", "register_at_fork"):
                yield from (keyword.value for keyword in node.keywords if keyword.arg not in ("name", "daemon"))


def guarded(tree: ast.Module) -> set[str]:
    """Functions and methods with the decorator, and attributes that hold what `edge` gave."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (
            any(name_of(d) == "edge" for d in node.decorator_list) or is_edge_itself(node)
        ):
            found |= {node.name, f"self.{node.name}"}
        elif isinstance(node, ast.Assign):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else [node.targets[0]]
            if len(values) == len(targets):
                found |= {name_of(t) for t, v in zip(targets, values, strict=True) if is_edge_call(v)}
    return found


def is_edge_itself(function: ast.FunctionDef) -> bool:
    """Whether it does what `edge` would do for it: all but plain assignments is in a `try` that lets nothing out."""
    *first, last = function.body
    return (
        all(isinstance(statement, (ast.Assign, ast.Expr)) and not calls(statement) for statement in first)
        and isinstance(last, ast.Try)
        and [name_of(handler.type) for handler in last.handlers if handler.type] == ["BaseException"]
        and [name_of(node.func) for node in calls(last.handlers[0])] == ["escaped"]
    )


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def is_edge_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) == "edge"


def unguarded(tree: ast.Module) -> list[str]:
    known = guarded(tree)
    return [
        f"line {function.lineno}: {name_of(function)}"
        for function in handed_over(tree)
        if not is_edge_call(function) and name_of(function) not in known and name_of(function) not in HARMLESS
    ]


@each(name for name in TREE if room(name) != "testing")
def test_what_the_loop_calls_is_an_edge(name: str) -> None:
    assert unguarded(TREE[name]) == []


SHAPES = """
class C:
    def bare(self): ...
    @edge
    def good(self): ...
    def itself(self):
        'An edge.'
        ready = self.ready
        try:
            ready()
        except BaseException as error:
            escaped("itself", error)
        finally:
            self.done()
    def late(self):
        ready = self.ready()
        try:
            ready()
        except BaseException as error:
            escaped("late", error)
    def narrow(self):
        try:
            self.ready()
        except Exception as error:
            escaped("narrow", error)
    def m(self, readable):
        self.w = self.hub.loop.io(1, 1)
        self.w.start({0})
        self.loop.run_callback({0}, 1)
        gevent.spawn({0})
        _start_new_thread({0}, ())
        threading.Thread(name="x", target={0})
        gevent.spawn_later(1, {0})
        me.rawlink({0})
        greenlet.link({0})
        gevent.Greenlet({0})
        os.register_at_fork(after_in_child={0})
        self.process.start({0})
"""


@pytest.mark.parametrize(
    ("function", "count"),
    [
        ("self.bare", 10), ("self.good", 0), ("edge(self.bare)", 0),
        ("self.itself", 0), ("self.late", 10), ("self.narrow", 10),
    ],
)  # fmt: skip
def test_each_way_to_hand_a_function_over_is_seen(function: str, count: int) -> None:
    assert len(unguarded(ast.parse(SHAPES.format(function)))) == count


def test_the_modules_at_the_edge_are_seen() -> None:
    """The search finds what is there: a shape that it does not know would pass unseen."""
    seen = {name for name, tree in TREE.items() if list(handed_over(tree))}
    assert {
        "facade", "net.connection", "net.listener", "net.ticker", "net.transport", "net.tls", "net.epmd_server",
        "net.epmd_client", "port.stream", "port.owner", "runtime.scheduler", "runtime.timer", "runtime.process",
        "kernel.io.logger", "kernel.io.group_leader", "workers.child",
    } <= seen  # fmt: skip
