"""Every property test of a promise about terms draws from the hostile vocabulary (`tests.helpers.hostile`)."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NO_TERMS = {
    "bridges/nx/test_serving_core.py": "keys are made by `term.exact`, of which its own tests draw from it",
    "cluster/load/test_breaker_core.py": "draws times and outcomes",
    "cluster/load/test_pool_core.py": "draws sizes, hashes and times",
    "cluster/load/test_regulated_core.py": "draws sizes and times",
    "cluster/load/test_regulator_core.py": "draws limits and times",
    "cluster/sessions/test_core.py": "draws which message is delivered next",
    "cluster/standby/test_core.py": "draws faults and their times",
    "dist/test_epmd.py": "draws bytes",
    "dist/test_handshake.py": "draws bytes",
    "otp/test_dynamic_core.py": "draws times of restarts; ids are those of `otp/test_hostile_ids.py`",
    "otp/test_supervisor_core.py": "draws ends and their times; ids are those of `otp/test_supervisor_ids.py`",
    "tools/inspector/live/test_frame_core.py": "draws texts and sizes",
    "property/test_etf_twins.py": "draws damaged bytes, of seeds that hold every kind of term",
}
"""Property tests that draw no term, and what they draw."""


def draw() -> list[Path]:
    return [path for path in sorted(TESTS.rglob("test_*.py")) if "from hypothesis" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", draw(), ids=lambda path: str(path.relative_to(TESTS)))
def test_a_property_test_draws_hostile_terms_or_none(path: Path) -> None:
    name = str(path.relative_to(TESTS))
    uses = "hostile" in path.read_text(encoding="utf-8")
    if name == "architecture/test_hostile.py":
        return
    assert uses != (name in NO_TERMS), f"{name}: draw its terms from tests.helpers.hostile, or say what it draws"


def test_the_list_is_up_to_date() -> None:
    assert {name for name in NO_TERMS if not (TESTS / name).exists()} == set()
