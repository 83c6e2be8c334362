"""GenEvent: a manager that hands every event to its handlers (OTP's `gen_event`; protocol.md E.1).

    class Audit(EventHandler):
        def init(self, path):
            self.seen = []
        def handle_event(self, event):
            self.seen.append(event)
        def handle_call(self, request):
            return Reply(self.seen)

    manager = gen_event.start(system, name="events")
    gen_event.add_handler(system, manager, Audit, "audit.log")
    gen_event.notify(system, manager, (A.order, 7))

A handler is an instance of a class: the instance is its state. It is named by its class, or ``(class, id)`` to have
several; on the wire by the atom that `module_atom` gives the class. A BEAM may add a handler whose class the
manager was started with (``handlers=[Audit]``), and nothing else.

    callback               gives
    init(args)             None; Stop(reason) or an exception: not added
    handle_event(event)    None, RemoveHandler(), SwapHandler(…)
    handle_call(request)   Reply(value), RemoveHandler(reply=…), SwapHandler(…, reply=…)
    handle_info(message)   as handle_event
    terminate(why)         the answer to delete_handler, or what the successor's init gets as ``(args, value)``
    code_change(old_vsn, extra)   sys:change_code of its module; is ignored

`why` is OTP's: the arguments of delete or swap, ``remove_handler``, ``stop``, ``{stop, Reason}`` when the supervising
process has ended, ``{error, {'EXIT', Reason}}`` after an exception. A handler that raises is removed; the others go on,
and so does the manager. The process of a supervised handler gets ``{gen_event_EXIT, Handler, Reason}`` when it goes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, ClassVar

from pyerlnode.errors import ConnectError, EncodeError, Throw, UsageError
from pyerlnode.etf.encodable import encodable
from pyerlnode.otp import gen, sys, unmatched
from pyerlnode.otp.behaviour import Behaviour, take_newest_class, unchanged_by_failure
from pyerlnode.otp.coroutines import refuse_coroutines
from pyerlnode.otp.reserved import is_ours
from pyerlnode.otp.results import UNSET, Reply, Stop
from pyerlnode.runtime.edges import caught, report
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.reason_core import module_atom
from pyerlnode.runtime.system import System
from pyerlnode.term import exact
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.gen_event")

EXITED = A["gen_event_EXIT"]


class RemoveHandler:
    """The handler is done; with `reply`, the caller is answered first."""

    __slots__ = ("reply",)

    def __init__(self, *, reply: Any = UNSET) -> None:
        self.reply = reply


class SwapHandler:
    """Another handler takes its place: ``terminate(args)`` here, ``init((new_args, value))`` there."""

    __slots__ = ("args", "handler", "new_args", "reply")

    def __init__(self, args: Any, handler: Any, new_args: Any, *, reply: Any = UNSET) -> None:
        self.args = args
        self.handler = handler
        self.new_args = new_args
        self.reply = reply


class EventHandler:
    """Base class of handlers."""

    unmatched: ClassVar[str] = "warn"
    """What becomes of a message that no `case` of a callback takes: ``warn``, ``ignore``, ``crash`` (it is removed)."""
    manager: GenEvent

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not is_ours(cls):
            cls._refuse_coroutines()

    @classmethod
    def _refuse_coroutines(cls) -> None:
        refuse_coroutines(cls)

    def init(self, args: Any) -> Any:
        """Set up the state."""

    def handle_event(self, event: Any) -> Any:
        """One event."""

    def handle_call(self, request: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return Reply((A.error, A.bad_call))

    def handle_info(self, message: Any) -> Any:
        """Any other message to the manager."""

    def terminate(self, why: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return A.ok

    def code_change(self, old_vsn: Any, extra: Any) -> None:
        """Convert the state to what this version of the class expects."""


class _Entry:
    """One installed handler."""

    __slots__ = ("handler", "id", "module", "supervisor", "watch")

    def __init__(self, handler: EventHandler, module: Atom, id: Any, supervisor: Pid | None) -> None:
        self.handler = handler
        self.module = module
        self.id = id
        self.supervisor = supervisor
        self.watch: Any = None
        """The monitor of a handler that Elixir's GenEvent added with a monitor."""

    @property
    def name(self) -> Any:
        return self.module if self.id is False else (self.module, self.id)


