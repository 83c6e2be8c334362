"""Numbers, functions and names as a person reads them."""

from __future__ import annotations

from typing import Any

from pyerlnode.term.atom import A, Atom
from pyerlnode.term.text import Style, format_term


def size(count: int | None) -> str:
    """Bytes with three figures: ``1.25 MB``; ``-`` of what was not measured."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 99.95 else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def number(count: int | None) -> str:
    """With spaces between thousands: ``716 643``."""
    return "-" if count is None else f"{count:,}".replace(",", " ")


def duration(seconds: float) -> str:
    """The two largest parts of it: ``3 d 4 h``."""
    whole = int(seconds)
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"


def mfa(call: Any, style: Style = "erlang") -> str:
    """``gen_server:loop/7``, and in Elixir's style ``:gen_server.loop/7`` or ``MyApp.Server.init/1``."""
    match call:
        case (Atom() as module, Atom() as function, arity):
            count = arity if isinstance(arity, int) else len(arity)
            if style == "elixir":
                return f"{format_term(module, style=style)}.{_bare(function, style)}/{count}"
            return f"{format_term(module)}:{format_term(function)}/{count}"
    return "-"


def _bare(function: Atom, style: Style) -> str:
    text = format_term(function, style=style)
    return text.removeprefix(":")


def name(registered: Any) -> Atom | None:
    """The name of `process_info`, which gives ``[]`` where there is none."""
    return registered if isinstance(registered, Atom) else None


def text(value: Any) -> str | None:
    """Text that the peer made; None where it had none."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None or value is A.undefined else format_term(value, width=0)


def fields(term: dict[Any, Any]) -> dict[str, Any]:
    """A map whose keys are atoms, by their names."""
    return {key.name: value for key, value in term.items()}
