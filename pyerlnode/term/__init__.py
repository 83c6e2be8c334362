"""Erlang's and Elixir's values in Python: see `docs/terms.md` for the whole table."""

from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Port, Reference

__all__ = ["A", "Atom", "Pid", "Port", "Reference"]
