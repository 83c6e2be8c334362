"""The pytest plugin: a real BEAM as a fixture.

    def test_elixir_reads_our_counter(beam, erl_node):
        erl_node.start(Counter, 41, name="counter")
        assert beam.elixir("GenServer.call({:counter, node}, :get)", node=A[erl_node.name]) == 41

Fixtures
    beam            the run's BEAM, cleaned after each test (restarted when a test has killed it)
    beam_session    the same, for fixtures of a wider scope; what those have made there is not cleaned
    beam_factory    makes further ones: ``beam_factory(otp=27, files=["echo.erl"], args=["-kernel", …])``
    erl_node        a Python `Node` with the BEAM's cookie, at the BEAM's EPMD
    node_pair       two nodes in memory under a virtual clock, without a BEAM (`pair`)
    beam_network    a Docker network to boot BEAMs in, each a machine of its own: ``beam_network.beam()`` (`containers`)
    beam_system     makes systems of others that are nodes: ``beam_system("rabbitmq")`` (`systems`)
    cluster         makes several BEAMs and Python nodes, connected: ``cluster(3)``, ``cluster(beams=2, nodes=1)``
    python_node     makes Python nodes in OS processes of their own, to be killed: ``python_node(serve, 41)``

Those that make something are there with a wider scope, too: ``beam_factory_module``, ``cluster_session`` and so on.

With ``--beam-leaks`` a test that uses one of these, but `node_pair`, fails when it leaves something behind.
Marker: ``@pytest.mark.beam(otp=">=27", elixir=True, tls=True)``. Options: see `settings`.
ExUnit files, `test_*.exs`, are collected test by test: see `exunit`.
Nothing is started, and gevent is not imported, before a test asks for a fixture or there is such a file. Nothing is
ever patched.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyerlnode.testing import frames, patience, settings
from pyerlnode.testing.errors import BeamUnavailable

if TYPE_CHECKING:
    from pyerlnode.node import Node
    from pyerlnode.testing.beam import Beam
    from pyerlnode.testing.containers import BeamNetwork
    from pyerlnode.testing.factories import BeamFactory, BeamSystems, ClusterFactory, PythonNodes
    from pyerlnode.testing.pair import NodePair
    from pyerlnode.testing.python_node import PythonNode
    from pyerlnode.testing.recorder import Recorder
    from pyerlnode.testing.supply import Supply

_supply = pytest.StashKey["Supply"]()
_positions = pytest.StashKey[dict["Beam | PythonNode", int]]()
_recorder: pytest.StashKey[Recorder] = pytest.StashKey()
SIGNALS = 40
"""As many are kept of each connection for a test that failed the last time."""
_apart = pytest.StashKey[list["PythonNode"]]()


FOR_NODES = {"beam_session", "beam_factory", "beam_system", "beam_network", "python_node", "node_pair"}
"""Fixtures of tests that have a BEAM or nodes."""


# --- hooks -------------------------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    settings.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "beam(otp, elixir, tls): needs a BEAM: otp is a release or a comparison ('>=27'), elixir and tls are True",
    )
    try:
        wanted = settings.read(config).patience
        if wanted != "auto":
            patience.read(wanted)
            os.environ[patience.VARIABLE] = wanted  # for the workers of `pytest -n` too
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str:
    from pyerlnode.testing.choice import describe

    return describe(settings.read(config))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    matrix = settings.read(metafunc.config).matrix
    if matrix and "beam_release" in metafunc.fixturenames:
        metafunc.parametrize("beam_release", matrix, indirect=True, ids=[f"otp{release}" for release in matrix])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".exs":
        return None
    from pyerlnode.testing.exunit import ExUnitFile, is_exunit

    wanted = settings.read(parent.config)
    if not is_exunit(file_path, parent.session.isinitpath(file_path), wanted.mix):
        return None
    file: ExUnitFile = ExUnitFile.from_parent(parent, path=file_path)
    file.supply = supply_of(parent.config)
    file.release = next(iter(wanted.matrix), None)
    return file


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marks = list(item.iter_markers("beam"))
    if marks:
        callspec = getattr(item, "callspec", None)
        release = callspec.params.get("beam_release") if callspec else None
        _check(item.config, release, {key: value for mark in reversed(marks) for key, value in mark.kwargs.items()})
    item.stash[_positions] = {beam: beam.log_position for beam in _printing(item.config)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where signals are kept, they are from before the test's own nodes are made."""
    count = settings.read(item.config).signals
    if count is None:
        cache = getattr(item.config, "cache", None)
        failed = cache.get("cache/lastfailed", {}) if cache is not None else {}
        count = SIGNALS if item.nodeid in failed else 0
    if not count or not FOR_NODES & set(getattr(item, "fixturenames", ())):
        return (yield)
    from pyerlnode.testing.recorder import Recorder

    with Recorder(count) as recorder:
        item.stash[_recorder] = recorder
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    caught = call.excinfo
    if caught is not None and not item.config.option.fulltrace:
        frames.hide(caught.value)
        caught.traceback = type(caught.traceback)(caught.value.__traceback__ or caught.tb)
    report = yield
    recorder = item.stash.get(_recorder, None)
    if report.failed and recorder is not None and (lines := list(recorder.lines())):
        report.sections.append((f"The last signals of this process's nodes, {call.when}", "\n".join(lines)))
    if report.failed and caught is not None:
        report.sections += [("The whole reason", text) for text in frames.reasons(caught.value)]
    if report.failed:
        since = item.stash.get(_positions, {})
        for beam in _printing(item.config):
            if text := beam.logs_since(since.get(beam, 0)):
                report.sections.append((f"Output of {beam!r}, {call.when}", text[-20_000:]))
    return report


