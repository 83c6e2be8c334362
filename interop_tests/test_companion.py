"""The companion's own tests (`beam/pyerlnode`), run by Mix without a network; its Erlang twin, asked the same."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.launch import local
from pyerlnode.testing.plugin import python_name
from pyerlnode.testing.waiting import wait_for

ROOT = Path(__file__).parents[1]
COMPANION = ROOT / "beam" / "pyerlnode"


def sees_python(beam: Beam) -> bool:
    """Whether the programs of this installation can start this interpreter; in a container they can not."""
    seen: bool = beam.eval(
        "filelib:is_regular(P) andalso filelib:is_dir(D)", P=sys.executable.encode(), D=str(ROOT).encode()
    )
    return seen


@pytest.mark.beam(elixir=True)
def test_the_companions_exunit_tests_pass(beam: Beam, tmp_path: Path) -> None:
    mix = [*beam.launcher.prefix, "mix"] if sees_python(beam) else [shutil.which("mix")]
    if mix[0] is None:  # an image with Elixir's libraries alone: its sources at least compile there
        assert beam.load(COMPANION / "lib" / "pyerlnode.ex")
        return
    copy = tmp_path / "pyerlnode"
    shutil.copytree(COMPANION, copy, ignore=shutil.ignore_patterns("_build", "deps"))
    env = {
        **beam.launcher.environment({}),
        "ERL_EPMD_PORT": str(beam.epmd_port),
        "MIX_ENV": "test",
        "MIX_HOME": str(tmp_path / "mix"),
        "PYERLNODE_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }
    output = tmp_path / "output"
    with output.open("wb") as file:
        ran = subprocess.Popen([*mix, "test"], cwd=copy, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        wait_for(lambda: ran.poll() is not None, what="the end of mix test")
    assert ran.returncode == 0, output.read_text()


# --- the Erlang twin -----------------------------------------------------------------------------
PROGRAM = str(COMPANION / "test" / "programs" / "calc.py")
Ask = Callable[..., Any]


@pytest.fixture
def beside(beam: Beam) -> Iterator[Beam]:
    """A BEAM that can start this interpreter: the one under test, or this machine's own."""
    if sees_python(beam):
        yield beam
    else:
        with Beam(local(), beam.epmd) as own:
            yield own


@pytest.fixture
def ask(beside: Beam) -> Ask:
    """Evaluates Erlang with `Node` bound to a free name, `Port` to the options of its program, and some functions."""
    beam = beside
    beam.load(ROOT / "beam" / "pyerlnode.erl")
    options = {
        A.node: A[python_name()],
        A.python: text(sys.executable),
        A.args: [text(PROGRAM)],
        A.env: [(text("PYTHONPATH"), text(str(ROOT))), (text("ERL_EPMD_PORT"), text(str(beam.epmd_port)))],
        A.wait_for: A.ready,
    }
    common = """
        process_flag(trap_exit, true),
        Quiet = Port#{output => fun(_) -> ok end}, #{node := Node} = Port,
        Lives = fun(Os) -> os:cmd("kill -0 " ++ integer_to_list(Os)) =:= "" end,
        Kill = fun(Os) -> os:cmd("kill -KILL " ++ integer_to_list(Os)) end,
        Eventually = fun Again(F) -> case F() of true -> true; _ -> receive after 10 -> Again(F) end end end,
        Tree = fun(Children) ->
            Flags = #{strategy => rest_for_one, intensity => 5},
            {ok, Sup} = supervisor:start_link(pyerlnode_tree, {Flags, Children}), Sup
        end,
        Child = fun(Sup, Id) -> element(2, lists:keyfind(Id, 1, supervisor:which_children(Sup))) end,
    """
    beam.load(ROOT / "interop_tests" / "beam_src" / "pyerlnode_tree.erl")
    return lambda source: beam.eval(common + source, Port=options)


def text(value: str) -> list[int]:
    """An Erlang string."""
    return [ord(letter) for letter in value]


def test_the_twins_port_starts_the_node_hands_arguments_on_and_stops_it_with_its_supervisor(ask: Ask) -> None:
    assert ask(
        """
        Sup = Tree([pyerlnode:port_child_spec(Quiet#{args := maps:get(args, Port) ++ [<<"a">>, "b"]})]),
        Os = pyerlnode:os_pid(Child(Sup, {pyerlnode, Node})),
        Args = pyerlnode:call(Node, calc, argv, []),
        gen_server:stop(Sup, shutdown, 10000),
        {Args, Lives(Os)}.
        """
    ) == ([b"a", b"b"], False)


