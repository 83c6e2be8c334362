"""Terms of every kind from a seed: the same seed gives the same terms on every machine.

``TERM_SEEDS=991000`` (any number) adds to each seed: other terms for the same tests, the same ones for the same number.
"""

import os
import random
import struct
from collections.abc import Iterator
from typing import Any

from pyerlnode.term import A, Atom, Bitstring, ExternalFun, ImproperList, Pid, Port, Reference
from pyerlnode.term.text.parse import make_map

OTHER_SEEDS = int(os.environ.get("TERM_SEEDS", "0"))
NAMES = [
    "ok", "error", "a", "undefined", "true", "false", "nil", "Elixir.MyApp.User", "", "A", "é", "ß", "日本",
    "with space", "it's", 'a"b', "a\\b", "a\nb", "fun", "when", "a@b", "_x", "1a", "a1_B@", "\x7f", "÷", "ÿ", "×",
    "#{}", "a\u2028b",
    "long_name_of_an_atom_that_takes_its_room", "#{x", "+", "::", "a?", "b!", "Abc", "not", "in",
]  # fmt: skip
NODES = [Atom("a@h"), Atom("b@h"), Atom("nonode@nohost")]
TEXTS = [
    "", "a", "hello world", "tab\tand\nline", 'quote " and \\', "é", "日本語", "a\x00b", "\x1b[0m", "x" * 90, "#{a}",
    "\u00a0", "\x80",
]  # fmt: skip


def atom(rng: random.Random) -> Any:
    return A[rng.choice(NAMES)]


def integer(rng: random.Random) -> int:
    if rng.random() < 0.4:
        return rng.randrange(-20, 300)
    edge = 1 << rng.choice([7, 8, 15, 16, 27, 28, 31, 32, 53, 59, 60, 63, 64, 65, 127, 128, 256, 700])
    return rng.choice([-1, 1]) * (edge + rng.randrange(-2, 3))


def floating(rng: random.Random) -> float:
    kind = rng.randrange(5)
    if kind == 0:
        return float(rng.choice([0.0, 1.0, -1.0, 0.1, 1e22, 1e23, 5e-324, 1.7976931348623157e308, 2.0**53, 1e15, 1e16]))
    if kind == 1:
        return round(rng.uniform(-1000, 1000), rng.randrange(6))
    if kind == 2:
        return rng.randrange(1, 1000) * 10.0 ** rng.randrange(-20, 25)
    if kind == 3:
        return float(integer(rng) % (1 << 70))
    while True:
        (value,) = struct.unpack(">d", rng.randbytes(8))
        if value - value == 0:
            return float(value)


def binary(rng: random.Random) -> Any:
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(TEXTS).encode()
    if kind == 1:
        return rng.choice(TEXTS).encode("latin-1", "replace")
    if kind == 2:
        return Bitstring(rng.randbytes(rng.randrange(1, 6)), rng.randrange(1, 8))
    if kind == 3:
        return rng.randbytes(rng.choice([1, 2, 3, 11, 12, 13, 40]))
    return bytes(rng.randrange(97, 123) for _ in range(rng.randrange(30)))


def external(rng: random.Random) -> ExternalFun:
    """Of plain names only: the BEAM prints those of functions raw and quotes no reserved word among them."""
    names = ["lists", "map", "Elixir.MyApp.User", "with space", "it's", "a1_B"]
    return ExternalFun(Atom(rng.choice(names)), Atom(rng.choice(names)), rng.randrange(256))


def identifier(rng: random.Random) -> Any:
    """A pid, port or reference of few nodes and numbers, so that comparisons meet in every part."""
    node, creation = rng.choice(NODES), rng.randrange(1, 3)
    number = rng.choice([1, 2, 0x3FFFF, 0xFFFFFFF])
    kind = rng.randrange(3)
    if kind == 0:
        return Pid(node, number, rng.randrange(3), creation)
    if kind == 1:
        return Port(node, rng.choice([number, 1 << 40]), creation)
    return Reference(node, creation, tuple(rng.choice([0, 1, 0x3FFFF]) for _ in range(rng.choice([1, 3, 3, 5]))))


LEAVES = [atom, atom, integer, integer, floating, binary, binary]


def term(rng: random.Random, depth: int = 4, identifiers: bool = False) -> Any:
    """One term of at most `depth` levels; `identifiers` are those that text can not carry."""
    if depth == 0 or rng.random() < 0.3:
        return rng.choice([*LEAVES, external, *([identifier, identifier] if identifiers else [])])(rng)

    def items(most: int = 6) -> list[Any]:
        return [term(rng, depth - 1, identifiers) for _ in range(rng.randrange(most))]

    kind = rng.randrange(8)
    if kind == 0:
        return [ord(char) for char in rng.choice(TEXTS)]
    if kind == 1:
        return tuple(items())
    if kind == 2:
        return (atom(rng), *items())
    if kind == 3:
        return make_map(
            [(term(rng, min(depth - 1, 2), identifiers), term(rng, depth - 1, identifiers)) for _ in items()]
        )
    if kind == 4:
        return make_map([(atom(rng), value) for value in items()])
    if kind == 5:
        return ImproperList((*items(3), atom(rng)), rng.choice(LEAVES)(rng))
    if kind == 6:
        return [integer(rng) for _ in range(rng.randrange(60))]
    return items(12)


def terms(seed: int, count: int, *, depth: int = 4, identifiers: bool = False) -> Iterator[Any]:
    rng = random.Random(seed + OTHER_SEEDS)
    return (term(rng, rng.randrange(depth + 1), identifiers) for _ in range(count))
