"""What a supervisor is told of a child: OTP's child specification, from Python and from the BEAM.

    key          means                                             unless given
    id           how it is called; a `str` becomes an atom         the class's or function's name
    start        (function, args), a function, or {M, F, Args}     –
    restart      permanent | transient | temporary                 permanent
    shutdown     seconds | infinity | brutal_kill                  5.0; infinity for a supervisor
    type         worker | supervisor                               worker
    modules      [module] | dynamic                                the module of `start`
    significant  its end may end the supervisor (`auto_shutdown`)  False

In Python a child is a dict of these, a class (`Counter`), a class with the arguments of its `init` (``(Counter, 41)``),
or `child_spec(Counter, 41, name="counter", restart="transient")`. From the BEAM come OTP's map and its tuple of six,
with milliseconds; there `start` names a function that the program exported. What is wrong with a specification is
said in OTP's words (supervisor's `check_childspecs`), as `reason` of a `BadChildSpec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pyerlnode.brief import BRIEF, told
from pyerlnode.errors import UsageError
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import key

RESTARTS: Final = (A.permanent, A.transient, A.temporary)
TYPES: Final = (A.worker, A.supervisor)
KEYS: Final = ("id", "start", "restart", "shutdown", "type", "modules", "significant")
_KEYS: Final = frozenset(KEYS)
WORKER_SHUTDOWN: Final = 5.0


class BadChildSpec(UsageError):
    """A child specification that can not be used; `reason` is OTP's term for what is wrong with it."""

    def __init__(self, reason: Any) -> None:
        super().__init__(f"a child specification can not be used: {told(reason, BRIEF)}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Start:
    """How a child is started: `function` (None: look up what was exported as `module`:`name`), and its arguments.

    `module` and `name` are how the BEAM is told of it. `args` are None once they are not needed again, as OTP forgets
    those of a temporary child.
    """

    function: Callable[..., Any] | None
    args: tuple[Any, ...] | None
    module: Atom
    name: Atom
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mfa(self) -> tuple[Atom, Atom, Any]:
        """``{M, F, Args}``; keyword arguments stand in a keyword list behind the others."""
        if self.args is None:
            return self.module, self.name, A.undefined
        options = [(Atom(key), value) for key, value in self.kwargs.items()]
        return self.module, self.name, [*self.args, *([options] if options else [])]

    def with_more(self, extra: Iterable[Any], *, before: bool = False) -> Start:
        """The same with further arguments behind (or before) those that it has."""
        args = self.args or ()
        return replace(self, args=(*extra, *args) if before else (*args, *extra))


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child, checked: atoms where OTP has atoms, `shutdown` in seconds, or `infinity` or `brutal_kill`."""

    id: Any
    start: Start
    restart: Atom = A.permanent
    shutdown: float | Atom = WORKER_SHUTDOWN
    type: Atom = A.worker
    modules: Any = A.dynamic
    significant: bool = False

    @property
    def temporary(self) -> bool:
        return self.restart is A.temporary

    def forgetting(self) -> ChildSpec:
        """As OTP keeps it once it runs: the arguments of a temporary child are not needed again."""
        return replace(self, start=replace(self.start, args=None)) if self.temporary else self

    def to_wire(self) -> dict[Atom, Any]:
        """OTP's map."""
        return {
            A.id: self.id,
            A.start: self.start.mfa,
            A.restart: self.restart,
            A.significant: self.significant,
            A.shutdown: milliseconds(self.shutdown),
            A.type: self.type,
            A.modules: self.modules,
        }

    def to_record(self, pid: Any) -> tuple[Any, ...]:
        """``#child{}``, which OTP puts into the error of a child that did not start."""
        return (
            A.child, pid, self.id, self.start.mfa, self.restart, self.significant, milliseconds(self.shutdown),
            self.type, self.modules,
        )  # fmt: skip


def milliseconds(shutdown: float | Atom) -> int | Atom:
    return shutdown if isinstance(shutdown, Atom) else round(shutdown * 1000)


# --- from Python -------------------------------------------------------------------------------
def child_spec(what: Any, *args: Any, name: Any = None, **overrides: Any) -> ChildSpec:
    """The specification of `what`, a class or a start function, called with `args`.

    `name` is registered by a class's start. `overrides` are the keys of a specification. A class may have options of
    its own in ``child_options = {"restart": "transient"}``.
    """
    if not callable(what):
        raise BadChildSpec((A.invalid_child_spec, told(what, BRIEF).encode("utf-8", "replace")))
    start = start_of(what, args, {} if name is None else {"name": name})
    spec = {**getattr(what, "child_options", {}), **overrides, "start": start}
    if "id" not in spec:
        spec["id"] = start.module if name is None and isinstance(what, type) else _default_id(what, name)
    return from_mapping(spec)


def start_of(what: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Start:
    """The start of a class (its process, linked), or of a function that starts one."""
    if isinstance(what, type):
        return Start(what, args, module_name(what), A.start_link, kwargs)
    owner = getattr(what, "__self__", None)
    module = module_name(owner) if isinstance(owner, type) else Atom(str(getattr(what, "__module__", "?"))[:255])
    return Start(what, args, module, Atom(getattr(what, "__name__", type(what).__name__)[:255]), kwargs)


def module_name(cls: type) -> Atom:
    """What stands for a Python class where the BEAM has a module: its `__erlang_module__`, else ``module.Class``."""
    given = cls.__dict__.get("__erlang_module__")
    return Atom(str(given) if given is not None else f"{cls.__module__}.{cls.__qualname__}"[-255:])


def _default_id(what: Any, name: Any) -> Any:
    if name is not None and isinstance(name, (str, Atom)):
        return name
    return module_name(what) if isinstance(what, type) else Atom(getattr(what, "__name__", type(what).__name__)[:255])


def child_of(what: Any) -> ChildSpec:
    """The specification of a child in one of the forms that Python has for it (see above)."""
    if isinstance(what, ChildSpec):
        return what
    if isinstance(what, Mapping):
        return from_mapping({str(key): _unit(key, value) for key, value in what.items()})
    head, *args = what if isinstance(what, tuple) and what else (what,)
    own = getattr(head, "child_spec", None)
    if isinstance(head, type) and own is not None:
        return child_of(own(*args))
    return child_spec(head, *args)


def _unit(key: Any, value: Any) -> Any:
    """In OTP's map, whose keys are atoms, `shutdown` is in milliseconds, as there."""
    return value / 1000 if key is A.shutdown and type(value) is int else value


def from_mapping(spec: Mapping[str, Any]) -> ChildSpec:
    """A specification of Python's, checked. Raises `BadChildSpec`."""
    if not _KEYS.issuperset(spec):
        unknown = sorted(set(spec) - _KEYS)
        raise UsageError(f"a child specification has {', '.join(KEYS)}; it has no {', '.join(unknown)}")
    if "start" not in spec:
        raise BadChildSpec(A.missing_start)
    start = _python_start(spec["start"])
    type_ = _word(spec.get("type", getattr(start.function, "child_type", A.worker)), TYPES, A.invalid_child_type)
    return ChildSpec(
        id=_id(spec["id"]) if "id" in spec else _default_id(start.function, None) if start.function else A.undefined,
        start=start,
        restart=_word(spec.get("restart", A.permanent), RESTARTS, A.invalid_restart_type),
        shutdown=_seconds(spec.get("shutdown"), type_),
        type=type_,
        modules=_modules(spec["modules"]) if "modules" in spec else [start.module],
        significant=_significant(spec.get("significant", False)),
    )


def _python_start(start: Any) -> Start:
    if isinstance(start, Start):
        return start
    if callable(start):
        return start_of(start, (), {})
    match start:
        case (function, (list() | tuple()) as args) if callable(function):
            return start_of(function, tuple(args), {})
        case (function, (list() | tuple()) as args, dict() as kwargs) if callable(function):
            return start_of(function, tuple(args), kwargs)
    return _mfa(start)


def _id(id: Any) -> Any:
    if type(id) is Atom:
        return id
    if isinstance(id, type):
        return module_name(id)
    return Atom(id) if isinstance(id, str) else id


def _word(value: Any, known: tuple[Atom, ...], otherwise: Atom) -> Atom:
    if type(value) is Atom and value in known:
        return value
    atom = Atom(value) if isinstance(value, str) else value
    if not isinstance(atom, Atom) or atom not in known:
        raise BadChildSpec((otherwise, atom))
    return atom


def _seconds(shutdown: Any, type_: Atom) -> float | Atom:
    if shutdown is None:
        return A.infinity if type_ is A.supervisor else WORKER_SHUTDOWN
    if isinstance(shutdown, str):
        shutdown = Atom(shutdown)
    if shutdown is A.infinity or shutdown is A.brutal_kill:
        return shutdown
    if isinstance(shutdown, bool) or not isinstance(shutdown, (int, float)) or not 0 <= shutdown < 1e9:
        raise BadChildSpec((A.invalid_shutdown, shutdown))
    return float(shutdown)


def _modules(modules: Any) -> Any:
    if modules is A.dynamic or modules == "dynamic":
        return A.dynamic
    if not isinstance(modules, list):
        raise BadChildSpec((A.invalid_modules, modules))
    named = [module_name(m) if isinstance(m, type) else Atom(m) if isinstance(m, str) else m for m in modules]
    for module in named:
        if not isinstance(module, Atom):
            raise BadChildSpec((A.invalid_module, module))
    return named


def _significant(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadChildSpec((A.invalid_significant, value))
    return value


# --- from the BEAM -----------------------------------------------------------------------------
def from_wire(spec: Any) -> ChildSpec:
    """OTP's map or tuple of six. Raises `BadChildSpec` with what OTP's supervisor answers to a bad one."""
    if type(spec) is tuple and len(spec) == 6:
        spec = dict(zip((A.id, A.start, A.restart, A.shutdown, A.type, A.modules), spec, strict=True))
    if not isinstance(spec, Mapping):
        raise BadChildSpec((A.invalid_child_spec, spec))
    if A.id not in spec:
        raise BadChildSpec(A.missing_id)
    if A.start not in spec:
        raise BadChildSpec(A.missing_start)
    start = _mfa(spec[A.start])
    restart = _word(spec.get(A.restart, A.permanent), RESTARTS, A.invalid_restart_type)
    significant = _significant(spec.get(A.significant, False))
    type_ = _word(spec.get(A.type, A.worker), TYPES, A.invalid_child_type)
    return ChildSpec(
        id=spec[A.id],
        start=start,
        restart=restart,
        significant=significant,
        type=type_,
        shutdown=_wire_shutdown(spec.get(A.shutdown, 5000 if type_ is A.worker else A.infinity)),
        modules=_modules(spec.get(A.modules, [start.module])),
    )


def _mfa(start: Any) -> Start:
    match start:
        case (Atom() as module, Atom() as name, list(args)):
            return Start(None, tuple(args), module, name)
    raise BadChildSpec((A.invalid_mfa, start))


def _wire_shutdown(shutdown: Any) -> float | Atom:
    if type(shutdown) is int and shutdown >= 0:
        return shutdown / 1000
    if shutdown is A.infinity or shutdown is A.brutal_kill:
        return shutdown
    raise BadChildSpec((A.invalid_shutdown, shutdown))


# --- all of them -------------------------------------------------------------------------------
def check_significant(spec: ChildSpec, auto_shutdown: Atom) -> ChildSpec:
    """A significant child needs a supervisor that looks at it, and may not be permanent."""
    if spec.significant and auto_shutdown is A.never:
        raise BadChildSpec((A.bad_combination, [(A.auto_shutdown, A.never), (A.significant, True)]))
    if spec.significant and spec.restart is A.permanent:
        raise BadChildSpec((A.bad_combination, [(A.restart, A.permanent), (A.significant, True)]))
    return spec


def children_of(children: Iterable[Any], auto_shutdown: Atom) -> tuple[ChildSpec, ...]:
    """All children of a supervisor, in the order of their start. Raises `BadChildSpec`."""
    specs = tuple(check_significant(child_of(child), auto_shutdown) for child in children)
    seen = set()
    for spec in specs:
        its = key(spec.id)
        if its in seen:
            raise BadChildSpec((A.duplicate_child_name, spec.id))
        seen.add(its)
    return specs