def test_a_python_server_is_a_child_beside_the_twins_port_and_both_are_restarted(ask: Ask) -> None:
    assert ask(
        """
        Server = pyerlnode:child_spec(#{module => 'Elixir.Calc', args => [41], node => Node, on_down => wait}),
        Sup = Tree([pyerlnode:port_child_spec(Quiet), Server]),
        Old = Child(Sup, 'Elixir.Calc'),
        Before = gen_server:call(Old, get),
        exit(Old, kill),
        Eventually(fun() -> is_pid(Child(Sup, 'Elixir.Calc')) andalso Child(Sup, 'Elixir.Calc') =/= Old end),
        OldPort = Child(Sup, {pyerlnode, Node}), Ref = monitor(process, OldPort),
        Kill(pyerlnode:os_pid(OldPort)),
        receive {'DOWN', Ref, _, _, Why} -> ok end,
        Eventually(fun() -> (catch gen_server:call(Child(Sup, 'Elixir.Calc'), get)) =:= 41 end),
        Os = pyerlnode:os_pid(Child(Sup, {pyerlnode, Node})),
        gen_server:stop(Sup, shutdown, 10000),
        {Before, lists:member(Why, [{exit_status, 137}, {nodedown, Node}]), Lives(Os)}.
        """
    ) == (41, True, False)


def test_the_twins_port_that_is_killed_or_hears_nothing_leaves_no_os_process(ask: Ask) -> None:
    assert ask(
        """
        {ok, One} = pyerlnode:port_start_link(Quiet),
        Killed = pyerlnode:os_pid(One),
        exit(One, kill), receive {'EXIT', One, killed} -> ok end,
        Gone = Eventually(fun() -> not Lives(Killed) end),
        {ok, Other} = pyerlnode:port_start_link(Quiet#{heartbeat => 200}),
        Hangs = pyerlnode:os_pid(Other),
        erpc:cast(Node, calc, hang, []),
        receive {'EXIT', Other, Why} -> ok end,
        {Gone, Why, Eventually(fun() -> not Lives(Hangs) end)}.
        """
    ) == (True, A.hung, True)


def test_the_twins_port_says_why_a_program_did_not_start(ask: Ask) -> None:
    no_python = text("/no/python")
    assert ask(
        """
        {error, One} = pyerlnode:port_start_link(Quiet#{args := maps:get(args, Port) ++ ["exit"]}),
        {error, Other} = pyerlnode:port_start_link(Quiet#{python := "/no/python"}),
        {One, Other}.
        """
    ) == ((A.exit_status, 3), (A.enoent, no_python))


def test_the_twin_waits_for_a_name_however_slow_the_node_is_with_saying_that_it_is_not_there(ask: Ask) -> None:
    late = text(PROGRAM.replace("calc", "late"))
    assert ask(
        f"""
        Late = Quiet#{{args := [{late}, "15"]}},
        {{ok, Owner}} = pyerlnode:port_start_link(Late),
        Answer = gen_server:call({{ready, Node}}, ask),
        gen_server:stop(Owner, normal, 10000),
        {{Answer, pyerlnode:port_start_link(Late#{{args := [{late}, "1000000"], boot_time => 1500}})}}.
        """
    ) == (A.ready, (A.error, A.timeout))


def test_the_twin_gives_up_waits_or_goes_elsewhere_when_a_node_is_not_there(ask: Ask) -> None:
    gone = (A.error, (A.nodedown, A["nobody@127.0.0.1"]))
    assert ask(
        """
        Gone = 'nobody@127.0.0.1', Calc = #{module => 'Elixir.Calc'},
        One = pyerlnode:start_link(Calc#{node => Gone}),
        Two = pyerlnode:start_link(Calc#{node => Gone, on_down => wait, wait_time => 60}),
        {ok, Owner} = pyerlnode:port_start_link(Quiet),
        {ok, Pid} = pyerlnode:start_link(Calc#{nodes => [Gone, Node], on_down => other_node}),
        {links, Links} = process_info(self(), links),
        Here = node(Pid) =:= Node andalso lists:member(Pid, Links),
        gen_server:stop(Owner, normal, 10000),
        {One, Two, Here}.
        """
    ) == (gone, gone, True)


def test_python_exceptions_read_as_such_in_erlang(ask: Ask) -> None:
    reason, found, written = ask(
        """
        {ok, Owner} = pyerlnode:port_start_link(Quiet),
        {Reason, Frames} = try pyerlnode:call(Node, calc, divide, [1, 0]) catch error:R:S -> {R, S} end,
        [{'__main__', divide, 2, _} | _] = [F || F <- Frames, element(2, F) =:= divide],
        Ref = monitor(process, {ready, Node}),
        catch gen_server:call({ready, Node}, crash),
        receive {'DOWN', Ref, _, _, Why} -> ok end,
        gen_server:stop(Owner, normal, 10000),
        Error = pyerlnode:python_error(Why),
        {Reason, {maps:get(type, Error), pyerlnode:python_error(other)}, pyerlnode:format_error(Error)}.
        """
    )
    assert reason == (A.python_error, b"ZeroDivisionError", b"division by zero")
    assert found == (b"ValueError", A.undefined)
    assert written.startswith(b"ValueError: as asked\n    ")
    assert b"calc.py:" in written
