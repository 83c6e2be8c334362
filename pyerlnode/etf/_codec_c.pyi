from collections.abc import Sequence
from typing import Any

from pyerlnode.errors import DecodeError
from pyerlnode.etf.common import AtomBudget, Atoms, AtomValue, Buffer, Data, Profile
from pyerlnode.limits import Limits

def encode(term: Any, *, profile: Profile = "elixir", compressed: bool | int = False) -> bytes: ...
def encode_buffers(term: Any, *, profile: Profile = "elixir") -> list[Buffer]: ...
def decode(data: Data, *, profile: Profile = "elixir", atoms: Atoms = "new", limits: Limits = ...) -> Any: ...
def decode_prefix(
    data: Data,
    offset: int = 0,
    *,
    profile: Profile = "elixir",
    atoms: Atoms = "new",
    limits: Limits = ...,
) -> tuple[Any, int]: ...
def decode_term(
    data: Data,
    offset: int = 0,
    atoms: Sequence[AtomValue] | None = None,
    budget: AtomBudget | None = None,
    limits: Limits = ...,
    profile: Profile = "elixir",
) -> tuple[Any, int]: ...
def encode_term(term: Any, profile: Profile = "elixir") -> bytes: ...
def encode_term_buffers(term: Any, profile: Profile = "elixir", prefix: bytes = b"") -> list[Buffer]: ...
def decode_packet(
    data: bytes,
    at: int,
    end: int,
    atoms: Sequence[AtomValue],
    budget: AtomBudget | None,
    limits: Limits = ...,
) -> tuple[Any, int, Any, DecodeError | None]: ...
def encode_packet(head: bytes, control: Any, payload: Any) -> tuple[list[Buffer], int]: ...
