"""Fuzz both codecs with as many inputs as asked: the same value or error of both, and what encodes comes back the same.

    python -m tests.property.fuzz 10_000_000 [--jobs 2] [--seed 1]

Of ten inputs eight are damaged terms, one a damaged packet, one a hostile term that both encode, decode and encode
again. A failure ends the run with the seed and the number of the input; ``--seed S --only N`` makes that one again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from typing import Any

from pyerlnode.errors import EncodeError
from pyerlnode.etf import _codec_c, _codec_py
from tests.helpers import hostile
from tests.property.test_etf_twins import TIGHT, assert_same, damaged_by, outcome, packet_outcome

CHUNK = 5_000
"""Inputs of one seed."""


def one(seed: int, number: int) -> None:
    """Try input `number` of `seed`. Raises whatever goes wrong."""
    rng = random.Random(f"{seed} {number}")
    kind = number % 10
    if kind == 9:
        whole(hostile.term(rng))
    elif kind == 8:
        data = damaged_by(rng)[1:] + damaged_by(rng)[1:]
        end = rng.randrange(len(data) + 1)
        assert packet_outcome(_codec_c, data, end) == packet_outcome(_codec_py, data, end)
    else:
        data = damaged_by(rng)
        options: dict[str, Any] = {}
        if kind % 4 == 3:
            options = {"limits": TIGHT, "atoms": "existing"}
        elif kind % 2:
            options = {"profile": "erlang"}
        results = [outcome(twin.decode_prefix, data, **options) for twin in (_codec_c, _codec_py)]
        assert_same(_codec_c, _codec_py, *results)


def whole(term: Any) -> None:
    written = []
    for twin in (_codec_c, _codec_py):
        try:
            written.append(twin.encode(term))
        except EncodeError as error:  # noqa: PERF203  # one of two
            written.append((str(error), error.path))
    assert written[0] == written[1]
    if type(written[0]) is bytes:
        for twin in (_codec_c, _codec_py):
            assert twin.encode(twin.decode(written[0])) == written[0]


def chunk(seed: int) -> tuple[int, int, str]:
    """All inputs of a seed: (seed, the first that failed or -1, why)."""
    for number in range(CHUNK):
        try:
            one(seed, number)
        except BaseException as error:  # noqa: PERF203  # the first one ends it
            return seed, number, f"{type(error).__name__}: {str(error)[:2_000]}"
    return seed, -1, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=int, help="how many, rounded up to 5,000")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--only", type=int, help="try this input of --seed alone")
    options = parser.parse_args()
    if options.only is not None:
        one(options.seed, options.only)
        return 0
    seeds = range(options.seed, options.seed + -(-options.inputs // CHUNK))
    started, done = time.monotonic(), 0
    with multiprocessing.Pool(options.jobs) as pool:
        for seed, failed, why in pool.imap_unordered(chunk, seeds):
            if failed >= 0:
                pool.terminate()
                print(f"seed {seed}, input {failed}: {why}")
                return 1
            done += CHUNK
            if done % (20 * CHUNK) == 0 or done >= options.inputs:
                print(f"{done:,} inputs in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
