"""Application: a supervision tree with a name, an environment and what it needs to run before it (OTP's `application`).

    class Shop(Application):
        name = "shop"
        applications = (Stock,)
        env = {"currency": "EUR"}

        def start(self, type, args):
            return Supervisor.start_link([Cart, (Till, self.get_env("currency"))])

    apps = Applications.of(node)
    apps.ensure_all_started(Shop)       # [Stock, Shop] by name: what was started, in its order

Each application runs under a *master*, a process that is the parent of its top supervisor. It stops in the order
`prep_stop`, tree, `stop`. When the top supervisor ends by itself the application's type says what follows:

    type        it ended with normal           it ended with anything else
    permanent   all applications are stopped   all applications are stopped
    transient   it is reported                 all applications are stopped
    temporary   it is reported                 it is reported

`stop` stops nothing but the one asked for, `stop_all` all in the reverse order of their start. A node registers the
controller as ``application_controller``, so ``application:which_applications/2`` of a BEAM lists ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pyerlnode.brief import BRIEF, short, told
from pyerlnode.errors import NoProc, PyerlnodeError, ServerExit, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server, where
from pyerlnode.otp.coroutines import refuse_coroutines
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import NoReply, Reply, Stop
from pyerlnode.otp.stopping import stop_processes
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Charlist
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.application")

CONTROLLER = A.application_controller
TYPES = ("permanent", "transient", "temporary")


class ApplicationError(PyerlnodeError):
    """OTP's ``{error, Reason}``: ``{already_started, App}``, ``{not_started, App}``, ``{bad_environment_value, …}``."""

    def __init__(self, reason: Any) -> None:
        super().__init__(f"application: {told(reason, BRIEF)}")
        self.reason = reason


class Application:
    """Base class. `start` gives the pid of the top supervisor, linked to the caller."""

    name: ClassVar[str] = ""
    description: ClassVar[str] = ""
    vsn: ClassVar[str] = "0"
    applications: ClassVar[tuple[type[Application], ...]] = ()
    """What must run before it."""
    env: ClassVar[Mapping[str, Any]] = {}
    """Its environment, unless set otherwise."""
    controller: Applications

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_coroutines(cls)

    def start(self, type: str, args: Any) -> Pid | None:
        """Start the tree. `type` is ``normal``."""
        raise NotImplementedError

    def prep_stop(self) -> None:
        """Before the tree is stopped."""

    def stop(self) -> None:
        """After the tree has ended, for whatever reason."""

    def get_env(self, key: str, default: Any = None) -> Any:
        return self.controller.get_env(type(self), key, default)


AppClass = type[Application]


class Master(GenServer):
    """The parent of one application's tree."""

    def init(self, app: Application, args: Any) -> Any:
        self.app = app
        self.process.trap_exit = True
        self.top = app.start("normal", args)
        if self.top is None:
            return Stop((A.bad_return, (Atom(app.name), None)))
        return None

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        if request is A.get_child:
            return Reply((self.top, Atom(type(self.app).__qualname__)))
        if request is A.stop:
            return Stop(A.shutdown, reply=A.ok)
        return Reply((A.error, (A.unknown_call, request)))

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.EXIT, Pid() as pid, reason) if pid == self.top:
                self.top = None
                return Stop(reason)
        return None

    def terminate(self, reason: Any) -> None:  # noqa: ARG002  # the callback's shape
        if self.top is not None:
            _guarded(self.app, self.app.prep_stop)
            stop_processes(self.process, [(self.top, A.infinity)])
        _guarded(self.app, self.app.stop)


def _guarded(app: Application, callback: Callable[[], None]) -> None:
    try:
        callback()
    except BaseException as error:  # what is to be stopped is stopped all the same
        caught(error)
        report(log, "%s of application %s failed", callback.__name__, app.name, exc_info=error)


