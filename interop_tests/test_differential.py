"""Random scripts: OTP's own modules and ours let the same be seen. Nodes that part and meet again are for the hand.

More of them: ``python -m interop_tests.differential --seeds 5000 --beam …``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from interop_tests.differential import actors
from interop_tests.differential.kept import KEPT
from interop_tests.differential.kinds import Kind, kinds
from interop_tests.differential.lab import Difference, Lab, named, of_seeds, quiet
from pyerlnode import A
from pyerlnode.term.text import parse_term
from pyerlnode.testing.beam import Beam

KINDS = kinds()


@pytest.fixture
def lab(beam: Beam, node: Any, python: Callable[..., Any], beam_factory: Callable[..., Beam]) -> Iterator[Lab]:
    def visible(name: str | None) -> Any:
        return python(name, hidden=False)

    with quiet():
        yield Lab(beam, node, lambda name: beam_factory(cookie=beam.cookie, **named(name)), visible)


def shown(lab: Lab, kind: Kind, differing: list[Difference]) -> str:
    return "\n\n".join(str(lab.smallest(kind, one)) for one in differing[:3])


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if not kind.ordered], ids=lambda kind: kind.name)
def test_a_random_script_gives_the_same_trace(lab: Lab, kind: Kind) -> None:
    place = lab.places(kind, alone=True)[0]
    differing = lab.differing(kind, place, of_seeds(kind, range(kind.few)))
    assert not differing, shown(lab, kind, differing)


def test_a_random_script_across_two_nodes_gives_the_same_trace(lab: Lab) -> None:
    for kind in KINDS.values():
        if kind.pair:
            for place in lab.places(kind)[1:]:
                differing = lab.differing(kind, place, of_seeds(kind, range(kind.few // 2)))
                assert not differing, shown(lab, kind, differing)


def kept(kind: Kind) -> list[tuple[bytes, Any]]:
    return [(word.encode(), parse_term(text)) for word, text in KEPT[kind.name].items()]


OF_KEPT = [kind for kind in KINDS.values() if KEPT.get(kind.name) and not kind.ordered]


@pytest.mark.parametrize("kind", OF_KEPT, ids=lambda kind: kind.name)
def test_a_script_that_once_differed_gives_the_same_trace(lab: Lab, kind: Kind) -> None:
    for place in lab.places(kind):
        differing = lab.differing(kind, place, kept(kind))
        assert not differing, shown(lab, kind, differing)


def test_a_difference_is_found_and_cut_down(lab: Lab) -> None:
    """Nothing is held by comparing what can not differ: a twin that links without being told to is found."""

    def wrong(node: Any) -> None:
        def start() -> Any:
            return node.spawn(actors.body, True)

        node.export("diff_actors", start, name="start")

    kind = replace(KINDS["actors"], prepare=wrong)
    place = lab.places(kind, alone=True)[0]
    script = [(0, parse_term("{{0,0},[{a,{send,{'$actor',b},1}},{a,{exit,{'$actor',b},boom}},{a,flush},{b,flush}]}"))]
    (found,) = lab.differing(kind, place, script)
    smallest = lab.smallest(kind, found)
    assert smallest.script[1] == [(A.a, (A.exit, (A["$actor"], A.b), A.boom))]
    assert "{'EXIT',a,boom}" in str(smallest)
