"""What a node decides about its connections, and may decide anew while it runs: cookies, who is allowed, when to dial.

set_cookie, get_cookie        the own cookie, and those for single peers; for connections from now on
allow, allowed                the only nodes that connections are made to and taken from; each call adds some
auto_connect                  OTP's `dist_auto_connect`: who sends to a node that is not connected connects to it
                              (`always`), does so until that node was lost once (`once`), or does not (`never`)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, get_args

from pyerlnode.brief import short
from pyerlnode.errors import ConnectError, UsageError
from pyerlnode.kernel import cookies as cookie_files
from pyerlnode.term.atom import Atom

AutoConnect = Literal["always", "once", "never"]


class Rules:
    """The rules of one node."""

    def __init__(
        self, cookie: str, cookies: Mapping[str, str], allow: Collection[str] | None, auto_connect: AutoConnect
    ) -> None:
        if auto_connect not in get_args(AutoConnect):
            raise UsageError(f"dist_auto_connect is 'always', 'once' or 'never', not {short(auto_connect)}")
        self._cookie = cookie
        self._cookies = dict(cookies)
        self._allowed: dict[str, None] | None = None if allow is None else dict.fromkeys(map(str, allow))
        self._auto_connect = auto_connect
        self._barred: set[Atom] = set()
        """With `once`: nodes that were lost, or not reached, since they were asked for last."""

    # --- cookies -------------------------------------------------------------------------------
    def cookie_for(self, name: str) -> str:
        return self._cookies.get(name, self._cookie)

    def set_cookie(self, cookie: str, name: str | None) -> None:
        if name is None:
            self._cookie = cookie_files.check(cookie, "the cookie")
        else:
            self._cookies[name] = cookie_files.check(cookie, f"the cookie for {short(name)}")

    # --- who is allowed ------------------------------------------------------------------------
    @property
    def selective(self) -> bool:
        """Whether only certain nodes are allowed."""
        return self._allowed is not None

    def allows(self, name: str) -> bool:
        return self._allowed is None or name in self._allowed

    def allow(self, names: Iterable[str]) -> None:
        if isinstance(names, (str, Atom)):
            raise UsageError("allow takes a list of names")
        more = dict.fromkeys(map(str, names))
        if more:
            self._allowed = {**(self._allowed or {}), **more}

    def allowed(self) -> list[str]:
        return list(self._allowed or ())

    # --- when to dial --------------------------------------------------------------------------
    def check_dial(self, node: Atom, explicit: bool) -> None:
        """Raises `ConnectError` where no attempt may begin; an `explicit` one is asked for by `connect`."""
        if not self.allows(node.name):
            raise ConnectError(f"{node} is none of the nodes that this one allows", node.name, "not_allowed")
        if explicit:
            self._barred.discard(node)
        elif self._auto_connect == "never" or node in self._barred:
            why = f"{node} is not connected, and dist_auto_connect is {self._auto_connect}: say node.connect"
            raise ConnectError(why, node.name, "not_connected")

    def lost(self, node: Atom) -> None:
        """A connection ended, or did not come about."""
        if self._auto_connect == "once":
            self._barred.add(node)
