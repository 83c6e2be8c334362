"""The plugin in runs of its own, with a BEAM: its fixtures, its report, and that a killed run leaves nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest

from pyerlnode import A, Node
from pyerlnode.testing import waiting
from pyerlnode.testing.attach import AttachedBeam
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.errors import BeamError
from pyerlnode.testing.patience import patience
from pyerlnode.testing.plugin import Cluster, python_name
from pyerlnode.testing.waiting import wait_for

ROOT = Path(__file__).parents[1]
INSTALLED = any(entry.name == "pyerlnode" for entry in metadata.entry_points(group="pytest11"))
LOAD = ["-p", "pyerlnode.testing.plugin"]
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # without what else is installed pytest starts twice as fast


class Run:
    """pytest in a process of its own, with the BEAM that this run uses."""

    def __init__(self, directory: Path, beam: Beam) -> None:
        self.directory = directory
        where = beam.launcher
        self.beam = where.label if where.prefix or where.path else where.kind
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(directory), **ALONE}
        self.load = LOAD

    def with_all_plugins(self) -> "Run":
        """That are installed, ours by its entry point when it is one of them."""
        del self.env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        self.load = ["-p", "no:randomly", *([] if INSTALLED else LOAD)]
        return self

    def start(self, source: str, *options: str, python: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        (self.directory / "test_it.py").write_text(source)
        (self.directory / "pytest.ini").write_text("[pytest]\n")
        words = [*python, "-m", "pytest"] if not python else [*python, "pytest"]
        return subprocess.Popen(
            [sys.executable, *words, *self.load, "-p", "no:cacheprovider", "-ra",
             "--beam", self.beam, "--beam-required", *options],
            cwd=self.directory, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __call__(self, source: str, *options: str, python: tuple[str, ...] = ()) -> tuple[int, str]:
        process = self.start(source, *options, python=python)
        output, _ = process.communicate(timeout=patience())
        return process.returncode, output.decode()


@pytest.fixture
def run(tmp_path: Path, beam_session: Beam) -> Run:
    return Run(tmp_path, beam_session)


def test_all_fixtures_work_in_a_users_test(run: Run) -> None:
    status, output = run("""
from pyerlnode import A, GenServer, Reply

class Echo(GenServer):
    def handle_call(self, request, from_):
        return Reply(request)

def test_beam(beam):
    assert beam.eval("1 + 1") == 2

def test_erl_node(beam, erl_node):
    erl_node.start(Echo, name="echo")
    assert beam.eval("gen_server:call({echo, N}, hello)", N=A[erl_node.name]) is A.hello

def test_cluster(cluster):
    made = cluster(beams=2, nodes=2)
    one, other = made.beams
    assert set(one.nodes()) == {other.name, *(node.name for node in made.nodes)}
    assert set(made.nodes[0].nodes()) == {one.name, other.name}

def test_factory(beam_factory, tmp_path):
    (tmp_path / "m.erl").write_text("-module(m). -export([f/0]). f() -> 42.")
    beam = beam_factory(files=[tmp_path / "m.erl"], env={"COLOUR": "red"}, args=["-kernel", "net_ticktime", "7"])
    assert beam.rpc("m", "f") == 42
    assert beam.eval('{os:getenv("COLOUR"), net_kernel:get_net_ticktime()}') == (list(b"red"), 7)

def test_the_next_one_is_clean(beam):
    assert beam.nodes() == []
""")
    assert "5 passed" in output, output
    assert status == 0


def test_what_a_fixture_of_the_session_has_made_is_left_to_it(run: Run) -> None:
    status, output = run("""
import pytest
from pyerlnode import Node
from pyerlnode.testing.plugin import python_name

@pytest.fixture(scope="session")
def server(beam_session):
    server = "fun L() -> receive {P, start} -> P ! spawn(fun() -> receive never -> ok end end), L() end end"
    return beam_session.eval(f"spawn({server})")

@pytest.fixture(scope="session")
def lasting(beam_session):
    with Node(python_name(), cookie=beam_session.cookie, epmd_port=beam_session.epmd_port) as node:
        node.connect(beam_session.name)
        pid = node.rpc(beam_session.name, "erlang", "spawn", [A.timer, A.sleep, [A.infinity]])
        yield node, pid

