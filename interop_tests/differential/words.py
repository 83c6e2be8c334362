"""Terms for scripts, out of the shared vocabulary of hostile ones, small enough to be read in a script that failed."""

from random import Random
from typing import Any

from pyerlnode.term import A, Atom, Bitstring, ImproperList, TermMap
from tests.helpers import hostile

PLAIN = (A.a, A.b, A.ok, 1, 2, b"text", (A.tag, 1), [A.a, 1])
ALIKE = (
    0, 1, 1.0, True, False, None, [1], (1,), {}, TermMap([(1, 1)]), TermMap([(1.0, 1)]), [], (), b"a", A.a, [97],
    2**61 - 1, 10**40, ImproperList((1,), 2), TermMap([(1, 1), (1.0, 1)]), Bitstring(b"\x80", 1), -1.5,
)  # fmt: skip


def term(rng: Random) -> Any:
    """Any term: mostly a plain one, or one of many that Python takes for the same, else a hostile one."""
    match rng.randrange(5):
        case 0 | 1:
            return rng.choice(PLAIN)
        case 2 | 3:
            return rng.choice(ALIKE)
    return rng.choice(
        (Atom(rng.choice(hostile.ATTRIBUTES)), Atom(rng.choice(WORDS)), hostile.deep("list", 40), nested(rng))
    )


WORDS = tuple(word for word in hostile.WORDS if word not in ("true", "false", "nil"))


def nested(rng: Random, depth: int = 3) -> Any:
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(ALIKE)
    some = [nested(rng, depth - 1) for _ in range(rng.randrange(3))]
    match rng.randrange(4):
        case 0:
            return tuple(some)
        case 1:
            return TermMap(
                [(key, value) for key, value in zip(rng.sample((1, 1.0, A.a, b"a"), len(some)), some, strict=True)]
            )
        case 2 if some:
            return ImproperList(tuple(some), A.tail)
    return some


def reason(rng: Random) -> Any:
    """Why something ends: one of OTP's words in most cases."""
    return rng.choice(hostile.REASONS) if rng.random() < 0.8 else term(rng)


REPLACING = tuple(A[f"replace_{how}"] for how in ("note", "note", "error", "exit", "throw"))


def asked_by_sys(rng: Random, replacing: tuple[Any, ...] = REPLACING) -> Any:
    """What `sys` asks of any process, and what it does about it."""
    match rng.randrange(5):
        case 0:
            return (A.state,)
        case 1 | 2:
            return A.replace, rng.choice(replacing)
    return A.change, extra(rng)


def extra(rng: Random) -> Any:
    """What `code_change` is given."""
    return rng.choice((term(rng), term(rng), (A.error, reason(rng)), (A.exit, reason(rng)), (A.throw_term, A.ball)))
