"""What makes more than one BEAM or node: clusters, nodes in their own processes, and all of it with a wider scope."""

from pathlib import Path

import pytest

from pyerlnode import A, GenServer, Node, Reply
from pyerlnode.testing import Beam, BeamDown, BeamFactory, ClusterFactory, PythonNodeError, PythonNodes
from pyerlnode.testing.waiting import wait_for


class Counter(GenServer):
    def init(self, start: int) -> None:
        self.value = start

    def handle_call(self, request: object, from_: object) -> Reply:
        self.value += 1
        return Reply(self.value)


def serve(node: Node, start: int) -> None:
    print("the counter starts")
    node.start(Counter, start, name="counter")


def fail(node: Node) -> None:
    raise KeyError("what is missing")


def names(node: Node, prefix: str) -> list[str]:
    return [prefix + name for name in node.nodes()]


CALL = "gen_server:call({counter, N}, next, 60000)"


# --- a node in a process of its own -----------------------------------------------------------------------
def test_a_node_of_its_own_process_serves_dies_and_comes_back(beam: Beam, python_node: PythonNodes) -> None:
    ours = python_node(serve, 41)
    assert beam.eval(CALL, N=ours.node) == 42
    assert ours.run(names, "a ") == [f"a {beam.name}"]
    beam.eval("register(watcher, spawn(fun() -> monitor(process, {counter, N}), receive {'DOWN', _, _, _, Why} -> "
              "receive {why, P} -> P ! {why, Why} end end end))", N=ours.node)  # fmt: skip
    beam.wait_until("process_info(whereis(watcher), monitors) =:= {monitors, [{process, {counter, N}}]}", N=ours.node)
    ours.kill9()
    assert beam.eval("watcher ! {why, self()}, receive {why, Why} -> Why end") is A.noconnection
    with pytest.raises(BeamDown, match="SIGKILL"):
        ours.run(names, "")
    ours.restart()
    assert beam.eval(CALL, N=ours.node) == 42, "another life"


def test_what_it_prints_is_kept_and_what_fails_there_is_told(python_node: PythonNodes) -> None:
    ours = python_node(serve, 1)
    wait_for(lambda: "the counter starts" in ours.logs, what="its output")
    with pytest.raises(PythonNodeError, match=r"(?s)in fail.*KeyError: 'what is missing'"):
        ours.run(fail)
    with pytest.raises(ValueError, match="give a function of a file's top"):
        ours.run(lambda node: None)


def test_it_ends_in_order_when_it_is_told_to(beam: Beam, python_node: PythonNodes) -> None:
    ours = python_node()
    assert ours.ping(beam.name)
    ours.terminate()
    assert ours.wait() == "exited with status 0"
    beam.wait_until("nodes(connected) =:= []")


def test_a_node_that_hangs_is_silent_and_answers_when_it_goes_on(beam: Beam, python_node: PythonNodes) -> None:
    ours = python_node(serve, 0)
    ours.connect(beam.name)
    ours.suspend()
    assert beam.eval("catch gen_server:call({counter, N}, next, 50), ok", N=ours.node) is A.ok
    ours.resume()
    assert beam.eval(CALL, N=ours.node) == 2


# --- clusters -----------------------------------------------------------------------------------------------
def test_a_cluster_of_a_number_of_beams_is_a_mesh(cluster: ClusterFactory) -> None:
    made = cluster(3, nodes=1, processes=1)
    everybody = {beam.name for beam in made.beams} | {made.nodes[0].name, made.processes[0].name}
    for beam in made.beams:
        assert {beam.name, *beam.nodes()} == everybody
    gone = made[2]
    made.stop(gone)
    for beam in made.beams:
        beam.wait_until("not lists:member(N, nodes(connected))", N=gone.node)
    assert len(made.beams) == 2


