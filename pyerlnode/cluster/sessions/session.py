"""A session: a GenServer that belongs to a key, started on demand on the node that owns the key (`sessions`).

    class Cart(Session):
        def init(self, key):
            self.items = []
        def handle_call(self, request, from_):
            ...
        def handoff(self):
            return self.items
        def resume(self, state):
            self.items = list(state)
        def merge(self, other):
            self.items += [item for item in other if item not in self.items]

    callback         called for                                                          gives
    init(key)        the start, as a process of its own: nobody but its callers waits    as a GenServer's
    handoff()        the key is owned by another node: the state, a term that travels    the state
    resume(state)    behind `init`, where there is such a state                          is ignored
    merge(other)     a state arrives though this session has run meanwhile: after a      is ignored
                     netsplit, or when a hand-over came too late
    terminate(why)   ``{shutdown, handoff}``, ``{shutdown, idle}``, or as a GenServer's  is ignored

A session without `handoff` ends there, and starts afresh at the new owner. Without `merge` the one that runs at the
owner wins. Requests that it has not answered (`NoReply`) may travel in its state: a `from_` is a term.
"""

from __future__ import annotations

from typing import Any, Final

from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Continue, Ignore, Stop
from pyerlnode.term.atom import A

NOTHING: Final = object()
"""A session without a state to hand over."""


class Begin(Continue):
    """Run `init` with a key; `value` is (key, state or NOTHING)."""

    __slots__ = ()


class GiveUp(Continue):
    """Hand over and end; `value` takes the state."""

    __slots__ = ()


class MergeIn(Continue):
    """Another state of the same key."""

    __slots__ = ()


class Rest(Continue):
    """Nobody has asked for long: end."""

    __slots__ = ()


class Session(GenServer):
    """Base class of sessions: a GenServer that is started with its key."""

    def handoff(self) -> Any:
        """The state for the next owner; a term, for it travels."""
        return NOTHING

    def resume(self, state: Any) -> Any:
        """Go on with the state that `handoff` gave elsewhere; `init` has run."""

    def merge(self, other: Any) -> Any:
        """Take over what is worth it of the state of another session of this key. By default nothing."""

    def continue_(self, then: Continue) -> None:
        # The orders come as system messages of our own, which no peer can send and which cost other messages nothing.
        kind = type(then)
        if kind is Begin:
            self._begin(*then.value)
        elif kind is GiveUp:
            then.value(self.handoff())
            self._stop((A.shutdown, A.handoff))
        elif kind is MergeIn:
            self.merge(then.value)
        elif kind is Rest:
            self._stop((A.shutdown, A.idle))
        else:
            super().continue_(then)

    def _begin(self, key: Any, state: Any) -> None:
        result = self.init(key)
        if isinstance(result, (Stop, Ignore)):
            self._stop(result.reason if isinstance(result, Stop) else (A.shutdown, A.ignored))
            return
        if state is not NOTHING:
            self.resume(state)
        if isinstance(result, Continue):
            self.continue_(result)
        else:
            self.initialised(result)
