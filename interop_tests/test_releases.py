"""OTP releases as the BEAM of a test, where no `erl` is on PATH: what `mix release` makes, and a plain one.

Both are made here, by the `mix` and `erl` of PATH, and used where PATH has neither: only what their own scripts call.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyerlnode import A
from pyerlnode.testing import docker, launch
from pyerlnode.testing.attach import AttachedBeam
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.docker import DockerLauncher
from pyerlnode.testing.epmd import ADDRESS, Epmd
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.factories import node_beside
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

ROOT = Path(__file__).parents[1]
PROGRAMS = (
    "sh", "sed", "cut", "readlink", "dirname", "basename", "cat", "tr", "grep", "mktemp", "rm", "mkdir", "uname", "env",
    "od", "dd", "awk", "date", "cp",
)  # fmt: skip
"""What the scripts of a release call."""

SHOP = {
    "mix.exs": """
defmodule Shop.MixProject do
  use Mix.Project
  def project, do: [app: :shop, version: "0.3.0", elixir: "~> 1.14"]
  def application, do: [extra_applications: [:logger], mod: {Shop, []}]
end
""",
    "lib/shop.ex": """
defmodule Shop do
  use Application
  def start(_, _), do: Supervisor.start_link([{Agent, fn -> 41 end}], strategy: :one_for_one)
  def colour, do: Application.fetch_env!(:shop, :colour)
end
""",
    "config/config.exs": "import Config\nconfig :shop, colour: :red\n",
    "config/runtime.exs": 'import Config\nconfig :shop, colour: String.to_atom(System.get_env("COLOUR", "green"))\n',
}
TILL = {
    "till.erl": """
-module(till).
-export([start/2, stop/1]).
start(_, _) -> {ok, spawn_link(fun() -> register(till, self()), receive stop -> ok end end)}.
stop(_) -> ok.
""",
    "till.app": """
{application, till, [{description, "a till"}, {vsn, "2.1.0"}, {modules, [till]}, {registered, [till]},
    {applications, [kernel, stdlib]}, {mod, {till, []}}]}.
""",
    "sys.config": "[{till, [{colour, blue}]}].",
}
TILL_FLAGS = """# its own
-name till@127.0.0.1
-setcookie of_its_own
+P 300000
-till taste '"sweet and sour"'
"""
MAKE_TILL = """
{ok, _} = compile:file("till.erl"),
V = fun(A) -> application:load(A), {ok, X} = application:get_key(A, vsn), X end,
Release = {release, {"till", "2.1.0"}, {erts, erlang:system_info(version)},
    [{till, "2.1.0"} | [{A, V(A)} || A <- [kernel, stdlib, sasl]]]},