def test_several_boot_side_by_side(beam_factory: BeamFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for before all of them have been started."""
    order: list[str] = []
    for name in ("boot", "ready"):
        plain = getattr(Beam, name)
        monkeypatch.setattr(Beam, name, lambda beam, name=name, plain=plain: (order.append(name), plain(beam))[1])
    two = beam_factory.several(2)
    assert order[:2] == ["boot", "boot"]
    assert all(beam.eval("node()") is beam.node for beam in two)


# --- wider scopes ----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def echo(beam_factory_module: BeamFactory, tmp_path_factory: pytest.TempPathFactory) -> Beam:
    path = tmp_path_factory.mktemp("files") / "echo.erl"
    path.write_text("-module(echo).\n-export([same/1]).\nsame(X) -> X.\n")
    return beam_factory_module(files=[path])


@pytest.fixture(scope="module")
def counted(erl_node_module: Node) -> Node:
    serve(erl_node_module, 0)
    return erl_node_module


@pytest.mark.parametrize("turn", [1, 2])
def test_what_a_module_has_made_lasts_from_test_to_test(
    echo: Beam, beam: Beam, counted: Node, python_node_module: PythonNodes, seen: list[int], turn: int
) -> None:
    assert echo.rpc("echo", "same", turn) == turn
    seen.append(beam.eval(CALL, N=A[counted.name]))
    assert seen == [*range(1, len(seen) + 1)]
    beam.eval("spawn(fun() -> receive never -> ok end end)")
    assert echo.running()


@pytest.fixture(scope="module")
def seen() -> list[int]:
    return []


# --- how a BEAM is between tests -----------------------------------------------------------------------------------
CHANGE = """
application:set_env(kernel, of_the_test, 1), application:set_env(kernel, kept, changed),
application:unset_env(kernel, gone),
persistent_term:put(of_the_test, 1), persistent_term:put({kept, 1}, changed), persistent_term:erase(gone),
logger:set_primary_config(level, emergency), logger:set_module_level(lists, debug), logger:unset_module_level(maps),
logger:set_handler_config(default, level, emergency),
logger:add_handler(of_the_test, logger_std_h, #{level => none}), ok
"""
STATE = """
{[application:get_env(kernel, K) || K <- [of_the_test, kept, gone]],
 [persistent_term:get(K, none) || K <- [of_the_test, {kept, 1}, gone]],
 maps:get(level, logger:get_primary_config()), logger:get_module_level(),
 [{maps:get(id, H), maps:get(level, H)} || H <- logger:get_handler_config()]}
"""


def test_a_test_leaves_environment_terms_and_levels_as_it_found_them(beam_factory: BeamFactory) -> None:
    beam = beam_factory()
    beam.eval("application:set_env(kernel, kept, 1), application:set_env(kernel, gone, 2)")
    beam.eval("persistent_term:put({kept, 1}, #{}), persistent_term:put(gone, 1), logger:set_module_level(maps, error)")
    before = beam.text(STATE)
    beam.begin_test()
    assert beam.eval(CHANGE) is A.ok
    assert beam.text(STATE) != before
    beam.clean()
    beam.end_test()
    assert beam.text(STATE) == before


def test_what_an_application_has_put_that_a_test_has_started_stays(beam_factory: BeamFactory) -> None:
    beam = beam_factory()
    beam.begin_test()
    beam.eval("{ok, _} = application:ensure_all_started(crypto), persistent_term:put(put_by_it, 1)")
    beam.clean()
    beam.end_test()
    assert beam.eval("persistent_term:get(put_by_it)") == 1


def test_no_test_leaves_a_process_of_the_kit(beam_factory: BeamFactory) -> None:
    beam = beam_factory()

    def turn() -> int:
        beam.begin_test()
        beam.eval("spawn(fun() -> receive never -> ok end end)")
        beam.clean()
        beam.end_test()
        return int(beam.eval("length(processes())"))

    first = turn()
    assert [turn() for _ in range(5)] == [first] * 5


def test_the_file_of_a_user_is_not_read(beam_factory: BeamFactory, tmp_path: Path) -> None:
    (tmp_path / ".erlang").write_text('io:format("from the file of a user~n"), erlang:halt(3).\n')
    beam = beam_factory(env={"HOME": str(tmp_path)})
    assert beam.eval('filelib:is_file(filename:join(os:getenv("HOME"), ".erlang"))') is True
    assert "from the file of a user" not in beam.logs