from pyerlnode import A
left = []

def alive(beam, pid):
    return beam.eval("is_process_alive(P)", P=pid)

@pytest.mark.parametrize("n", range(3))
def test_it(beam, server, lasting, n):
    left.append(beam.eval("spawn(fun() -> receive never -> ok end end)"))
    made = beam.eval("S ! {self(), start}, receive P -> P end", S=server)
    assert beam.clean() == 1
    assert [alive(beam, pid) for pid in (server, made, lasting[1], *left)] == [True] * 3 + [False] * len(left)
    assert beam.nodes() == [lasting[0].name]
    left.append(beam.eval("spawn(fun() -> receive never -> ok end end)"))

def test_the_end(beam, server):
    assert [alive(beam, pid) for pid in (server, *left)] == [True, *[False] * 6]
""")
    assert "4 passed" in output, output
    assert status == 0


def test_a_failed_test_shows_what_the_beam_said(run: Run) -> None:
    status, output = run("""
def test_quiet(beam):
    beam.eval('io:format("said by another test~n")')

def test_it(beam):
    beam.eval('io:format("these words~n")')
    assert False
""")
    assert status == 1
    assert "these words" in output.partition("Output of <Beam")[2]
    assert "said by another test" not in output


def test_a_failed_test_ends_with_its_own_line_and_tells_what_the_beam_says(run: Run) -> None:
    status, output = run("""
def test_eval(beam):
    beam.eval("1 / Zero", Zero=0)  # the line of eval

def test_wait(beam):
    beam.wait_until("almost", 0.01)  # the line of wait

def test_call(erl_node, beam):
    erl_node.call(("nobody", beam.name), "hello")  # the line of call

def test_rpc(erl_node, beam):
    erl_node.rpc(beam.name, "erlang", "error", [list(range(2500))])  # the line of rpc
""")
    assert status == 1
    parts = {part.split(" ")[0]: part for part in output.split("_ test_")[1:]}
    for name, part in parts.items():
        assert f"  # the line of {name}" in part.rpartition("\n>")[2].splitlines()[0], part
        assert "pyerlnode/" not in part, part
    assert "in operator  '/'/2" in parts["eval"]
    assert ", 2499]" in parts["rpc"]


def test_it_works_in_several_processes_at_once(run: Run) -> None:
    status, output = run.with_all_plugins()(
        """
import pytest
@pytest.mark.parametrize("n", range(8))
def test_it(beam, n):
    assert beam.eval("N", N=n) == n
""",
        "-n",
        "2",
    )
    assert "8 passed" in output, output
    assert status == 0


def test_it_works_under_a_patched_pytest(run: Run) -> None:
    status, output = run(
        """
import gevent.monkey, pytest
from pyerlnode import A, GenServer, Exit
def test_it(beam, erl_node):
    assert gevent.monkey.is_module_patched("socket")
    assert erl_node.ping(beam.name)
    assert beam.eval("1") == 1
class Careless(GenServer):
    def handle_call(self, request, from_):
        raise ValueError("it logs in its greenlet")
def test_a_greenlet_that_logged_is_no_leak(beam, erl_node):
    erl_node.start(Careless, name="careless")
    with pytest.raises(Exit):
        erl_node.call("careless", A.get)
""",
        "--beam-leaks",
        python=("-m", "gevent.monkey", "--module"),
    )
    assert "2 passed" in output, output
    assert status == 0


def test_what_a_test_leaves_behind_fails_it_when_that_is_wanted(run: Run) -> None:
    leaky = """
import socket, gevent
from pyerlnode import A, Node
from pyerlnode.testing import leaks
leaks.SETTLE_S = 1.0  # what is left here stays
left = []
def test_greenlet(beam):
    left.append(gevent.spawn(gevent.sleep, 36_000))
def test_socket(cluster):
    left.append(socket.socket())
def test_process_on_the_beam(beam, erl_node):
    erl_node.rpc(beam.name, "erlang", "spawn", [A.timer, A.sleep, [36_000_000]])
def test_tidy(beam, erl_node):
    erl_node.connect(beam.name)
def test_without_a_beam():
    left.append(socket.socket())
