"""What the whole suite stands on: time, signals and garbage."""

import gc
import logging
import os
import signal
import zlib
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pyerlnode.testing import patience

LOST_AFTER_S = 300.0
"""A test that has not ended then, on a quiet machine, never will; no test waits for this."""

# How fast an example is found or run says something about the machine; a run of a test has `LOST_AFTER_S`.
settings.register_profile("pyerlnode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pyerlnode")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # From a source tree that is not installed there is no entry point that would load the plugin.
    if not pluginmanager.has_plugin("pyerlnode"):
        pluginmanager.import_plugin("pyerlnode.testing.plugin")
    parser.addoption("--share", metavar="N/SEED", help="run one test of N only, chosen by SEED")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """One machine, one patience: measured here, told to the workers and to every program that a test starts."""
    if config.option.beam_patience in (None, "auto"):
        os.environ.setdefault(patience.VARIABLE, str(patience.factor()))
    else:
        os.environ[patience.VARIABLE] = config.option.beam_patience
    if getattr(config.option, "timeout", None) is None:
        config.option.timeout = patience.patience(LOST_AFTER_S)
    # A machine that lets a hub stand still makes it say so; whoever counts the records of a test does not mean that.
    logging.getLogger("pyerlnode.hub").propagate = False
    # A shell that starts a command in the background has SIGINT ignored in it, and so has what the command starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"patience: {patience.patience():.0f} s for what comes, {patience.patience(LOST_AFTER_S):.0f} s for a test"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.share:
        of, seed = map(int, config.option.share.split("/"))
        chosen = [item for item in items if zlib.crc32(f"{seed} {item.nodeid}".encode()) % of == 0]
        config.hook.pytest_deselected(items=list(set(items).difference(chosen)))
        items[:] = chosen


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What to type next."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        seed = getattr(config.option, "randomly_seed", None)
        how = "make interop ARGS='RELEASE --lf'" if config.option.beam else "make test ARGS='--lf'"
        if config.option.share:
            how = "make stress ARGS='--rounds 1 …', as it says in the end"
        order = f"; the order of this run: --randomly-seed={seed}" if seed else ""
        terminalreporter.write_line(f"what failed once more: {how}{order}")


@pytest.fixture(scope="session", autouse=True)
def the_pure_codec_has_been_warned_of() -> None:
    """Where the compiled codec is not there, the first node says so in the log of whichever test it is in."""
    from pyerlnode.node import warn_of_the_pure_codec

    warn_of_the_pure_codec()


@pytest.fixture(scope="module", autouse=True)
def nothing_before_this_module_is_garbage() -> None:
    """Thousands of collected tests, and what modules before this one still hold, are no garbage.

    Without them, what the tests' own checks collect and list is little: a run of `tests/` took eight times as long with
    the collected tests, and a check of `tests/net` still four times as long with what came since.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged may be no UTF-8, as the text of an exception; a worker's report can not carry that."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
