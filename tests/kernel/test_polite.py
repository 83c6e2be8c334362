"""What libraries of the BEAM ask every node: answered in the forms of `erlang` and Elixir."""

import pytest
from each import each

from pyerlnode.errors import Error
from pyerlnode.kernel.inspection import Inspection
from pyerlnode.kernel.polite import Polite, which_applications
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom

EXPORTS = [
    ("erlang", "memory", 0), ("erlang", "memory", 1), ("erlang", "statistics", 1), ("erlang", "monotonic_time", 0),
    ("erlang", "monotonic_time", 1), ("erlang", "system_time", 0), ("erlang", "nodes", 0), ("erlang", "registered", 0),
    ("erlang", "node", 0), ("application", "which_applications", 0), ("Elixir.Node", "self", 0),
    ("Elixir.Node", "list", 0), ("Elixir.Node", "list", 1), ("Elixir.Process", "alive?", 1),
    ("Elixir.Process", "info", 1), ("Elixir.Process", "info", 2),
]  # fmt: skip


@pytest.fixture
def polite():
    system = System("py@127.0.0.1", 1)
    return Polite(Inspection(system, lambda kinds: [system.node] if "this" in kinds else []))


@each(EXPORTS)
def test_it_is_there_unless_the_program_has_its_own(case):
    module, name, arity = case
    system = System("py@127.0.0.1", 1)
    exports, inspection = Exports(), Inspection(system, lambda _: [])
    own = exports.add(Atom("erlang"), lambda: 7, "memory")
    del own
    inspection.install(exports)
    Polite(inspection).install(exports)
    assert exports.find(Atom(module), Atom(name), arity) is not None


def test_memory_is_told_as_a_list_a_number_and_some(polite):
    told = dict(polite.memory())
    assert told[A.total] > 1_000_000
    assert {kind.name for kind in told} >= {"total", "processes", "system", "atom", "binary", "code", "ets"}
    assert polite.memory(A.total) > 1_000_000
    assert [kind for kind, _ in polite.memory([A.ets, A.total])] == [A.ets, A.total]


@each([A.nothing, [A.nothing], 1, [[]]])
def test_memory_of_what_there_is_not_is_badarg(kind):
    with pytest.raises(Error):
        Polite(Inspection(System("py@127.0.0.1", 1), lambda _: [])).memory(kind)


def test_statistics_have_erlangs_forms(polite):
    for item in (A.wall_clock, A.runtime):
        total, since = polite.statistics(item)
        assert 0 <= since <= total
        again, later = polite.statistics(item)
        assert again == total + later
    assert polite.statistics(A.run_queue) == 0
    assert len(polite.statistics(A.garbage_collection)) == 3
    with pytest.raises(Error):
        polite.statistics(A.nothing)


def test_a_process_that_is_not_alive_is_nil_in_elixir(polite):
    system = polite.inspection.system
    pid = system.spawn(lambda: None)
    system.exit(pid, A.kill)
    assert polite.process_info(pid) is None
    with pytest.raises(Error):
        polite.process_info(1)


def test_applications_are_this_library():
    [(name, description, version)] = which_applications()
    assert name is A.pyerlnode
    assert bytes(version).decode()[0].isdigit()
    assert bytes(description).decode()