"""
    status, output = run(leaky, "--beam-leaks")
    assert "left behind by the test:\n" in output, output
    assert "greenlet <Greenlet" in output
    assert "socket:[" in output
    assert "the end of what Python nodes have started on the BEAM" in output
    assert "5 passed, 3 errors" in output
    assert status == 1
    status, output = run(leaky)
    assert "5 passed" in output, output
    assert status == 0


def test_a_marker_that_the_beam_does_not_meet_skips_with_the_reason(run: Run) -> None:
    status, output = run("""
import pytest
@pytest.mark.beam(otp=">=99")
def test_new(beam): pass
@pytest.mark.beam(otp=">=25")
def test_old(beam): pass
""")
    assert "needs OTP >=99, this BEAM is" in output
    assert "1 passed, 1 skipped" in output
    assert status == 0


# --- what is left of a run ---------------------------------------------------------------------------
def programs(directory: Path) -> dict[int, str]:
    """The programs on this machine that a run in `directory` has started: its TMPDIR is in their environment."""
    mark = f"TMPDIR={directory}\0".encode()
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid: command(pid) for pid in pids if mark in read(pid, "environ") and command(pid)}


def command(pid: int) -> str:
    """Its command line; empty for one that has ended and was not waited for."""
    return read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")[:60]


def read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""  # it has just ended


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "suspended"])
def test_a_run_that_is_killed_leaves_no_beam_and_no_epmd(run: Run, tmp_path: Path, stopped: bool) -> None:
    suspend = "other.suspend()" if stopped else ""
    process = run.start(f"""
def test_it(beam, beam_factory, tmp_path):
    other = beam_factory(own_epmd=True)
    {suspend}
    open({str(tmp_path / "ready")!r}, "w").close()
    beam.eval("receive never -> ok end", 60)
""")
    wait_for((tmp_path / "ready").exists, what="the run to be in its test")
    assert sum("beam" in line for line in programs(tmp_path).values()) >= 2
    assert sum("epmd" in line for line in programs(tmp_path).values()) >= 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not programs(tmp_path), what="the end of everything that it had started")


def test_a_run_that_ends_leaves_nothing(run: Run, tmp_path: Path) -> None:
    run("def test_it(beam, beam_factory):\n    beam_factory(own_epmd=True).kill9()\n")
    wait_for(lambda: not programs(tmp_path), what="the end of everything that it had started")


def test_a_beam_that_is_kept_runs_on_and_the_report_says_where(run: Run, tmp_path: Path) -> None:
    status, output = run("def test_it(beam):\n    pass\n", "--beam-keep")
    assert status == 0
    line = next(line for line in output.splitlines() if line.startswith("kept: "))
    assert "a shell there: HOME=" in line
    left = programs(tmp_path)
    assert int(line.partition("process ")[2].partition(";")[0]) in left
    assert any("epmd" in line for line in left.values())
    end(tmp_path)


def test_a_further_beam_is_kept_too_though_it_is_suspended_and_one_that_was_killed_is_not(
    run: Run, tmp_path: Path
) -> None:
    source = (
        "def test_it(beam_factory):\n    beam_factory().suspend()\n    beam_factory().kill9()\n    beam_factory()\n"
    )
    status, output = run(source, "--beam-keep")
    assert status == 0, output
    kept = [line for line in output.splitlines() if line.startswith("kept: ")]
    pids = [int(line.partition("process ")[2].partition(";")[0]) for line in kept]
    assert len(pids) == 2, output
    assert set(pids) <= set(programs(tmp_path))
    wait_for(lambda: all(state(pid) == "S" for pid in pids), what="both to go on, and to wait for what is to do")
    end(tmp_path)


def state(pid: int) -> str:
    """The kernel's letter: S sleeps, T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def end(directory: Path) -> None:
    """Kill what a run has kept, and what that was about to start."""

    def gone() -> bool:
        for pid in programs(directory):
            with suppress(ProcessLookupError):  # it was a program of one that has just been killed
                os.kill(pid, signal.SIGKILL)
        return not programs(directory)

    wait_for(gone, what="the end of what was kept")


