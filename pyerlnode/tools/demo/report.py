"""The demo's steps on the screen: number, verdict, time and what was seen; or one JSON document of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from greenlet import GreenletExit

from pyerlnode.errors import PyerlnodeError
from pyerlnode.tools.output import Output


class NotVerified(PyerlnodeError):
    """A step did not show what it promises; the text says what was seen instead."""


def verify(condition: bool, seen: str) -> None:
    """Raise `NotVerified` with what was `seen`, unless `condition`."""
    if not condition:
        raise NotVerified(seen)


@dataclass(slots=True)
class Step:
    """One line of the demo. `ms` is the time that the verified part took, in milliseconds."""

    title: str
    ms: float = 0.0
    verified: bool = False
    seen: str = ""


class Report:
    """Collects the steps and shows each one as it ends."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.steps: list[Step] = []
        self.began = time.perf_counter()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time the block; it is verified if it ends without an exception. The block sets `seen`."""
        step = Step(title)
        self.steps.append(step)
        began = time.perf_counter()
        try:
            yield step
            step.verified = True
        except GreenletExit:
            step.seen = "interrupted"
            raise
        except PyerlnodeError as error:
            step.seen = f"{type(error).__name__}: {error}" if not isinstance(error, NotVerified) else str(error)
            raise
        finally:
            step.ms = round((time.perf_counter() - began) * 1000, 2)
            self._show(step)

    def _show(self, step: Step) -> None:
        verdict = self.output.paint("ok", "green") if step.verified else self.output.paint("FAILED", "red", "bold")
        number, seen = len(self.steps), self.output.paint(step.seen, "dim")
        self.output.line(f"{number:>3}  {verdict}  {step.ms:>8.2f} ms  {step.title:<46} {seen}".rstrip())

    def finish(self, peer: str, title: str, hint: str) -> int:
        """The last lines, and the exit status: 0 if every step was verified, else 1."""
        good = sum(step.verified for step in self.steps)
        verified = good == len(self.steps)
        took = time.perf_counter() - self.began
        self.output.line()
        self.output.line(f"{good} of {len(self.steps)} steps verified in {took:.1f} s against {title}.")
        if hint:
            self.output.line(hint)
        self.output.document(
            ok=verified, peer=peer, seconds=round(took, 3), steps=[asdict(step) for step in self.steps]
        )
        return 0 if verified else 1
