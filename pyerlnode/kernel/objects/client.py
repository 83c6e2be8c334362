"""The caller's side of a handle, towards an object of any node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import NoProc, UsageError
from pyerlnode.kernel.objects.handle import METHOD, RELEASE, ObjectHandle
from pyerlnode.kernel.remote.errors import outcome
from pyerlnode.otp import gen
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import Atom


def call_method(
    system: System, handle: ObjectHandle, method: str | Atom, args: Iterable[Any] = (), timeout: float | None = 5.0
) -> Any:
    """The value of the method, or what it raised, as of a remote call. `NoProc`: the object was dropped."""
    answer = gen.call(system, _pid(handle), (METHOD, Atom(str(method)), list(args)), timeout)
    given = answer if type(answer) is tuple else (answer,)
    return outcome(None, (None, *given), f"{method} of {short(handle.pid)}")


def release(system: System, handle: ObjectHandle, timeout: float | None = 5.0) -> None:
    """Drop the object, and wait until it is released. It may have been dropped before."""
    try:
        gen.call(system, _pid(handle), RELEASE, timeout)
    except NoProc:
        return


def _pid(handle: Any) -> Any:
    if not isinstance(handle, ObjectHandle):
        raise UsageError(f"a method is called of an ObjectHandle, not of {short(handle)}")
    return handle.pid