ok = file:write_file("till.rel", io_lib:format("~p.~n", [Release])),
{ok, _, _} = systools:make_script("till", [silent]),
{ok, _, _} = systools:make_tar("till", [silent, {erts, code:root_dir()}]),
halt().
"""


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)


def do(*words: str, cwd: Path, **env: str) -> None:
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=patience(600)
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def _of_this_machine(beam_session: Beam) -> None:
    if beam_session.launcher.prefix or beam_session.launcher.path:
        pytest.skip("a release is made by the `mix` and `erl` of PATH, whatever --beam says")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `mix release` makes of a project with a configuration that is read when it starts."""
    directory = tmp_path_factory.mktemp("shop")
    write(directory, SHOP)
    do("mix", "release", "--quiet", cwd=directory, MIX_ENV="prod", MIX_HOME=str(directory / "home"))
    return directory / "_build" / "prod" / "rel" / "shop"


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `systools` makes: no Elixir and no compiler, and no script that starts it."""
    directory = tmp_path_factory.mktemp("till")
    write(directory, TILL)
    do("erl", "-noinput", "-eval", MAKE_TILL, cwd=directory)
    made = directory / "opt" / "till"
    with tarfile.open(directory / "till.tar.gz") as tar:
        tar.extractall(made, filter="fully_trusted") if sys.version_info >= (3, 12) else tar.extractall(made)
    (made / "releases" / "2.1.0" / "vm.args").write_text(TILL_FLAGS)
    return made


@pytest.fixture
def without_erl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PATH without Erlang and Elixir."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in PROGRAMS:
        (bare / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(bare))
    return bare


@pytest.fixture
def started() -> Iterator[list[Beam]]:
    """BEAMs, each with an EPMD of its own, that end with the test."""
    made: list[Beam] = []
    yield made
    for beam in made:
        beam.stop()
        beam.epmd.stop()


def start(made: list[Beam], directory: Path, **options: object) -> Beam:
    launcher = launch.from_prefix(str(directory))
    made.append(Beam(launcher, Epmd(launcher).start(), **options))  # type: ignore[arg-type]
    return made[-1].start()


def test_a_release_of_mix_starts_as_it_does_and_obeys(
    shop: Path, without_erl: Path, started: list[Beam], tmp_path: Path
) -> None:
    beam = start(started, shop, env={"COLOUR": "blue"}, cookie="of_the_test")
    assert (beam.otp, beam.elixir_version) == (beam.launcher.release(), beam.elixir("System.version()").decode())
    assert beam.eval("{node(), erlang:get_cookie()}") == (beam.node, A.of_the_test)
    assert beam.elixir("Shop.colour()") is A.blue, "config/runtime.exs was not read"
    assert A.shop in beam.eval("[App || {App, _, _} <- application:which_applications()]")
    (tmp_path / "double.ex").write_text("defmodule Double do\n  def of(n), do: 2 * n\nend\n")
    (tmp_path / "half.erl").write_text("-module(half). -export([halve/1]). halve(N) -> N div 2.")
    assert beam.load(tmp_path / "double.ex") == [A.Elixir.Double]
    assert beam.load(tmp_path / "half.erl") == [A.half]
    assert beam.elixir("Double.of(:half.halve(n))", n=42) == 42
    with node_beside(beam) as node:
        assert node.ping(beam.name)
        assert node.rpc(beam.name, "Elixir.Shop", "colour", []) is A.blue
    creation = beam.eval("erlang:system_info(creation)")
    assert beam.restart().eval("erlang:system_info(creation)") != creation
    pid = beam.os_pid
    beam.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert "stealing control" not in beam.logs, "it reads standard input itself, too"


def test_a_plain_release_without_a_compiler_starts_with_its_configuration_and_flags(
    till: Path, started: list[Beam], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "half.erl").write_text(
        '-module(half). -include("two.hrl"). -export([halve/1]). halve(N) -> N div ?TWO.'
    )
    (tmp_path / "two.hrl").write_text("-define(TWO, 2).")
    beam = start(started, till)
    assert beam.eval("{node(), lists:sort(application:get_all_env(till))}") == (
        beam.node,
        [(A.colour, A.blue), (A.taste, list(b"sweet and sour"))],
    )
    assert beam.eval("erlang:system_info(process_limit)") >= 300_000, "vm.args was not read"
    assert beam.eval("is_pid(whereis(till))") is True
    assert beam.eval("code:which(compile)") is A.non_existing
    assert beam.load(tmp_path / "half.erl") == [A.half]
    assert beam.rpc("half", "halve", 42) == 21
    request.getfixturevalue("without_erl")
    beam.restart()
    with pytest.raises(BeamUnavailable, match=r"has no compiler, and to load half\.erl there is no `erlc` on PATH"):
        beam.load(tmp_path / "half.erl")
    assert beam.eval("1 + 1") == 2


def test_a_release_that_runs_is_attached_to_without_erl(
    shop: Path, without_erl: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It was started by its own script, by somebody else."""
    launcher = launch.from_prefix(str(shop))
    epmd = Epmd(launcher).start()
    name, cookie = f"shop_{uuid.uuid4().hex[:8]}@{ADDRESS}", uuid.uuid4().hex
    program = launcher.start(
        [str(shop / "bin" / "shop"), "start"],
        {"RELEASE_NODE": name, "RELEASE_DISTRIBUTION": "name", "RELEASE_COOKIE": cookie,
         "ERL_EPMD_PORT": str(epmd.port), "ERL_EPMD_ADDRESS": ADDRESS},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    monkeypatch.setenv("PYERLNODE_BEAM_COOKIE", cookie)
    monkeypatch.setenv("ERL_EPMD_PORT", str(epmd.port))
    (tmp_path / "half.erl").write_text("-module(half). -export([halve/1]). halve(N) -> N div 2.")
    try:
        wait_for(lambda: name.partition("@")[0] in epmd.names(), what="the release to be registered")
        with AttachedBeam(name) as beam:
            assert beam.eval("{node(), X}", X=7) == (A[name], 7)
            assert beam.elixir("Shop.colour()") is A.green
            assert beam.load(tmp_path / "half.erl") == [A.half]
            assert beam.rpc("half", "halve", 42) == 21
            beam.begin_test()
            pid = beam.eval("spawn(fun() -> receive never -> ok end end)")
            beam.clean()
            assert beam.eval("is_process_alive(P)", P=pid) is False
            beam.end_test()
        assert program.running()
    finally:
        program.kill()
        epmd.stop()


def test_a_run_with_a_release_needs_no_erl(till: Path, without_erl: Path, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text("""
from pyerlnode import A
def test_it(beam, erl_node, beam_factory):
    assert erl_node.rpc(beam.name, "application", "get_env", [A.till, A.colour]) == (A.ok, A.blue)
    other = beam_factory(cookie=beam.cookie)
    assert other.eval("net_adm:ping(N)", N=beam.node) is A.pong
""")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "pyerlnode.testing.plugin", "-p", "no:cacheprovider",
         "--beam", str(till), "--beam-required"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=False, timeout=patience(),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"beam: {till}, OTP " in done.stdout


# --- in an image -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def image(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with a release and what it needs of this machine, and no `erl` on PATH."""
    if shutil.which("docker") is None or docker.docker("version"):
        pytest.skip("no Docker engine answers")
    context = tmp_path_factory.mktemp("image")
    shutil.copytree(shop, context / "opt" / "shop", symlinks=True)
    erts = [next(shop.glob(f"erts-*/bin/{name}")) for name in ("beam.smp", "epmd", "erlexec", "erl_child_setup")]
    programs = [Path(os.path.realpath(shutil.which(name) or name)) for name in PROGRAMS]
    for name, program in zip(PROGRAMS, programs, strict=True):
        place(context, Path("/bin") / name, program)
    for file in (*erts, *programs):
        for line in subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout.splitlines():
            for word in line.split():
                if word.startswith("/"):
                    place(context, Path(word), Path(os.path.realpath(word)))
    (context / "tmp").mkdir()
    (context / "Dockerfile").write_text(
        'FROM scratch\nCOPY . /\nENV PATH=/bin LANG=C.UTF-8\nENTRYPOINT ["/opt/shop/bin/shop", "start"]\n'
    )
    name = f"pyerlnode-release-{uuid.uuid4().hex[:8]}:latest"
    do("docker", "build", "--quiet", "--tag", name, ".", cwd=context)
    yield name
    docker.docker("rmi", "--force", name)


def place(root: Path, at: Path, file: Path) -> None:
    target = root / at.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(file, target)


def test_an_image_with_a_release_needs_no_erl_on_its_path(image: str, started: list[Beam], tmp_path: Path) -> None:
    launcher = DockerLauncher(image)
    beam = Beam(launcher, Epmd(launcher).start(), env={"COLOUR": "blue"})
    started.append(beam)
    beam.start()
    assert beam.elixir("Shop.colour()") is A.blue
    (tmp_path / "half.erl").write_text("-module(half). -export([halve/1]). halve(N) -> N div 2.")
    assert beam.load(tmp_path / "half.erl") == [A.half]
    with node_beside(beam) as node:
        assert node.rpc(beam.name, "half", "halve", [42]) == 21
        assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    beam.restart()
    assert beam.elixir("Shop.colour()") is A.blue
