"""What the whole suite stands on: time, signals and garbage."""

import gc
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from pyerlnode.testing import patience

LOST_AFTER_S = 300.0
"""A test that has not ended then, on a quiet machine, never will; no test waits for this."""

# How fast an example is found or run says something about the machine; a run of a test has `LOST_AFTER_S`.
settings.register_profile("pyerlnode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pyerlnode")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """One machine, one patience: measured here, told to the workers and to every program that a test starts."""
    if config.option.beam_patience in (None, "auto"):
        os.environ.setdefault(patience.VARIABLE, str(patience.factor()))
    else:
        os.environ[patience.VARIABLE] = config.option.beam_patience
    if getattr(config.option, "timeout", None) is None:
        config.option.timeout = patience.patience(LOST_AFTER_S)
    # A shell that starts a command in the background has SIGINT ignored in it, and so has what the command starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"patience: {patience.patience():.0f} s for what comes, {patience.patience(LOST_AFTER_S):.0f} s for a test"


@pytest.fixture(scope="module", autouse=True)
def nothing_before_this_module_is_garbage() -> None:
    """Thousands of collected tests, and what modules before this one still hold, are no garbage.

    Without them, what the tests' own checks collect and list is little: a run of `tests/` took eight times as long with
    the collected tests, and a check of `tests/net` still four times as long with what came since.
    """
    gc.collect()
    gc.freeze()