def _printing(config: pytest.Config) -> list[Beam | PythonNode]:
    """The programs of this run whose output is reported."""
    supply = config.stash.get(_supply, None)
    return [*(supply.alive if supply else ()), *config.stash.get(_apart, ())]


def pytest_unconfigure(config: pytest.Config) -> None:
    supply = config.stash.get(_supply, None)
    if supply is not None:
        if supply.settings.keep:
            supply.keep()
        else:
            supply.stop()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    supply = config.stash.get(_supply, None)
    if supply is not None and supply.settings.keep:
        for beam in supply.kept:
            terminalreporter.write_line(f"kept: {beam!r}, process {beam.os_pid}; a shell there: {beam.remote_shell()}")


# --- the supply ----------------------------------------------------------------------------------------
def supply_of(config: pytest.Config) -> Supply:
    """This run's `Supply`; made by the first who asks."""
    if _supply not in config.stash:
        from pyerlnode.testing.supply import Supply

        config.stash[_supply] = Supply(settings.read(config))
    return config.stash[_supply]


def _or_skip(config: pytest.Config, make: Callable[[], Any], *, containers: bool = False) -> Any:
    """What `make` gives; without a BEAM the test is skipped, or fails when one is required or was named."""
    try:
        return make()
    except BeamUnavailable as error:
        wanted = settings.read(config)
        if wanted.required:
            pytest.fail(f"no BEAM, and --beam-required: {error}", pytrace=False)
        if wanted.containers_named if containers else wanted.beam_named:
            pytest.fail(f"the BEAM that was asked for can not be had: {error}", pytrace=False)
        pytest.skip(f"no BEAM: {error}")


def _check(config: pytest.Config, release: int | None, requirements: dict[str, Any]) -> None:
    from pyerlnode.testing.supply import unmet

    beam = _or_skip(config, lambda: supply_of(config).shared(release))
    missing = unmet(beam, requirements)
    if missing is not None:
        text, is_fault = missing
        if is_fault and settings.read(config).required:
            pytest.fail(f"--beam-required: {text}", pytrace=False)
        pytest.skip(text)


# --- fixtures --------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def beam_release(request: pytest.FixtureRequest) -> int | None:
    """The OTP release of `--beam-matrix` that this test runs on; None: the one that there is."""
    return getattr(request, "param", None)


@pytest.fixture(scope="session")
def beam_session(beam_release: int | None, pytestconfig: pytest.Config) -> Beam:
    """The run's BEAM (one per release of the matrix). Shared by all tests; `beam` cleans what a test has added."""
    shared: Beam = _or_skip(pytestconfig, lambda: supply_of(pytestconfig).shared(beam_release))
    return shared


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[None]:
    """With ``--beam-leaks``: first to come and last to go, so that every other fixture of the test has ended."""
    with_a_beam = {"beam_session", "beam_factory", "beam_system", "python_node"} & set(request.fixturenames)
    if not (with_a_beam or "beam_network" in request.fixturenames) or not settings.read(pytestconfig).leaks:
        yield
        return
    from pyerlnode.testing import leaks

    epmd = request.getfixturevalue("beam_session").epmd if with_a_beam else None
    before = leaks.snapshot(epmd)
    yield
    leaks.assert_no_leaks(before, epmd)


@pytest.fixture
def beam(beam_session: Beam, beam_release: int | None, pytestconfig: pytest.Config) -> Iterator[Beam]:
    """The run's BEAM, running and clean: what the test spawns there is killed after it, connections are dropped."""
    del beam_session  # it may have been killed since: the supply starts it again
    supply = supply_of(pytestconfig)
    shared = supply.shared(beam_release)
    shared.begin_test()
    yield shared
    if shared.running():
        try:
            if supply.settings.leaks:
                _wait_for_the_end_of_foreign(shared)
        finally:
            shared.clean()
            shared.end_test()


def _wait_for_the_end_of_foreign(beam: Beam) -> None:
    """What a Python node has started on the BEAM ends when that node is gone, or has been left behind."""
    from pyerlnode.testing.leaks import SETTLE_S
    from pyerlnode.testing.waiting import wait_for

    wait_for(lambda: not beam.foreign(), SETTLE_S, "the end of what Python nodes have started on the BEAM")


def _beam_factory(
    request: pytest.FixtureRequest, beam_release: int | None, pytestconfig: pytest.Config
) -> Iterator[BeamFactory]:
    """Makes further BEAMs, which end with the scope: see `factories.BeamFactory`."""
    from pyerlnode.testing.factories import BeamFactory

    made = BeamFactory(
        supply_of(pytestconfig), beam_release, Path(request.path).parent if request.scope != "session" else Path(),
        functools.partial(_or_skip, pytestconfig),
    )  # fmt: skip
    yield made
    made.close()