class GenEvent(Behaviour):
    """The manager. It traps exits, as OTP's does."""

    __slots__ = ("classes", "entries")
    otp_module: ClassVar[Atom] = A.gen_event
    entries: list[_Entry]
    classes: dict[Atom, type[EventHandler]]

    # --- the handler body ----------------------------------------------------------------------------
    def handle(self, message: Any) -> None:
        match message:
            case (A.notify, event):
                self._each("handle_event", event)
            case (A.system, from_, request):
                sys.handle_system_message(self, from_, request)
            case (Pid(), from_, request) if gen.is_from(from_):
                self._request(from_, request)
            case (A.EXIT, Pid() as pid, reason):
                self._exited(pid, reason)
            case (A.DOWN, Reference() as ref, _, _, reason) if any(entry.watch == ref for entry in self.entries):
                for entry in [entry for entry in self.entries if entry.watch == ref]:
                    self._remove(entry, (A.stop, reason), A.normal)
            case _:
                self._each("handle_info", message)

    def _request(self, from_: Any, request: Any) -> None:
        if request is A.stop:
            gen.reply(self.process.system, from_, A.ok)
            type(self).system_terminate(self, A.normal)
            return
        answer = self._answer(request)
        if type(request) is tuple and request[0] is A.call:
            gen.reply(self.process.system, from_, answer)
        else:
            sys.answer(self, from_, answer)

    def _answer(self, request: Any) -> Any:  # noqa: C901  # gen_event's vocabulary, one line each
        match request:
            case (A.sync_notify, event):
                self._each("handle_event", event)
                return A.ok
            case (A.call, name, query):
                return self._call(name, query)
            case (A.add_handler, name, args):
                return self._add(name, args)
            case (A.add_sup_handler, name, args, Pid() as pid):
                return self._add_supervised(name, args, pid)
            case (A.add_mon_handler, name, args, Pid() as pid):
                return self._add_monitored(name, args, pid)
            case (A.delete_handler, name, args):
                entry = self._find(name)
                return (A.error, A.module_not_found) if entry is None else self._remove(entry, args, A.normal)
            case (A.swap_handler, old, args, new, new_args):
                return self._swap(old, args, new, new_args, None)
            case (A.swap_sup_handler, old, args, new, new_args, Pid() as pid):
                return self._swap(old, args, new, new_args, pid)
            case A.which_handlers:
                return [entry.name for entry in self.entries]
            case A.get_modules:
                return list(dict.fromkeys(entry.module for entry in self.entries))
        return A.error, A.bad_request

    # --- events ----------------------------------------------------------------------------------------
    def _each(self, callback: str, message: Any) -> None:
        breathe = self.process.system.scheduler.breathe
        for entry in list(self.entries):
            breathe()  # there may be many handlers, each with as much to do as a callback of its own
            if entry in self.entries:
                self._run(entry, callback, message)

    def _run(self, entry: _Entry, callback: str, message: Any) -> Any:
        """Call one callback; gives the answer of a call."""
        try:
            function = getattr(entry.handler, callback)
            result = function(message)
            if result is None:
                self._gave_none(entry, function, message)
        except Throw as thrown:
            result = thrown.value
        except BaseException as error:
            return self._failed(entry, callback, error)
        if isinstance(result, Reply):
            return result.value
        if isinstance(result, RemoveHandler):
            self._remove(entry, A.remove_handler, A.normal)
        elif isinstance(result, SwapHandler):
            self._swap_itself(entry, result)
        elif result is not None:
            self._remove(entry, (A.error, result), result)
            return A.error, result
        return A.ok if result is None or result.reply is UNSET else result.reply

    def _gave_none(self, entry: _Entry, function: Any, message: Any) -> None:
        """The handler is done, or has no case for it; then a caller would wait for nothing."""
        cls = type(entry.handler)
        if function.__name__ == "handle_call" and unmatched.is_missed(function, (message,)):
            raise unmatched.function_clause(cls, function.__func__)
        who = self.process.name or self.process.pid
        unmatched.gave_none(log, cls, who, function, (message,), unmatched.shape(message))

    def _call(self, name: Any, query: Any) -> Any:
        entry = self._find(name)
        return (A.error, A.bad_module) if entry is None else self._run(entry, "handle_call", query)

    def _failed(self, entry: _Entry, callback: str, error: BaseException) -> Any:
        reason = caught(error)
        who = self.process.name or self.process.pid
        fields = {"label": (A.gen_event, A.terminate), "handler": entry.name, "name": who, "reason": reason}
        self._remove(entry, (A.error, (A.EXIT, reason)), (A.EXIT, reason))
        text = "handler %s of %s was removed: %s raised"
        report(log, text, entry.name, who, callback, exc_info=error, extra={"erlang": fields})
        return A.error, (A.EXIT, reason)

    def _exited(self, pid: Pid, reason: Any) -> None:
        if pid == self.process.parent:
            type(self).system_terminate(self, reason)
            return
        for entry in [entry for entry in self.entries if entry.supervisor == pid]:
            self._remove(entry, (A.stop, reason), A.shutdown)
        self._each("handle_info", (A.EXIT, pid, reason))

    # --- handlers --------------------------------------------------------------------------------------
    def _find(self, name: Any) -> _Entry | None:
        module, id = self._named(name)
        return next((entry for entry in self.entries if entry.module is module and exact.same(entry.id, id)), None)

    def _named(self, name: Any) -> tuple[Atom | None, Any]:
        """(module, id) of a handler's name; what a peer sends need not be one: then there is no module."""
        module, id = name if type(name) is tuple and len(name) == 2 else (name, False)
        if isinstance(module, type):
            return module_atom(module), id
        return (module, id) if type(module) is Atom else (Atom(module) if isinstance(module, str) else None, id)

    def _made(self, name: Any, supervisor: Pid | None) -> _Entry | None:
        given = name[0] if type(name) is tuple and len(name) == 2 else name
        module, id = self._named(name)
        cls = given if isinstance(given, type) else self.classes.get(module) if module is not None else None
        if module is None or cls is None or not issubclass(cls, EventHandler):
            return None
        handler = cls()
        handler.manager = self
        return _Entry(handler, module, id, supervisor)

    def _add(self, name: Any, args: Any, supervisor: Pid | None = None) -> Any:
        entry = self._made(name, supervisor)
        if entry is None:
            return A.EXIT, (A.undef, [(self._named(name)[0] or name, A.init, [args], [])])
        try:
            result = gen.returned(entry.handler.init, args)
        except BaseException as error:
            reason = caught(error)
            report(log, "%s could not be added: init raised", entry.name, exc_info=error)
            return A.EXIT, reason
        if isinstance(result, Stop):
            return A.error, result.reason
        if result is not None:
            return result
        self.entries.insert(0, entry)
        return A.ok

    def _add_supervised(self, name: Any, args: Any, pid: Pid) -> Any:
        """The link stays, whatever becomes of the handler, as OTP's does: another may have it, too."""
        self.process.system.link(self.process, pid)
        return self._add(name, args, pid)

    def _add_monitored(self, name: Any, args: Any, pid: Pid) -> Any:
        answer = self._add(name, args, pid)
        if answer is A.ok:
            self.entries[0].watch = self.process.system.monitor(self.process, pid)
        return answer

    def _remove(self, entry: _Entry, why: Any, told: Any) -> Any:
        """Take a handler out; its answer to `why`. Its supervisor is told `told`."""
        if entry in self.entries:
            self.entries.remove(entry)
        try:
            answer = gen.returned(entry.handler.terminate, why)
        except BaseException as error:
            answer = (A.EXIT, caught(error))
            report(log, "terminate of handler %s raised", entry.name, exc_info=error)
        if entry.watch is not None:
            self.process.system.demonitor(self.process, entry.watch)
        if entry.supervisor is not None:
            self._tell(entry.supervisor, (EXITED, entry.name, told))
        return answer

    def _tell(self, supervisor: Pid, message: Any) -> None:
        try:
            self.process.system.send(supervisor, message)
        except EncodeError:
            self.process.system.send(supervisor, encodable(message))
        except ConnectError:
            pass  # its node is gone, and with it who wanted to know

    def _swap(self, old: Any, args: Any, new: Any, new_args: Any, supervisor: Pid | None) -> Any:
        entry = self._find(old)
        if supervisor is not None:
            self.process.system.link(self.process, supervisor)
        if entry is not None:
            return self._replace(entry, args, new, new_args, supervisor or entry.supervisor)
        return _swapped(self._add(new, (new_args, A.error), supervisor))

    def _replace(self, entry: _Entry, args: Any, new: Any, new_args: Any, supervisor: Pid | None) -> Any:
        module, id = self._named(new)
        told = (A.swapped, module if id is False else (module, id), supervisor or A.undefined)
        value = self._remove(entry, args, told)
        return _swapped(self._add(new, (new_args, value), supervisor))

    def _swap_itself(self, entry: _Entry, swap: SwapHandler) -> None:
        """A handler swaps itself: the new one has its place, or nobody has and its supervisor is told of a crash."""
        place = self.entries.index(entry)
        if self._replace(entry, swap.args, swap.handler, swap.new_args, entry.supervisor) is A.ok:
            self.entries.insert(place, self.entries.pop(0))
        elif entry.supervisor is not None:
            module, id = self._named(swap.handler)
            self._tell(entry.supervisor, (EXITED, module if id is False else (module, id), A.crash))

    # --- asked by sys ----------------------------------------------------------------------------------
    def system_get_state(self) -> Any:
        """``[{Module, Id, State}]``."""
        return [(entry.module, entry.id, _attributes(entry.handler)) for entry in self.entries]

    def system_replace_state(self, fun: Any) -> Any:
        """One handler after the other; one for which `fun` fails, or gives another name, stays as it is."""
        return [self._replaced(entry, fun) for entry in self.entries]

    def _replaced(self, entry: _Entry, fun: Any) -> Any:
        now = (entry.module, entry.id, _attributes(entry.handler))
        try:
            module, id, state = fun(now)
            if module is not entry.module or not exact.same(id, entry.id):
                return now
            attributes = {str(key): value for key, value in state.items()}
        except BaseException as error:
            caught(error)
            return now
        vars(entry.handler).clear()
        vars(entry.handler).update(attributes, manager=self)
        return module, id, state

    def system_code_change(self, module: Any, old_vsn: Any, extra: Any) -> None:
        """Of all handlers of `module`, or of none when one fails."""
        self.process.asks = True
        handlers = [entry.handler for entry in self.entries if entry.module is module]
        with unchanged_by_failure(handlers):
            for handler in handlers:
                take_newest_class(handler, EventHandler)
                handler.code_change(old_vsn, extra)

    def system_terminate(self, reason: Any) -> None:
        installed = list(self.entries)
        for entry in installed:
            self._remove(entry, A.stop, A.shutdown)
        for supervisor in {entry.supervisor for entry in installed if entry.watch is None} - {
            None,
            self.process.parent,
        }:
            self.process.system.unlink(self.process, supervisor)
        self.process.exit(reason)


