"""What is wrong with a node just now, as OTP's `alarm_handler` keeps it: set_alarm, clear_alarm, get_alarms.

An alarm is a name and a description; it is set until it is cleared. Telemetry tells of both, as ``alarm.set`` and
``alarm.clear``. A program may set alarms of its own. `get_alarms` may be called from any thread, also while the hub is
blocked.

    hub_blocked     the hub has stood still for longer than `Node(long_schedule=…)`; who blocks it
"""

from __future__ import annotations

from typing import Any

from pyerlnode.kernel.telemetry import Telemetry
from pyerlnode.term.atom import A, Atom

HUB_BLOCKED = A.hub_blocked


class Alarms:
    """The alarms of one node."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._alarms: dict[Atom, Any] = {}

    def set_alarm(self, name: str | Atom, description: Any = A.undefined) -> None:
        """``set_alarm({Name, Description})``; one that is set has the new description."""
        self.note(name, description)
        self.tell_set(name, description)

    def clear_alarm(self, name: str | Atom) -> None:
        """``clear_alarm(Name)``; nothing when it is not set."""
        if self._alarms.pop(Atom(str(name)), None) is not None:
            self._telemetry.emit("alarm.clear", {}, alarm=str(name))

    def get_alarms(self) -> list[tuple[Atom, Any]]:
        """``[{Name, Description}]``, the latest first."""
        return list(reversed(list(self._alarms.items())))

    def note(self, name: str | Atom, description: Any) -> None:
        """Set it and tell nobody yet: from any thread."""
        self._alarms[Atom(str(name))] = description

    def tell_set(self, name: str | Atom, description: Any) -> None:
        """Tell of one that was noted. In the hub."""
        self._telemetry.emit("alarm.set", {}, alarm=str(name), description=description)
