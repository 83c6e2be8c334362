from collections.abc import Callable, Sequence
from typing import Any

from pyerlnode.errors import DecodeError
from pyerlnode.etf.common import AtomBudget, Atoms, AtomValue, Buffer, Data, Profile
from pyerlnode.limits import Limits
from pyerlnode.term.atom import Atom

class PacketReader:
    def __init__(
        self,
        classes: tuple[type, type, type],
        node: Atom,
        slots: list[Any],
        empty: object,
        budget: AtomBudget,
        limits: Limits,
    ) -> None: ...
    def read(self, data: bytes, at: int, events: list[Any]) -> int: ...

class PacketWriter:
    count: int
    def __init__(
        self,
        classes: tuple[type, type, type],
        whole: int,
        send_sender: bool,
        altact: bool,
        monitors: bool,
        names: bool,
        cache: bool,
        check: Callable[[Any], None] | None = None,
    ) -> None: ...
    def write(self, signal: Any, in_order: bool = True) -> bytes | tuple[list[Buffer], int] | None: ...

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
def encode_term_buffers(
    term: Any, profile: Profile = "elixir", prefix: bytes = b"", check: Callable[[Any], None] | None = None
) -> list[Buffer]: ...
def decode_packet(
    data: bytes,
    at: int,
    end: int,
    atoms: Sequence[AtomValue],
    budget: AtomBudget | None,
    limits: Limits = ...,
) -> tuple[Any, int, Any, DecodeError | None]: ...
def encode_packet(
    head: bytes, control: Any, payload: Any, check: Callable[[Any], None] | None = None
) -> tuple[list[Buffer], int]: ...