OF_THE_SESSION = """
import pytest

@pytest.fixture(scope="session")
def of_the_session(beam_factory_session, cluster_session, erl_node_session, python_node_session):
    made = cluster_session(beams=1, nodes=1)
    return [beam_factory_session(), made[0]], [made.nodes[0], erl_node_session], [python_node_session()]
"""
SCOPES = """
import os
import pytest
from pyerlnode import A

@pytest.fixture(scope="module")
def of_the_module(beam_factory_module, cluster_module, erl_node_module, python_node_module):
    made = cluster_module(beams=1, nodes=1)
    return [beam_factory_module(), made[0]], [made.nodes[0], erl_node_module], [python_node_module()]

@pytest.mark.parametrize("turn", [1, 2])
def test_it(turn, beam, of_the_module, of_the_session):
    for scope, (beams, nodes, processes) in (("module", of_the_module), ("session", of_the_session)):
        with open(f"{scope}.txt", "a") as file:
            file.write(" ".join(str(one.os_pid) for one in (*beams, *processes)) + "\\n")
        assert [one.eval("1 + 1") for one in beams] == [2, 2]
        assert nodes[0].rpc(beams[1].name, "erlang", "node", []) is A[beams[1].name]  # still connected
        assert all(node.ping(beams[1].name) for node in nodes[:1]) and processes[0].nodes() == []
    if turn == 2 and "last" in __name__:  # those of the first module are gone, those of the session are not
        first = open("module.txt").read().split("\\n")[0].split()
        assert not [pid for pid in first if os.path.exists(f"/proc/{pid}")]
"""