def _beam_system(beam_release: int | None, pytestconfig: pytest.Config) -> Iterator[BeamSystems]:
    """Makes nodes that are systems of others, which end with the scope: see `factories.BeamSystems`."""
    from pyerlnode.testing.factories import BeamSystems

    made = BeamSystems(supply_of(pytestconfig), beam_release, functools.partial(_or_skip, pytestconfig))
    yield made
    made.close()


def _python_node(beam_release: int | None, pytestconfig: pytest.Config) -> Iterator[PythonNodes]:
    """Makes Python nodes in OS processes of their own, which end with the scope: see `factories.PythonNodes`."""
    from pyerlnode.testing.factories import PythonNodes

    supply = supply_of(pytestconfig)
    made = PythonNodes(
        lambda: _or_skip(pytestconfig, lambda: supply.shared(beam_release)), pytestconfig.stash.setdefault(_apart, [])
    )
    yield made
    made.close()


def _beam_network(beam_release: int | None, pytestconfig: pytest.Config) -> Iterator[BeamNetwork]:
    """A Docker network to boot BEAMs of `--beam-image` in: see `containers`."""
    from pyerlnode.testing.containers import BeamNetwork
    from pyerlnode.testing.epmd import free_port

    wanted = settings.read(pytestconfig)
    image = wanted.image.replace("{otp}", str(beam_release or ""))
    supply = supply_of(pytestconfig)
    network = _or_skip(
        pytestconfig,
        lambda: BeamNetwork(image, free_port(), supply.alive, mapped=wanted.mapped),
        containers=True,
    )
    yield network
    if supply.settings.keep:
        network.keep()
    else:
        network.close()


def _node(beam_session: Beam) -> Iterator[Node]:
    """A Python `Node` with the cookie of the run's BEAM, at its EPMD; stopped with the scope. Not connected yet."""
    from pyerlnode.testing.factories import node_beside

    with node_beside(beam_session) as node:
        yield node


def _cluster(beam_factory: BeamFactory, python_node: PythonNodes) -> Iterator[ClusterFactory]:
    """Makes clusters, which end with the scope: see `factories.ClusterFactory`."""
    from pyerlnode.testing.factories import ClusterFactory

    made = ClusterFactory(beam_factory, python_node)
    yield made
    made.close()


@pytest.fixture
def erl_node(beam: Beam) -> Iterator[Node]:
    """A Python `Node` with the cookie of `beam`, at its EPMD; stopped after the test. Not connected yet."""
    from pyerlnode.testing.factories import node_beside

    with node_beside(beam) as node:
        yield node


beam_factory = pytest.fixture(_beam_factory, name="beam_factory")
beam_factory_module = pytest.fixture(_beam_factory, scope="module", name="beam_factory_module")
beam_factory_session = pytest.fixture(_beam_factory, scope="session", name="beam_factory_session")
beam_system = pytest.fixture(_beam_system, name="beam_system")
beam_system_module = pytest.fixture(_beam_system, scope="module", name="beam_system_module")
beam_system_session = pytest.fixture(_beam_system, scope="session", name="beam_system_session")
python_node = pytest.fixture(_python_node, name="python_node")
python_node_module = pytest.fixture(_python_node, scope="module", name="python_node_module")
python_node_session = pytest.fixture(_python_node, scope="session", name="python_node_session")
beam_network = pytest.fixture(_beam_network, name="beam_network")
beam_network_module = pytest.fixture(_beam_network, scope="module", name="beam_network_module")
beam_network_session = pytest.fixture(_beam_network, scope="session", name="beam_network_session")
erl_node_module = pytest.fixture(_node, scope="module", name="erl_node_module")
erl_node_session = pytest.fixture(_node, scope="session", name="erl_node_session")
cluster = pytest.fixture(_cluster, name="cluster")


@pytest.fixture(scope="module")
def cluster_module(beam_factory_module: BeamFactory, python_node_module: PythonNodes) -> Iterator[ClusterFactory]:
    """As `cluster`, of a module."""
    yield from _cluster(beam_factory_module, python_node_module)


@pytest.fixture(scope="session")
def cluster_session(beam_factory_session: BeamFactory, python_node_session: PythonNodes) -> Iterator[ClusterFactory]:
    """As `cluster`, of the whole run."""
    yield from _cluster(beam_factory_session, python_node_session)


@pytest.fixture
def node_pair(request: pytest.FixtureRequest) -> Iterator[NodePair]:
    """Two nodes in memory under a virtual clock; no BEAM. Parametrized indirectly: the arguments of `NodePair`."""
    from pyerlnode.testing.pair import NodePair

    with NodePair(**getattr(request, "param", {})) as pair:
        yield pair


def __getattr__(name: str) -> Any:
    """What other modules of this package have, where it was once looked for."""
    if name in ("Cluster", "python_name"):
        from pyerlnode.testing import factories

        return getattr(factories, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