def _attributes(handler: EventHandler) -> dict[Atom, Any]:
    return {Atom(key): value for key, value in vars(handler).items() if key != "manager"}


def _swapped(answer: Any) -> Any:
    return answer if answer is A.ok else (A.error, answer)


# --- OTP's functions -------------------------------------------------------------------------------------
def start(
    system: System,
    *,
    name: Any = None,
    link: Process | Pid | None = None,
    handlers: Iterable[type[EventHandler]] = (),
    timeout: float | None = None,
) -> Pid:
    """Start a manager. `handlers` are the classes that callers on other nodes may add, by their names."""
    manager = GenEvent()
    manager.entries = []
    manager.classes = {module_atom(cls): cls for cls in handlers}
    process = gen.start(system, manager, lambda: None, name=name, link=link, timeout=timeout)
    assert process is not None
    process.trap_exit = True
    return process.pid


def notify(system: System, manager: Any, event: Any) -> None:
    """Send `event` to the handlers and do not wait."""
    system.send(manager, (A.notify, event))


def _ask(system: System, manager: Any, request: Any, timeout: float | None) -> Any:
    return gen.call(system, manager, request, timeout, system.myself().pid)


def sync_notify(system: System, manager: Any, event: Any, timeout: float | None = 5.0) -> Any:
    """Send `event`, and wait until every handler has handled it."""
    return _ask(system, manager, (A.sync_notify, event), timeout)


