"""A service under three times its load, in virtual time: regulated it stays at its best, else it collapses."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[3] / "benchmarks" / "bench_regulation.py"
SECONDS = 20.0


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_regulation", PATH)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def run(bench, policy, seed):
    rules = next(rules for name, rules in bench.POLICIES.items() if name.startswith(policy))
    return bench.simulate(rules, seconds=SECONDS, after=10.0, seed=seed)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("policy", ["`Rules(limit=10)`", '`Rules(limit=10, order="fifo")`', "`Rules(limit=Adaptive"])
def test_with_a_regulator_throughput_stays_at_its_best_and_latency_bounded(bench, policy, seed):
    found = run(bench, policy, seed)
    assert bench.goodput(found, SECONDS) >= 0.9
    assert max(waited for _, waited in found.waits) <= 1.0  # `max_wait`
    assert max(waited for asked, waited in found.waits if 1.0 < asked < SECONDS) <= 0.1 + 1e-9  # `target`
    assert sum(asked > 1.0 for asked in found.late) <= 0.005 * len(found.answered)
    assert max(found.refusals) <= 1.0
    assert bench.median(found.refusals) <= 0.11
    assert found.recovered < 0.5


@pytest.mark.parametrize("policy", ["no limit", "ten at once"])
def test_without_one_nearly_all_answers_come_too_late_also_when_the_load_is_over(bench, policy):
    found = run(bench, policy, 1)
    assert bench.goodput(found, SECONDS) < 0.1
    assert len(found.late) > len(found.answered)
    assert found.recovered is None


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_below_its_capacity_nobody_is_refused(bench, load):
    found = bench.simulate(bench.POLICIES["`Rules(limit=10)`"], load=load, seconds=SECONDS, after=1.0)
    assert len(found.refusals) <= 0.001 * found.asked
    assert not found.late
