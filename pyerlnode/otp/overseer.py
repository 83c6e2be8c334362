"""What supervisors of either kind share: carry out the effects that their cores decide on.

Everything about a child goes through links, monitors and exit signals, so a child may live on any node. Starts and
stops block the supervisor, as in OTP: requests wait until they are done.

Reports go to the logger ``pyerlnode.supervisor``, errors at level error and progress at level debug; `report` of the
record, under `erlang`, holds OTP's `label` and fields: `supervisor`, and `errorContext`, `reason`, `offender`, or
`started`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from pyerlnode.errors import Exit, StartFailed, Throw
from pyerlnode.otp import child_spec, gen, sys
from pyerlnode.otp import supervisor_core as core
from pyerlnode.otp.children_core import Child
from pyerlnode.otp.results import Ignore
from pyerlnode.otp.service import Service
from pyerlnode.otp.stopping import Exits, stop_processes
from pyerlnode.otp.where import start_class
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Charlist
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.supervisor")

Outcome = core.Started | core.Ignored | core.Failed


class Overseer(Service):
    """A server that starts, watches and stops children."""

    __slots__ = ()
    child_type: ClassVar[Atom] = A.supervisor
    """As a child it is a supervisor."""
    stop_rank = 1

    def __init__(self) -> None:
        callback = self.init
        # What the class calls `init` is the supervisor's callback; to the server that carries it, init is ours.
        self.init = lambda *args, **kwargs: self._init(callback, args, kwargs)  # type: ignore[method-assign]

    def _init(self, callback: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    # --- names ---------------------------------------------------------------------------------
    @property
    def module(self) -> Atom:
        """The callback module as the BEAM is told of it."""
        return child_spec.module_name(type(self))

    @property
    def sup_name(self) -> tuple[Any, Any]:
        """Who a report is of: ``{local, Name}`` or ``{Pid, Module}``."""
        name = self.process.name
        return (self.process.pid, self.module) if name is None else (A.local, name)

    @property
    def _shown(self) -> Any:
        return self.process.name or self.process.pid

    # --- asked by sys --------------------------------------------------------------------------
    def system_misc(self, events: list[Any]) -> list[Any]:
        return [*super().system_misc(events), (A.supervisor, [(Charlist("Callback"), self.module)])]

    # --- effects -------------------------------------------------------------------------------
    def _launch(self, spec: child_spec.ChildSpec) -> Outcome:
        """Call the start function and say what it gave."""
        outcome = run_start(self.process, spec.start)
        self.process.check_alive()  # it may have been killed while the child's init ran
        return outcome

    def _end_child(self, child: Child, exits: Exits | None = None) -> core.Stopped:
        assert isinstance(child.pid, Pid)
        reasons = stop_processes(self.process, [(child.pid, child.spec.shutdown)], exits)
        return core.Stopped(reasons[child.pid])

    def _log_report(self, told: core.Report, *, many: int | None = None) -> None:
        if not log.isEnabledFor(logging.ERROR):
            return
        child = told.child
        fields = {
            "supervisor": self.sup_name,
            "errorContext": told.context,
            "reason": told.reason,
            "offender": core.offender(child, many=many),
        }
        pid = f"{many} children" if many is not None else core.shown_pid(child.pid)
        report(
            log,
            "supervisor %s: %s: %s; child %s, %s",
            self._shown, told.context,
            gen.brief(told.reason), gen.brief(child.spec.id), pid,
            extra={"erlang": {"label": (A.supervisor, told.context), "report": fields}},
        )  # fmt: skip

    def _log_progress(self, child: Child) -> None:
        if log.isEnabledFor(logging.DEBUG):
            fields = {"supervisor": self.sup_name, "started": core.offender(child)}
            report(
                log,
                "supervisor %s started %s as %s",
                self._shown,
                gen.brief(child.spec.id),
                child.pid,
                level=logging.DEBUG,
                extra={"report": fields},
            )

    # --- answers -------------------------------------------------------------------------------
    def _answer(self, from_: Any, value: Any) -> None:
        """Reply; what has no form on the wire (an argument, a reason) goes as a text, and ends no supervisor."""
        sys.answer(self, from_, value)

    def _unexpected(self, message: Any) -> None:
        kind = type(message).__name__
        report(log, "supervisor %s received an unexpected message (%s)", self._shown, kind)


def run_start(me: Process, start: child_spec.Start) -> Outcome:
    """Start what `start` says, linked to `me`, the current process; never raises but for `me`'s own end."""
    system = me.system
    args, function = start.args or (), start.function
    if function is None:
        function = system.exported(start.module, start.name, len(args))
    try:
        if function is None:
            return core.Failed((A.EXIT, (A.undef, [(start.module, start.name, list(args), [])])))
        if not isinstance(function, type):
            return _outcome(function(*args, **start.kwargs))
        pid = _start_class(me, function, args, dict(start.kwargs))
        return core.Ignored() if pid is None else core.Started(pid, (A.ok, pid))
    except StartFailed as error:
        return core.Failed(error.reason)
    except Exit as error:
        return core.Failed((A.EXIT, error.reason))
    except Throw as error:
        return core.Failed(error.value)
    except BaseException as error:
        return core.Failed((A.EXIT, caught(error)))


def _start_class(me: Process, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pid | None:
    """A class is started by its own `start_link`, or as the behaviour that it is."""
    own = getattr(cls, "start_link", None)
    if own is not None:
        pid: Pid | None = own(*args, **kwargs)
        return pid
    return start_class(me, cls, args, kwargs)


def _outcome(result: Any) -> Outcome:
    """What a start function gave: a pid, or OTP's tuples."""
    if isinstance(result, Pid):
        return core.Started(result, (A.ok, result))
    if result is A.ignore or isinstance(result, Ignore):
        return core.Ignored()
    match result:
        case (A.ok, Pid() as pid) | (A.ok, Pid() as pid, _):
            return core.Started(pid, result)
        case (A.error, reason):
            return core.Failed(reason)
    return core.Failed(result)