def test_what_is_of_a_module_ends_with_it_and_what_is_of_the_session_with_that(run: Run, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(OF_THE_SESSION)
    (tmp_path / "test_last.py").write_text(SCOPES)
    status, output = run(SCOPES, "--beam-leaks", "--import-mode=importlib")
    assert (status, "4 passed" in output) == (0, True), output
    of = {scope: (tmp_path / f"{scope}.txt").read_text().splitlines() for scope in ("module", "session")}
    assert [len(set(of[scope])) for scope in ("module", "session")] == [2, 1]
    assert of["module"][0] == of["module"][1]
    wait_for(lambda: not programs(tmp_path), what="the end of everything that it had started")


# --- a BEAM of somebody else ---------------------------------------------------------------------------
@pytest.fixture
def attached(beam: Beam, monkeypatch: pytest.MonkeyPatch) -> Iterator[AttachedBeam]:
    monkeypatch.setenv("PYERLNODE_BEAM_COOKIE", beam.cookie)
    monkeypatch.setenv("ERL_EPMD_PORT", str(beam.epmd_port))
    with AttachedBeam(beam.name) as found:
        yield found


@pytest.mark.parametrize("keep", [False, True])
def test_a_beam_that_was_there_has_further_ones_beside_it_and_is_not_ended_nor_kept(
    run: Run, beam: Beam, tmp_path: Path, keep: bool
) -> None:
    if beam.launcher.prefix or beam.launcher.path:
        pytest.skip("the further BEAM is the `erl` of PATH, another release than this one")
    run.beam = beam.name
    run.env |= {"PYERLNODE_BEAM_COOKIE": beam.cookie, "ERL_EPMD_PORT": str(beam.epmd_port)}
    source = """
from pyerlnode import A
def test_it(beam, beam_factory):
    other = beam_factory(cookie=beam.cookie)
    assert other.eval("net_adm:ping(N)", N=beam.node) is A.pong
    assert beam.eval("net_adm:ping(N)", N=other.node) is A.pong
    print(other.name)
"""
    status, output = run(source, *(["--beam-keep"] if keep else []))
    assert (status, "1 passed" in output) == (0, True), output
    kept = [line for line in output.splitlines() if line.startswith("kept: ")]
    assert len(kept) == keep, output
    assert not [line for line in kept if f"<Beam {beam.name}" in line]
    assert beam.eval("1") == 1
    end(tmp_path)


def test_a_service_of_a_ci_is_reached_by_its_address_and_cookie_without_erl_and_epmd(
    run: Run, beam: Beam, tmp_path: Path
) -> None:
    """As a container whose port is mapped: no EPMD here knows of it."""
    port = beam.epmd.names()[beam.name.partition("@")[0]]
    (tmp_path / "empty").mkdir()
    run.env |= {"PYERLNODE_BEAM_COOKIE": beam.cookie, "PYERLNODE_BEAM_ADDRESS": f"127.0.0.1:{port}"}
    run.env |= {"ERL_EPMD_PORT": str(free_port()), "PATH": str(tmp_path / "empty")}
    run.beam = beam.name
    source = """
from pyerlnode import A
def test_it(beam, erl_node):
    assert beam.eval("net_adm:ping(N)", N=A[erl_node.name]) is A.pong
    assert erl_node.rpc(beam.name, "erlang", "node", []) is beam.node
def test_process(beam, python_node):
    ours = python_node()
    ours.connect(beam.name)
    assert beam.eval("net_adm:ping(N)", N=ours.node) is A.pong
def test_more(beam_factory):
    beam_factory()
"""
    status, output = run(source, "--beam-leaks")
    assert "2 passed" in output, output
    assert "runs already, but for a BEAM beside it there is no `erl` on PATH" in output
    assert status == 1


def test_a_beam_that_was_there_obeys_and_is_left_as_it_was(
    beam: Beam, attached: AttachedBeam, beam_factory: Callable[..., Beam]
) -> None:
    other = beam_factory(cookie=beam.cookie)
    assert beam.eval("net_adm:ping(N)", N=other.node) is A.pong
    assert attached.eval("{node(), X}", X=7) == (beam.node, 7)
    assert attached.text("#{1 => a, 1.0 => b}") == "#{1 => a,1.0 => b}"
    assert (attached.otp, attached.name) == (beam.otp, beam.name)
    pid = attached.eval("spawn(fun() -> receive never -> ok end end)")
    kept = beam.eval("spawn(fun() -> receive never -> ok end end)")
    assert attached.clean() >= 1
    assert beam.eval("[is_process_alive(P) || P <- Ps]", Ps=[pid, kept]) == [False, True]
    assert other.name in beam.nodes()
    with pytest.raises(ValueError, match="start one of your own with beam_factory"):
        attached.kill9()
    with pytest.raises(BeamError, match="called as 1 / 0") as caught:
        attached.eval("1 / 0")
    assert (caught.value.kind, caught.value.reason) == ("error", A.badarith)
    waiting.pause(0)


# --- TLS -----------------------------------------------------------------------------------------------
@pytest.mark.beam(tls=True)
def test_beams_with_tls_reach_each_other_and_a_python_node(beam_factory: Callable[..., Beam]) -> None:
    """With `--beam docker`, and with a root file system to `chroot` into, too: nothing of this machine is there."""
    one = beam_factory(tls=True)
    other = beam_factory(tls=True, cookie=one.cookie)
    assert one.eval("net_adm:ping(N)", N=other.node) is A.pong
    assert one.tls is not None
    with Node(python_name(), cookie=one.cookie, epmd="external", epmd_port=one.epmd_port, tls=one.tls) as node:
        assert node.ping(other.name)
        assert other.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    one.restart()
    assert one.eval("net_adm:ping(N)", N=other.node) is A.pong


@pytest.mark.beam(tls=True)
def test_a_cluster_with_tls_is_connected(cluster: Callable[..., Cluster]) -> None:
    made = cluster(beams=2, nodes=2, tls=True)
    for node in made.nodes:
        assert set(node.nodes()) == {beam.name for beam in made.beams}


@pytest.mark.beam(tls=True)
def test_the_key_of_a_beam_with_tls_is_in_no_file_where_the_beam_is(beam_factory: Callable[..., Beam]) -> None:
    beam = beam_factory(tls=True)
    optfile = beam.eval("{ok, [[File]]} = init:get_argument(ssl_dist_optfile), File")
    assert beam.eval("filelib:is_file(File)", File=optfile) is False
    assert beam.eval('os:getenv("PYERLNODE_TLS")') is False


def test_a_run_that_is_killed_leaves_no_key(run: Run, tmp_path: Path) -> None:
    process = run.start(f"""
import os, signal
def test_it(beam_factory):
    beam_factory(tls=True)
    open({str(tmp_path / "ready")!r}, "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
""")
    process.communicate(timeout=patience())
    assert (tmp_path / "ready").exists()
    wait_for(lambda: not [*tmp_path.glob("**/*.key")], what="the end of the private keys")


# --- the shared BEAM as a project wants it ------------------------------------------------------------------
MIX = {
    "mix.exs": """
defmodule Shop.MixProject do
  use Mix.Project
  def project, do: [app: :shop, version: "0.1.0", deps: [], elixirc_paths: ["lib" | support(Mix.env())]]
  def application, do: [mod: {Shop, []}, extra_applications: [:logger]]
  defp support(:test), do: ["test/support"]
  defp support(_), do: []
end
""",
    "config/config.exs": 'import Config\nconfig :shop, currency: "EUR"\nconfig :logger, level: :warning\n',
    "lib/shop.ex": """
defmodule Shop do
  use Application
  def start(_, _), do: Supervisor.start_link([{Agent, fn -> 41 end}] |> Enum.map(&spec/1), strategy: :one_for_one)
  def price, do: {Agent.get(Shop.Price, & &1), Application.fetch_env!(:shop, :currency)}
  defp spec({Agent, fun}), do: %{id: :price, start: {Agent, :start_link, [fun, [name: Shop.Price]]}}
end
""",
    "test/support/help.ex": "defmodule Help do\n  def three, do: 3\nend\n",
    "test/test_helper.exs": "ExUnit.start(exclude: [:slow])\n",
    "test/deep/price_test.exs": """
defmodule PriceTest do
  use ExUnit.Case
  test "the application runs", do: assert(Shop.price() == {41, "EUR"})
  test "what is for tests is there", do: assert(Help.three() == 3)
  test "a node in Python is beside it" do
    assert Node.ping(String.to_atom(System.get_env("TEST_NODE"))) == :pong
  end
  @tag :slow
  test "is left out by the helper", do: flunk("slow")
end
""",
    "test/deep/price.exs": 'raise "no test"\n',
}


@pytest.mark.beam(elixir=True)
def test_a_mix_project_runs_on_the_shared_beam_and_its_tests_are_tests_of_the_run(run: Run, tmp_path: Path) -> None:
    if run.beam != "local":
        pytest.skip("the project is where this BEAM can not see it")
    for name, text in MIX.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    run.env["HOME"] = str(tmp_path)  # where Mix keeps its own
    status, output = run(
        """
def test_ours(beam):
    assert beam.elixir("Shop.price()") == (41, b"EUR")
    assert beam.elixir("Mix.env()").name == "test"
    beam.kill9()

def test_after_a_restart(beam):
    assert beam.elixir("Shop.price()") == (41, b"EUR")
""",
        "--beam-mix",
        "shop",
    )
    assert "5 passed, 1 skipped" in output, output
    assert "due to slow filter" in output, output
    assert status == 0


def test_the_shared_beam_has_the_arguments_paths_applications_and_cookie_of_the_project(
    run: Run, tmp_path: Path
) -> None:
    if run.beam != "local":
        pytest.skip("the code is where this BEAM can not see it")
    ebin = tmp_path / "build" / "lib" / "mine" / "ebin"
    ebin.mkdir(parents=True)
    (tmp_path / "mine.erl").write_text("-module(mine).\n-export([value/0]).\nvalue() -> 42.\n")
    subprocess.run(["erlc", "-o", str(ebin), str(tmp_path / "mine.erl")], check=True, timeout=patience())
    run.env |= {"PYERLNODE_BEAM_APPS": "crypto", "PYERLNODE_BEAM_COOKIE": "of_the_project"}
    status, output = run(
        """
def test_it(beam, beam_factory):
    assert beam.cookie == "of_the_project"
    assert beam.rpc("mine", "value") == 42
    assert beam.eval('{os:getenv("COLOUR"), os:getenv("A_SIZE"), net_kernel:get_net_ticktime()}') == (
        list(b"light red"), list(b"3"), 7)
    assert beam.eval("lists:keymember(crypto, 1, application:which_applications())") is True
    assert beam_factory().rpc("mine", "value") == 42
""",
        *("--beam-args=-kernel net_ticktime 7", "--beam-pa", "build/lib/*/ebin"),
        *("--beam-env", "'COLOUR=light red' A_SIZE=3"),
    )
    assert (status, "1 passed" in output) == (0, True), output
