"""The scenarios that run against OTP and against Python are as many as the guide says, and at least 120."""

import re
from importlib import import_module
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "behaviours.md"
TABLES = {
    "gen_server": ("test_behaviours_gen_server", ("SCRIPTS", "INITS", "BEGINS", "TRAPPING")),
    "gen_statem": ("test_behaviours_gen_statem", ("SCRIPTS", "ENTERING", "STARTS")),
    "gen_event": ("test_behaviours_gen_event", ("SCRIPTS",)),
    "supervisor": ("test_supervisor_scenarios", ("SCENARIOS",)),
}
SAID = {name: int(count) for name, count in re.findall(r"^\| `?(\w+)`? \| (\d+) \|", GUIDE.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("behaviour", TABLES)
def test_the_guide_counts_the_scenarios_that_are_run(behaviour: str) -> None:
    module, tables = TABLES[behaviour]
    loaded = import_module(f"interop_tests.{module}")
    assert SAID[behaviour] == sum(len(getattr(loaded, table)) for table in tables)


def test_there_are_at_least_a_hundred_and_twenty() -> None:
    assert SAID["all"] == sum(SAID[behaviour] for behaviour in TABLES) >= 120
