"""`pyerlnode demo` against an Elixir and an Erlang node: every step verified, nothing left behind."""

import json
from pathlib import Path

import pytest
from place import place


@pytest.mark.parametrize("peer", ["elixir", "erlang"])
def test_every_step_is_verified(tmp_path: Path, peer: str) -> None:
    with place(tmp_path) as here:
        ran = here.pyerlnode("demo", "--peer", peer, "--json")
    document = json.loads(ran.stdout)
    assert [step for step in document["steps"] if not step["verified"]] == []
    assert (ran.returncode, ran.stderr, document["peer"], len(document["steps"])) == (0, "", peer, 18)


def test_elixir_is_chosen_where_it_is(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        assert "against an Elixir node" in here.pyerlnode("demo").stdout
