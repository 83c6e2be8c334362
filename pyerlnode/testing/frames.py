"""What a failed test shows: its own line last, and the whole of a reason that an error cuts.

The frames of this package, and of gevent below it, between the test's line and the place of an error say nothing about
the test when the error is one that is raised on purpose: a `PyerlnodeError`, or what a wait that ran out raises. They
are cut off, for `--pdb` too; ``--full-trace`` leaves all. Any other exception is a fault of this package, and its
frames stay.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from pyerlnode.brief import TOLD, told, written
from pyerlnode.errors import PyerlnodeError

PACKAGE = f"{Path(__file__).parents[1]}/"
WAITS = f"{Path(__file__).parent}/"


def hide(error: BaseException) -> None:
    """Let the last frame of an error be one that is the test's, and leave but one of each error behind it."""
    for shown in _chain(error):
        frames = list(_frames(shown.__traceback__))
        if frames and _on_purpose(shown, _file(frames[-1])):
            theirs = [frame for frame in frames if _is_theirs(_file(frame))]
            if theirs:
                theirs[-1].tb_next = None
            else:
                shown.__traceback__ = frames[-1]


def reasons(error: BaseException) -> Iterator[str]:
    """The whole reason of an error, and of those behind it, where their texts cut it."""
    for told_of in _chain(error):
        reason = getattr(told_of, "reason", None)
        if isinstance(told_of, PyerlnodeError) and len(told(reason)) > TOLD:
            yield f"{type(told_of).__name__}: {written(reason)}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _file(frame: TracebackType) -> str:
    return frame.tb_frame.f_code.co_filename


def _on_purpose(error: BaseException, where: str) -> bool:
    return isinstance(error, PyerlnodeError) or (isinstance(error, AssertionError) and where.startswith(WAITS))


def _is_theirs(path: str) -> bool:
    return not path.startswith((PACKAGE, *_gevents()))


def _gevents() -> tuple[str, ...]:
    """Where gevent's frames are, its compiled ones too; nowhere when nobody has imported it."""
    gevent = sys.modules.get("gevent")
    return () if gevent is None else ("src/gevent/", f"{Path(str(gevent.__file__)).parent}/")
