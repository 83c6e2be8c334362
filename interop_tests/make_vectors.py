"""Golden vectors of a release of OTP: what its `term_to_binary` makes of the terms of `tests/data/vector_terms.txt`.

    make vectors                                  # of the BEAM on PATH, into tests/data/vectors_otpNN.json
    make vectors ARGS="'beam 27' 'beam 29'"       # of others: what `--beam` takes
    make vectors ARGS="docker:pyerlnode-beam:sid" # of an image

The file has one row for each term: its source, `hex` as the release writes it (with `deterministic`, as the order of a
map's keys is else another one after each boot), `utf8` where ``{minor_version, 2}`` gives other bytes, and `phash2`.
`test_vectors.py` makes them again and compares. A closure is no such term: it has its node's name in it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pyerlnode.testing import docker, launch
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
TERMS = DATA / "vector_terms.txt"
ASK = """
[begin
   {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(S) ++ "."),
   {ok, Parsed} = erl_parse:parse_exprs(Tokens),
   {value, T, _} = erl_eval:exprs(Parsed, []),
   {term_to_binary(T, [deterministic]), term_to_binary(T, [deterministic, {minor_version, 2}]), erlang:phash2(T)}
 end || S <- Sources]
"""


def sources() -> list[str]:
    return TERMS.read_text(encoding="utf-8").splitlines()


def rows(beam: Beam) -> list[dict[str, Any]]:
    """A row for each term, as this BEAM sees it."""
    wanted = sources()
    made = beam.eval(ASK, Sources=[source.encode() for source in wanted])
    found = []
    for source, (plain, utf8, number) in zip(wanted, made, strict=True):
        row = {"term": source, "hex": plain.hex(), "phash2": number}
        if utf8 != plain:
            row["utf8"] = utf8.hex()
        found.append(row)
    return found


def path_of(otp: int) -> Path:
    return DATA / f"vectors_otp{otp}.json"


def main(*wanted: str) -> None:
    for text in wanted or ("local",):
        if text == "local":
            launcher = launch.local()
        elif text.startswith("docker:"):
            launcher = docker.launcher(text.removeprefix("docker:"), pull=True)
        else:
            launcher = launch.from_prefix(text)
        epmd = Epmd(launcher).start()
        try:
            with Beam(launcher, epmd) as beam:
                lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows(beam))
                path_of(beam.otp).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
                print(f"{path_of(beam.otp)}: {len(sources())} terms of OTP {beam.otp}")
        finally:
            epmd.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
