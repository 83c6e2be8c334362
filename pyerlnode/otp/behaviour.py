"""What every OTP behaviour is to its process: a handler body that answers system messages.

`GenServer`, `GenStatem`, `GenEvent` and whatever else an OTP program would find in a supervision tree derive from
`Behaviour`. A derived class has ``handle(message)``, which gives ``{system, From, Request}`` to
`sys.handle_system_message` and ends, by `system_terminate`, on the exit signal of its parent. What `sys` asks of it:

    method                                   for
    system_get_state()                       sys:get_state, and the state in a status
    system_replace_state(fun)                sys:replace_state; gives the new state
    system_code_change(module, vsn, extra)   sys:change_code; raises when it can not
    system_misc(debug)                       the last element of sys:get_status
    system_terminate(reason)                 sys:terminate, and the end of the parent
    system_resumed()                         the process takes messages again
    handle_debugged(message, note)           `handle`, telling `note(event)` what came in and went out
"""

from __future__ import annotations

import sys as python
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

from pyerlnode.otp.coroutines import refuse_coroutines
from pyerlnode.otp.reserved import is_ours, protect
from pyerlnode.runtime.edges import caught
from pyerlnode.runtime.handler import OtpHandler
from pyerlnode.runtime.process import Process
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Charlist
from pyerlnode.term.pid import Pid

if TYPE_CHECKING:
    from pyerlnode.otp.results import Continue

IN = A["in"]


class Behaviour(OtpHandler):
    """Base class of the behaviours. `gen.start` gives it its `process` before `init` runs."""

    __slots__ = ("__weakref__",)
    unmatched: ClassVar[str] = "warn"
    """What becomes of a message that no `case` of a callback takes: ``warn``, ``crash`` or ``ignore`` (`unmatched`)."""
    otp_module: ClassVar[Atom] = A.gen_server
    """The behaviour's module, as OTP's `sys:get_status/1` names it."""

    process: Process = property(attrgetter("__process__"), doc="Its process.")  # type: ignore[assignment]  # read-only

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not is_ours(cls):
            protect(cls, Behaviour)
            cls._refuse_coroutines()

    @classmethod
    def _refuse_coroutines(cls) -> None:
        refuse_coroutines(cls)

    @property
    def pid(self) -> Pid:
        return self.__process__.pid

    def handle(self, message: Any) -> None:
        """One message, on a worker greenlet."""
        raise NotImplementedError

    def handle_debugged(self, message: Any, note: Callable[[Any], None]) -> None:
        """As `handle`, while `sys` traces, logs or counts."""
        note((IN, message))
        type(self).handle(self, message)

    def continue_(self, then: Continue) -> None:
        """What `init` asked to run before the first message."""

    # --- asked by sys ----------------------------------------------------------------------------
    def system_get_state(self) -> Any:
        """The attributes, by name."""
        return {Atom(key): value for key, value in vars(self).items()} if hasattr(self, "__dict__") else {}

    def system_replace_state(self, fun: Callable[[Any], Any]) -> Any:
        state = fun(self.system_get_state())
        attributes = vars(self)
        attributes.clear()
        attributes.update({str(key): value for key, value in state.items()})
        return state

    def system_code_change(self, module: Any, old_vsn: Any, extra: Any) -> None:  # noqa: ARG002  # gen_event's
        """Take the class that its module has now, so after `importlib.reload` the new code, and let it convert.

        Where that fails the attributes are as they were.
        """
        self.process.asks = True
        with unchanged_by_failure([self]):
            take_newest_class(self, Behaviour)
            self.code_change(old_vsn, extra)

    def code_change(self, old_vsn: Any, extra: Any) -> None:
        """Convert the state to what this version of the class expects. For subclasses."""

    def format_status(self, status: dict[Atom, Any]) -> dict[Atom, Any]:
        """What others may see of the state: gives `status` (``A.state`` and, in a crash, ``A.reason``) changed."""
        return status

    def formatted(self, **status: Any) -> dict[Atom, Any]:
        """`format_status` of `status`; what that leaves behind when it raises, as OTP."""
        given = {Atom(key): value for key, value in status.items()}
        try:
            return self.format_status(given)
        except BaseException as error:  # it must not take the process down with it
            caught(error)
            text = f"{type(self).__name__}.format_status raised {type(error).__name__}"
            return {**given, A.state: text}

    def system_misc(self, events: list[Any]) -> list[Any]:
        process = self.process
        name = process.name or process.pid
        header = f"Status for {self.otp_module.name.replace('_', ' ').replace('gen ', 'generic ')} {name}"
        shown = self.formatted(state=self.system_get_state(), log=events)
        about = [
            (Charlist("Status"), A.suspended if process.sys is not None and process.sys.suspended else A.running),
            (Charlist("Parent"), process.parent or process.pid),
            (Charlist("Logged events"), shown.get(A.log, events)),
        ]
        return [(A.header, Charlist(header)), (A.data, about), (A.data, [(Charlist("State"), shown.get(A.state))])]

    def system_terminate(self, reason: Any) -> None:
        self.process.exit(reason)

    def system_resumed(self) -> None:
        """A time-out that ran when it was suspended starts anew."""


def take_newest_class(it: Any, base: type) -> None:
    """Give `it` the class that its module has now by the name of its own."""
    newer: Any = python.modules.get(type(it).__module__)
    for part in type(it).__qualname__.split("."):
        newer = getattr(newer, part, None)
    if isinstance(newer, type) and newer is not type(it) and issubclass(newer, base):
        it.__class__ = newer


@contextmanager
def unchanged_by_failure(these: Iterable[Any]) -> Iterator[None]:
    """The attributes of `these` are as before when the body raises."""
    before = [(vars(it), dict(vars(it))) for it in these if hasattr(it, "__dict__")]
    try:
        yield
    except BaseException:
        for attributes, old in before:
            attributes.clear()
            attributes.update(old)
        raise