class Applications(GenServer):
    """The controller of one node: which applications run, and their environments."""

    stop_rank = 2

    def init(self) -> None:
        self.process.trap_exit = True
        self.running: dict[str, tuple[type[Application], Pid, str]] = {}
        """Name: class, master, type; in the order of their start."""
        self.envs: dict[str, dict[str, Any]] = {}
        self.starting: set[str] = set()
        self.masters: dict[Pid, str] = {}
        self.monitors: dict[Pid, Reference] = {}

    @staticmethod
    def of(node: Any) -> Applications:
        """The controller of `node`; started by the first who asks."""
        system = where.system_of(node)
        process = system.registry.whereis(CONTROLLER)
        if process is None:
            gen_server.start(system, Applications, name=CONTROLLER)
            process = system.registry.whereis(CONTROLLER)
        found = behaviour_of(process) if process is not None else None
        if not isinstance(found, Applications):
            raise UsageError(f"{CONTROLLER} is registered by another process")
        return found

    # --- start ---------------------------------------------------------------------------------
    def start(self, app: type[Application], type: str = "temporary", args: Any = ()) -> None:
        """Start an application whose dependencies run.

        Raises `ApplicationError` (``{not_started, App}`` names a dependency) and `StartFailed`.
        """
        if type not in TYPES:
            raise UsageError(f"an application is {', '.join(TYPES)}, not {short(type)}")
        if not app.name:
            raise UsageError(f"{app.__qualname__} has no name")
        name = Atom(app.name)
        if app.name in self.running or app.name in self.starting:
            raise ApplicationError((A.already_started, name))
        for needed in app.applications:
            if needed.name not in self.running:
                raise ApplicationError((A.not_started, Atom(needed.name)))
        self._begin(app, type, args)

    def _begin(self, app: type[Application], type: str, args: Any) -> None:
        system = self.process.system
        instance = app()
        instance.controller = self
        self.starting.add(app.name)
        try:
            master = where.started(gen_server.start(system, Master, (instance, args)))
        except StartFailed as error:
            raise ApplicationError((error.reason, (Atom(app.__qualname__), A.start, [A.normal, list(args)]))) from error
        finally:
            self.starting.discard(app.name)
        self.running[app.name] = app, master, type
        self.masters[master] = app.name
        self.monitors[master] = system.monitor(self.process, master)

    def ensure_all_started(self, *apps: type[Application], type: str = "temporary") -> list[str]:
        """Start `apps` and all that they need, dependencies first; gives the names of those that were started.

        When one does not start, those that were started for it are stopped again.
        """
        begun: list[AppClass] = []
        try:
            for app in _ordered(apps):
                if app.name not in self.running:
                    self.start(app, type)
                    begun.append(app)
        except (ApplicationError, UsageError):
            for app in reversed(begun):
                self.stop(app)
            raise
        return [app.name for app in begun]

    # --- stop ----------------------------------------------------------------------------------
    def stop(self, app: type[Application] | str) -> None:
        """Stop one: `prep_stop`, its tree, `stop`. Raises `ApplicationError` when it does not run."""
        name = _name(app)
        entry = self.running.pop(name, None)
        if entry is None:
            raise ApplicationError((A.not_started, Atom(name)))
        _, master, _ = entry
        self.masters.pop(master, None)
        try:
            gen.call(self.process.system, master, A.stop, None)
        except (NoProc, ServerExit):
            pass  # it has ended by itself meanwhile, and that is what was wanted

    def stop_all(self) -> None:
        """Stop all, in the reverse order of their start."""
        for name in reversed(list(self.running)):
            if name in self.running:
                self.stop(name)

    # --- the environment -----------------------------------------------------------------------
    def get_env(self, app: type[Application] | str, key: str, default: Any = None) -> Any:
        """The value that was set, else the class's own, else `default`."""
        name = _name(app)
        if key in self.envs.get(name, ()):
            return self.envs[name][key]
        known = self.running.get(name)
        cls = app if isinstance(app, type) else known[0] if known is not None else None
        return default if cls is None else cls.env.get(key, default)

    def put_env(self, app: type[Application] | str, key: str, value: Any) -> None:
        """Set before the start, or while it runs; it stays over a restart."""
        self.envs.setdefault(_name(app), {})[key] = value

    def get_all_env(self, app: type[Application]) -> dict[str, Any]:
        return {**app.env, **self.envs.get(app.name, {})}

    def which_applications(self) -> list[tuple[str, str, str]]:
        """(name, description, version) of those that run, the last started first."""
        return [(name, app.description, app.vsn) for name, (app, _, _) in reversed(list(self.running.items()))]

    # --- the process ---------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        match request:
            case A.which_applications:
                return Reply([(Atom(n), Charlist(d or n), Charlist(v)) for n, d, v in self.which_applications()])
            case (A.is_running, Atom() as name):
                return Reply(name.name in self.running)
        return Reply((A.error, (A.unknown_call, request)))

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def handle_info(self, message: Any) -> Any:
        match message:
            case (A.DOWN, Reference() as ref, _, Pid() as pid, reason) if self.monitors.get(pid) == ref:
                del self.monitors[pid]
                name = self.masters.pop(pid, None)
                if name is None:
                    return NoReply()  # it was stopped in order
                _, _, type = self.running.pop(name)
                self._ended(name, type, reason)
        return NoReply()

    def _ended(self, name: str, type: str, reason: Any) -> None:
        quiet = reason is A.normal
        log.log(
            logging.INFO if quiet else logging.ERROR, "application %s (%s) ended: %s", name, type, gen.brief(reason)
        )
        if type == "permanent" or (type == "transient" and not quiet):
            log.error("all applications are stopped, since %s has ended", name)
            self.stop_all()

    def terminate(self, reason: Any) -> None:  # noqa: ARG002  # the callback's shape
        self.stop_all()

    def system_get_state(self) -> Any:
        return {Atom(name): (master, Atom(type)) for name, (_, master, type) in self.running.items()}


def _name(app: type[Application] | str) -> str:
    return app if isinstance(app, str) else app.name


def _ordered(apps: tuple[type[Application], ...]) -> list[type[Application]]:
    """`apps` and what they need, each after its dependencies. Raises `UsageError` for a cycle."""
    order: list[type[Application]] = []
    trail: list[type[Application]] = []

    def visit(app: type[Application]) -> None:
        if app in trail:
            raise UsageError("applications need each other: " + " → ".join(a.name for a in [*trail, app]))
        if app not in order:
            trail.append(app)
            for needed in app.applications:
                visit(needed)
            trail.pop()
            order.append(app)

    for app in apps:
        visit(app)
    return order
