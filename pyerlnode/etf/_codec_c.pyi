from collections.abc import Sequence
from typing import Any

from pyerlnode.etf.common import AtomBudget, AtomValue, Buffer, Data, Profile
from pyerlnode.limits import Limits

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
