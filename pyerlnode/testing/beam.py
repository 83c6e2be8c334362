"""`Beam`: a real Erlang node in the hands of a test.

    beam.eval("lists:sum([1, 2, X])", X=39)            # 42
    beam.elixir("GenServer.call({:counter, node}, :get)", node=A["py@127.0.0.1"])
    pid = beam.eval("spawn(fun() -> receive stop -> ok end end)")
    beam.kill9()

It is started without a shell, under a name of its own and at an EPMD of its own, and it obeys over
standard input and output (`channel`, `agent.erl`), so nothing of the protocol under test is needed to
drive it. Its own output goes to `logs`. It ends when this process ends: its standard input is a pipe.

Every `eval` runs in a process of its own: what it registers or monitors in its own name ends with it,
and what it spawns lives on until `clean`. While it waits, the greenlets of this thread run (`waiting`).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyerlnode.term.atom import A, Atom
from pyerlnode.testing import waiting
from pyerlnode.testing.channel import Channel
from pyerlnode.testing.epmd import ADDRESS, Epmd
from pyerlnode.testing.errors import BeamDown, BeamError, BeamTimeout, BeamUnavailable
from pyerlnode.testing.launch import Launcher, Program
from pyerlnode.testing.patience import QUIET_S, patience
from pyerlnode.testing.printed import Printed
from pyerlnode.testing.reaper import REAPER
from pyerlnode.testing.release import START_RELEASE, environment_for
from pyerlnode.testing.tls import Tls

SLEEPS = ("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none")
"""A BEAM that waits awake takes the cores that the tests and other BEAMs need."""
BOOT_S = QUIET_S
"""What a boot may take on a crowded machine; it takes 0.2 s."""
ANSWER_S = QUIET_S
COMPILE_S = 10 * QUIET_S
"""What a Mix project and its dependencies may take to be compiled."""

AGENT = Path(__file__).with_name("agent.erl")
COMPILED = AGENT.with_suffix(".bin")
"""The agent compiled, for a node that has no compiler."""
NO_COMPILER = "/no compiler"
# File descriptor 3 becomes the channel; whatever else the BEAM prints goes to standard error.
# Certificates come in the environment, and are a file for as long as the boot takes.
# Elixir's directories are found beside the real file of `elixir`, so one boot serves both languages.
# Where there is no `erl`, or a directory is told, a release is started (`release`).
SCRIPT = f"""
[ -z "$PYERLNODE_TLS" ] || (umask 077 && printf %s "$PYERLNODE_TLS" >"$PYERLNODE_TLS_FILE") || exit
unset PYERLNODE_TLS
exec 3>&1 1>&2
{START_RELEASE}
e=$(command -v elixir) && e=$(readlink -f "$e") && e=${{e%/bin/elixir}}/lib &&
  [ -d "$e/elixir/ebin" ] && set -- -pa "$e"/*/ebin "$@"
exec erl "$@"
"""
BOOT = """
[file:delete(F) || F <- [os:getenv("PYERLNODE_TLS_FILE")], F =/= false],
spawn(fun() ->
  Port = open_port({fd, 0, 3}, [binary, {packet, 4}, eof]),
  Compiler = case code:ensure_loaded(compile) of {module, _} -> ""; _ -> "/no compiler" end,
  port_command(Port, [<<"pyerlnode:">>, erlang:system_info(version), Compiler]),
  Forms = fun Forms([], _) -> []; Forms([{dot, _} = Dot | Rest], Form) ->
      {ok, Parsed} = erl_parse:parse_form(lists:reverse([Dot | Form])), [Parsed | Forms(Rest, [])];
    Forms([Token | Rest], Form) -> Forms(Rest, [Token | Form]) end,
  Code = receive
    {Port, {data, <<"FOR1", _/binary>> = Ready}} -> Ready;
    {Port, {data, Source}} ->
      {ok, Tokens, _} = erl_scan:string(binary_to_list(Source)),
      {ok, _, Made} = compile:forms(Forms(Tokens, []), [deterministic]),
      Made;
    {Port, eof} -> erlang:halt(0)
  end,
  persistent_term:put(pyerlnode_beam_agent, Code),
  {module, Agent} = code:load_binary(pyerlnode_beam_agent, "agent.erl", Code),
  Agent:start(Port)
end)
"""
INCLUDE = re.compile(r'^\s*-\s*include\s*\(\s*"([^"]+)"', re.MULTILINE)
_agents: dict[str, bytes] = {}
"""The agent as each release has compiled it, by the version of its runtime system."""


class Beam(Printed):
    """One node of a BEAM; `start` boots it, `stop` ends it.

    Attributes:
        name: its node name, `beam_…@127.0.0.1`.
        cookie: its cookie, made for it (or given).
        otp: its OTP release, `25`; 0 before the boot.
        elixir_version: `"1.14.0"`; empty where there is no Elixir.
        epmd: its `Epmd`.
        tls: the certificates of its distribution, None when it talks TCP.
        listens_at: where a Python node dials it, when no EPMD tells that: (host, port).
    """

    listens_at: tuple[str, int] | None = None
    script = SCRIPT
    """The shell script that becomes `erl`."""

    def __init__(
        self,
        launcher: Launcher,
        epmd: Epmd,
        *,
        name: str | None = None,
        cookie: str | None = None,
        hidden: bool = False,
        args: Sequence[str] = (),
        env: dict[str, str] | None = None,
        tls: Tls | None = None,
        apps: Sequence[str] = (),
        mix: str | None = None,
    ) -> None:
        self.launcher = launcher
        self.epmd = epmd
        self.name = name or f"beam_{uuid.uuid4().hex[:10]}@{ADDRESS}"
        self.cookie = cookie or uuid.uuid4().hex
        self.otp = 0
        self.elixir_version = ""
        self.tls = tls
        self._tls_file = f"/tmp/pyerlnode_tls_{uuid.uuid4().hex}"  # noqa: S108 - where the BEAM is, and no name to guess
        speaks = tls.args_for(self._tls_file) if tls is not None else ()
        self._args = (*(("-hidden",) if hidden else ()), *speaks, *args)
        self._env = dict(env or {})
        self._apps, self._mix = tuple(apps), mix
        self._program: Program | None = None
        self._channel: Channel | None = None
        self._boots = False
        self._key: int | None = None
        self._suspended = False
        self._blocked: set[Atom] = set()
        super().__init__()
        self._loaded: dict[str, tuple[dict[str, str], list[Any]]] = {}

    def __repr__(self) -> str:
        return f"<Beam {self.name} OTP {self.otp or '?'} ({self.launcher.label})>"

    def __enter__(self) -> Beam:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- life --------------------------------------------------------------------------------------
    def start(self) -> Beam:
        """Boot it and wait until it obeys; does nothing when it runs.

        Raises:
            BeamDown: it ended while it booted; the text has its last lines.
        """
        return self.boot().ready()

    def boot(self) -> Beam:
        """The first half of `start`, so that several boot side by side; `ready` is the second."""
        if self.running():
            return self
        self._close()
        self._loaded.clear()
        self._boots = True
        self._key = None if self.tls is None else self.launcher.reap_file(self._tls_file)
        below, above = os.pipe(), os.pipe()  # to the BEAM, from the BEAM
        self._program = self.launcher.start(
            ["sh", "-c", self.script, "beam", *self._options()], self._environment(),
            stdin=below[0], stdout=above[1], stderr=self._output,
        )  # fmt: skip
        waiting.close(below[0])
        waiting.close(above[1])
        self._channel = Channel(above[0], below[1])
        return self

    def ready(self) -> Beam:
        """The second half of `start`: wait until it obeys."""
        if not self._boots:
            return self
        assert self._channel is not None
        self._boots = False
        try:
            version = self._channel.hello(patience(BOOT_S))
            agent = COMPILED if version.endswith(NO_COMPILER) else AGENT
            self._channel.send(_agents.get(version) or agent.read_bytes(), patience(BOOT_S))
            facts = self._channel.request(A.facts, patience(BOOT_S))
        except (BeamDown, BeamTimeout) as error:
            raise self._down(f"{self.name} did not boot: {error}") from None
        if self._key is not None:
            REAPER.remove(self._key)  # the boot has removed it
        _agents[version] = facts[A.code]
        self.otp, self.elixir_version = facts[A.otp], facts[A.elixir].decode()
        if self._mix is not None:
            self._request((A.mix, self._mix), COMPILE_S)
        for app in self._apps:
            self._request((A.start_app, Atom(app)), COMPILE_S)
        return self

    def _options(self) -> list[str]:
        # A `~/.erlang` is for the person at the shell.
        boot = () if "-boot" in self._args else ("-boot", "no_dot_erlang")
        return [
            "+fnu", *SLEEPS, *boot, "-noinput", "-start_epmd", "false", self._kind_of_name(), self.name,
            "-setcookie", self.cookie, *self._args, "-eval", BOOT,
        ]  # fmt: skip

    def _kind_of_name(self) -> str:
        return "-name" if "." in self.host else "-sname"

    def _environment(self) -> dict[str, str]:
        tls = {} if self.tls is None else {"PYERLNODE_TLS": self.tls.options, "PYERLNODE_TLS_FILE": self._tls_file}
        release = environment_for(self.launcher.root, self._kind_of_name(), self.name, self.cookie, self._options())
        return {"ERL_EPMD_PORT": str(self.epmd.port), "ERL_EPMD_ADDRESS": ADDRESS, **tls, **release, **self._env}

    def running(self) -> bool:
        return self._program is not None and self._program.running()

    def stop(self) -> None:
        """End it: its standard input is closed, then it halts; killed when it does not within 2 s."""
        self._close()
        if self._program is not None and (self._suspended or not self._program.wait(2)):
            self._program.kill()
        self._program = None
        self._suspended = False

    def keep(self) -> None:
        """Let it run on when this process ends."""
        if self._suspended:
            self.resume()
        self._request(A.keep, ANSWER_S)
        assert self._program is not None
        self._program.keep()

    def kill9(self) -> None:
        """SIGKILL, as a machine that is switched off: no goodbye. Returns when EPMD has dropped the name."""
        if self._program is not None:
            self._program.kill()
        self._close()
        self._suspended = False
        short = self.name.partition("@")[0]
        if self.epmd.running():
            waiting.wait_for(lambda: short not in self.epmd.names(), what="EPMD to drop the name")

    def restart(self) -> Beam:
        """Kill it when it runs and boot it again: the same name and cookie, another creation."""
        self.kill9()
        return self.start()

    def suspend(self) -> None:
        """SIGSTOP: its sockets stay open and nobody answers, as a machine that hangs."""
        assert self._program is not None
        self._program.suspend()
        self._suspended = True

    def resume(self) -> None:
        """SIGCONT."""
        assert self._program is not None
        self._program.resume()
        self._suspended = False

    @property
    def suspended(self) -> bool:
        return self._suspended

    @property
    def os_pid(self) -> int:
        """The process id of the BEAM on this machine."""
        assert self._program is not None
        return self._program.pid

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def remote_shell(self) -> str:
        """The command that opens a shell on it. Its cookie is put into a file that only this user can read."""
        if self._program is not None and self._program.inside:
            words = [*self._program.inside, "erl", self._kind_of_name(), f"shell@{self.host}", "-hidden"]
            return shlex.join([*words, "-setcookie", self.cookie, "-remsh", self.name])
        home = tempfile.mkdtemp(prefix="pyerlnode_beam_")
        cookie = os.open(os.path.join(home, ".erlang.cookie"), os.O_WRONLY | os.O_CREAT, 0o400)
        with os.fdopen(cookie, "w") as file:
            file.write(self.cookie)
        kind = self._kind_of_name()
        return f"HOME={home} ERL_EPMD_PORT={self.epmd_port} erl {kind} shell@{self.host} -hidden -remsh {self.name}"

    # --- names ---------------------------------------------------------------------------------------
    @property
    def node(self) -> Atom:
        """Its name as an atom, as pids carry it."""
        return A[self.name]

    @property
    def host(self) -> str:
        """What stands behind the @ of its name."""
        return self.name.partition("@")[2]

    @property
    def epmd_port(self) -> int:
        return self.epmd.port

    def start_epmd(self) -> None:
        """Start its EPMD again, at the same port. The BEAM itself registers again only when restarted."""
        self.epmd.start()

    def stop_epmd(self) -> None:
        """Kill its EPMD; connections that stand are not touched."""
        self.epmd.stop()

    # --- obedience -------------------------------------------------------------------------------------
    def eval(self, source: str, limit: float = ANSWER_S, /, *, timeout: float | None = None, **bindings: Any) -> Any:
        """The value of Erlang expressions; `bindings` are variables: ``eval("X + 1", X=41)``.

        Seconds to wait are the second argument, or `timeout`: no variable of Erlang is written so.

        Raises:
            BeamError: the expressions ended by an exception, or do not parse.
            BeamTimeout, BeamDown: no answer came.
        """
        return self._request((A.eval, source, _bound(bindings)), limit if timeout is None else timeout)

    def text(self, source: str, timeout: float = ANSWER_S, /, **bindings: Any) -> str:
        """As `eval`, the value printed by ``~0tp``: for terms that Python's equality can not hold apart."""
        return str(self._request((A.text, source, _bound(bindings)), timeout).decode())

    def elixir(self, source: str, timeout: float = ANSWER_S, /, **bindings: Any) -> Any:
        """The value of Elixir expressions: ``elixir("x + 1", x=41)``."""
        return self._request((A.elixir, source, _bound(bindings)), timeout)

    def elixir_text(self, source: str, timeout: float = ANSWER_S, /, **bindings: Any) -> str:
        """As `elixir`, the value printed by `inspect`."""
        return str(self._request((A.elixir_text, source, _bound(bindings)), timeout).decode())

    def rpc(self, module: str, function: str, *args: Any, timeout: float = ANSWER_S) -> Any:
        """``apply(Module, Function, Args)``; an Elixir module is written `Elixir.String`."""
        return self._request((A.apply, Atom(module), Atom(function), list(args)), timeout)

    def wait_until(self, source: str, timeout: float = QUIET_S, /, **bindings: Any) -> None:
        """Wait until the expressions are `true`, looked at every few milliseconds on the BEAM.

        Raises:
            AssertionError: they are not after `timeout` seconds (of a quiet machine); says what they were last.
        """
        limit = patience(timeout)
        try:
            self._request((A.wait_until, source, _bound(bindings), int(limit * 1000)), timeout + ANSWER_S)
        except BeamError as error:
            if isinstance(error.reason, tuple) and error.reason[0] is A.not_until_timeout:
                raise AssertionError(f"waited {limit:g} s for {source!r}; last seen: {error.reason[1]!r}") from None
            raise

    def load(self, path: str | os.PathLike[str]) -> list[Atom]:
        """Compile a `.erl`, `.ex` or `.exs` file there and load it; gives its modules. Cheap when it is loaded.

        What a `.erl` file includes by ``-include("…")`` is looked for beside it, in ``include/`` and ``../include/``.
        """
        file = Path(path)
        texts = sources(file)
        if (known := self._loaded.get(_key(file))) is not None and known[0] == texts and self._has(known[1]):
            return [module for module, _ in known[1]]
        if file.suffix == ".erl":
            versions = self._load_erl(file, texts)
        else:
            versions = self._request((A.load_ex, str(file), texts[file.name]), 60)
        self._loaded[_key(file)] = texts, versions
        return [module for module, _ in versions]

    def _load_erl(self, file: Path, texts: dict[str, str]) -> Any:
        try:
            return self._request((A.load_erl, file.name, list(texts.items())), COMPILE_S)
        except BeamError as error:
            if error.reason is not A.no_compiler:
                raise
        return self._request((A.load_beam, str(file), compiled_here(file, self.name)), COMPILE_S)

    def _has(self, versions: list[Any]) -> bool:
        """Whether the BEAM runs just these: another file, or a test, may have loaded a module of the same name."""
        return not versions or bool(self._request((A.has, versions), ANSWER_S))

    def has_loaded(self, path: str | os.PathLike[str]) -> bool:
        """Whether `load` has loaded this file into the BEAM as it runs now."""
        return _key(path) in self._loaded

    def block_dist(self, peer: str) -> None:
        """Cut the distribution to `peer` and keep it cut, both ways: its cookie is wrong from now on."""
        self.eval(
            "erlang:set_cookie(Peer, blocked_by_the_test), erlang:disconnect_node(Peer)", Peer=A[peer]
        )  # fmt: skip
        self._blocked.add(A[peer])

    def unblock_dist(self, peer: str) -> None:
        self.eval("erlang:set_cookie(Peer, list_to_atom(binary_to_list(Cookie)))", Peer=A[peer], Cookie=self.cookie)
        self._blocked.discard(A[peer])

    def nodes(self) -> list[str]:
        """The nodes it is connected to, hidden ones too."""
        return sorted(node.name for node in self.eval("nodes(connected)"))

    def foreign(self) -> list[str]:
        """Its processes that another node has started, described: what a node that is gone may have left."""
        return [line.decode() for line in self._request(A.foreign, ANSWER_S)]

    def clean(self) -> int:
        """Kill what was spawned there and drop its connections; gives how many processes there were.

        In a test that is what has come since `begin_test`.
        """
        if self._suspended:
            self.resume()
        for peer in tuple(self._blocked):
            self.unblock_dist(peer.name)
        return int(self._request(A.clean, ANSWER_S))

    def begin_test(self) -> None:
        """What there is now, and what that starts, is not the test's: `clean` leaves it until `end_test`."""
        self._request(A.begin_test, ANSWER_S)

    def end_test(self) -> None:
        self._request(A.end_test, ANSWER_S)

    def _request(self, request: Any, timeout: float) -> Any:
        if self._channel is None:
            raise BeamDown(f"{self.name} is not started")
        try:
            return self._channel.request(request, patience(timeout))
        except BeamDown:
            raise self._down(f"{self.name} is gone") from None
        except BeamTimeout:
            raise BeamTimeout(f"{self.name} did not answer within {patience(timeout):g} s") from None

    def _down(self, what: str) -> BeamDown:
        if self._program is not None:
            self._program.wait(1)
            what = f"{what}; it {self._program.status()}"
        return BeamDown(f"{what}\n{self._last_lines()}")

    @contextmanager
    def suspended_for_block(self) -> Iterator[None]:
        """SIGSTOP for a block, SIGCONT after it."""
        self.suspend()
        try:
            yield
        finally:
            self.resume()


def _key(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(path)


def sources(file: Path) -> dict[str, str]:
    """The text of `file` and, of a `.erl` file, of all that it includes, each by its way from the file's directory."""
    found: dict[str, str] = {}
    todo = [file]
    while todo:
        path = todo.pop()
        name = os.path.relpath(path, file.parent)
        if name in found:
            continue
        text = found[name] = path.read_text(encoding="utf-8")
        if file.suffix == ".erl":
            places = (path.parent, file.parent, file.parent / "include", file.parent.parent / "include")
            for wanted in INCLUDE.findall(text):
                # What is not there is left to the compiler, which says so.
                todo += [place / wanted for place in places if (place / wanted).is_file()][:1]
    return found


def compiled_here(file: Path, name: str) -> bytes:
    """What this machine's `erlc` makes of a file, for the node `name`, which has no compiler.

    Raises:
        BeamUnavailable: there is none.
        BeamError: it does not compile.
    """
    program = shutil.which("erlc")
    if program is None:
        raise BeamUnavailable(f"{name} has no compiler, and to load {file.name} there is no `erlc` on PATH either")
    with tempfile.TemporaryDirectory() as made:
        # From its directory: of a path that begins as the working directory does, erlc cuts that off.
        done = subprocess.run(  # noqa: S603 - the installation's own program
            [program, "+debug_info", "-I", ".", "-I", "include", "-I", "../include", "-o", made, file.name],
            cwd=file.parent, capture_output=True, text=True, check=False, timeout=patience(COMPILE_S),
        )  # fmt: skip
        if done.returncode:
            raise BeamError("error", (A.compile, done.stdout.encode()), "", done.stdout + done.stderr)
        return next(Path(made).glob("*.beam")).read_bytes()


def _bound(bindings: dict[str, Any]) -> dict[Atom, Any]:
    return {Atom(name): value for name, value in bindings.items()}