def call(system: System, manager: Any, handler: Any, request: Any, timeout: float | None = 5.0) -> Any:
    """Ask one handler; its answer, or ``(A.error, A.bad_module)`` when it is not installed."""
    return _ask(system, manager, (A.call, handler, request), timeout)


def add_handler(system: System, manager: Any, handler: Any, args: Any = None, timeout: float | None = 5.0) -> Any:
    """Add a handler: a class (or ``(class, id)``) on this node, an atom (or ``(atom, id)``) anywhere."""
    _check(system, manager, handler)
    return _ask(system, manager, (A.add_handler, handler, args), timeout)


def add_sup_handler(system: System, manager: Any, handler: Any, args: Any = None, timeout: float | None = 5.0) -> Any:
    """`add_handler`, linked with the current process: the handler goes when that ends."""
    _check(system, manager, handler)
    return _ask(system, manager, (A.add_sup_handler, handler, args, system.myself().pid), timeout)


def delete_handler(system: System, manager: Any, handler: Any, args: Any = None, timeout: float | None = 5.0) -> Any:
    """Remove a handler; what its `terminate` gave."""
    return _ask(system, manager, (A.delete_handler, handler, args), timeout)


def swap_handler(
    system: System, manager: Any, old: tuple[Any, Any], new: tuple[Any, Any], timeout: float | None = 5.0
) -> Any:
    """Put ``new = (handler, args)`` in place of ``old = (handler, args)``."""
    return _ask(system, manager, (A.swap_handler, *old, *new), timeout)


def swap_sup_handler(
    system: System, manager: Any, old: tuple[Any, Any], new: tuple[Any, Any], timeout: float | None = 5.0
) -> Any:
    return _ask(system, manager, (A.swap_sup_handler, *old, *new, system.myself().pid), timeout)


def which_handlers(system: System, manager: Any, timeout: float | None = 5.0) -> Any:
    """The names of the handlers, the one added last first."""
    return _ask(system, manager, A.which_handlers, timeout)


def stop(system: System, manager: Any, reason: Any = A.normal, timeout: float | None = None) -> None:
    gen.stop(system, manager, reason, timeout)


def _check(system: System, manager: Any, handler: Any) -> None:
    cls = handler[0] if type(handler) is tuple else handler
    if isinstance(cls, type) and type(manager) is Pid and not system.is_local(manager):
        raise UsageError(f"a class can not be sent to {manager.node}: name a handler of that node by an atom")
