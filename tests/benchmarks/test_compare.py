"""What `benchmarks/compare.py` reads from the output of a benchmark."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "compare.py"
SPEC = importlib.util.spec_from_file_location("compare", PATH)
compare = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compare)

LINES = """
calls, one caller                                               200,000.5 /s        >= 100,000
100,000 links to one process that dies                              250.0 ms        <= 1,000
"""
TABLE = """
| served to a BEAM, per second | beam | python | ratio | CPU beam | CPU python |
|---|---|---|---|---|---|
| small messages | 500,000 | 400,000 | 0.80 | 0.9 µs | 2.0 µs |
"""


def test_a_rate_is_better_when_it_is_higher_and_a_time_when_it_is_lower() -> None:
    assert compare.figures(LINES) == {
        "calls, one caller (/s)": 200000.5,
        "100,000 links to one process that dies (ms)": pytest.approx(1 / 250),
    }


def test_of_a_table_the_column_of_this_node_and_its_cost_count() -> None:
    assert compare.figures(TABLE) == {"small messages": 400000.0, "small messages, CPU": pytest.approx(0.5)}
