"""`doctor NODE`: each usual reason why nodes do not meet is made, found, explained, and mended by what is printed."""

import json
import os
import shlex
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority

from pyerlnode import Node
from pyerlnode.dist.epmd import NodeEntry
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.net.epmd_client import Epmd
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.plugin import python_name
from pyerlnode.tools import cli, meeting

Findings = dict[str, dict[str, str]]
Doctor = Callable[..., Findings]


@pytest.fixture
def doctor(beam: Beam, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Doctor:
    """Asks why a node is not reached, from the command line; what each step found, the last one the trouble."""
    for name in ("PYERLNODE_COOKIE", "PYERLNODE_COOKIE_FILE", "RELEASE_COOKIE", "PYERLNODE_TLS_OPTFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def ask(
        node: str = "", *options: str, status: int = 1, cookie: str = beam.cookie, port: int = 0, seconds: float = 30
    ) -> Findings:
        limits = ("--timeout", f"{patience(seconds):g}", "--epmd-port", str(port or beam.epmd_port), "--json")
        secret = ("--cookie", cookie) if cookie else ()
        assert cli.main(["doctor", node or beam.node.name, *limits, *secret, *options]) == status
        out, err = capsys.readouterr()
        found = json.loads(out.splitlines()[-1])["findings"]
        assert err == ""
        assert all(one["mend"] for one in found if one["state"] == "bad")
        return {one["what"]: one for one in found}

    return ask


def trouble(found: Findings) -> tuple[str, str, str]:
    """What is bad, which is one thing and the last, with the command that mends it."""
    *fine, last = found.values()
    assert (last["state"], [one for one in fine if one["state"] == "bad"]) == ("bad", [])
    return last["what"], last["text"], last["mend"]


def mended(command: str, monkeypatch: pytest.MonkeyPatch, cookie: str = "") -> None:
    """The command that was printed works as it stands."""
    program, *words = shlex.split(command)
    assert program == "pyerlnode"
    if cookie:
        monkeypatch.setenv("PYERLNODE_COOKIE", cookie)
    assert cli.main([*words, "--timeout", f"{patience(30):g}"]) == 0


@contextmanager
def registered(beam: Beam, port: int) -> Iterator[str]:
    """The name of a node that EPMD has on `port`."""
    name = python_name()
    sock, _ = Epmd(beam.epmd_port).register(NodeEntry(name.partition("@")[0], port))
    try:
        yield name
    finally:
        sock.close()


def test_a_node_that_is_reached_is_told_step_by_step(doctor: Doctor) -> None:
    found = doctor(status=0)
    assert list(found) == ["node", "host", "epmd", "port", "handshake", "hidden", "clock"]
    assert {one["state"] for one in found.values()} == {"ok"}


def test_it_prints_a_line_a_finding_and_below_it_what_mends(
    beam: Beam, capsys: pytest.CaptureFixture[str], doctor: Doctor
) -> None:
    del doctor  # its environment
    port = ("--epmd-port", str(beam.epmd_port))
    assert cli.main(["doctor", "Nobody@127.0.0.1", *port, "--cookie", "x"]) == 1
    *_, bad, mend = capsys.readouterr().out.splitlines()
    assert bad.startswith("bad  epmd: Nobody is not registered")
    assert mend == "       erl -name Nobody@127.0.0.1"


def test_epmd_is_down_and_another_port_has_the_node(
    beam: Beam, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        what, text, mend = trouble(doctor("nobody_at_all@127.0.0.1", port=free.getsockname()[1]))
        assert (what, mend) == ("epmd", f"epmd -daemon -port {free.getsockname()[1]}")
        assert "none at 127.0.0.1" in text
        what, text, mend = trouble(doctor(port=free.getsockname()[1]))
    assert (what, f"the one on port {beam.epmd_port} knows" in text) == ("epmd", True)
    mended(mend, monkeypatch, beam.cookie)


def test_what_answers_at_the_port_of_epmd_is_another_program(doctor: Doctor, node: Any) -> None:
    what, text, mend = trouble(doctor(port=node.port))
    assert (what, mend) == ("epmd", f"ss -ltnp 'sport = :{node.port}'")
    assert "not EPMD" in text or "without an answer" in text


def test_no_such_name_and_one_with_other_capitals(beam: Beam, doctor: Doctor) -> None:
    what, text, mend = trouble(doctor("nobody@127.0.0.1"))
    assert (what, mend) == ("epmd", "erl -name nobody@127.0.0.1")
    assert beam.node.name.partition("@")[0] in text
    assert f"pyerlnode ping {beam.node.name} " in trouble(doctor(beam.node.name.upper()))[2]


def test_the_host_is_not_known(doctor: Doctor) -> None:
    what, text, mend = trouble(doctor("app@nowhere.invalid"))
    assert (what, mend) == ("host", "echo 'ADDRESS nowhere.invalid' | sudo tee -a /etc/hosts")
    assert "nowhere.invalid" in text


def test_the_node_calls_itself_by_another_host(beam: Beam, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    what, text, mend = trouble(doctor(f"{beam.node.name.partition('@')[0]}@localhost"))
    assert (what, f"calls itself {beam.node.name}" in text) == ("name", True)
    mended(mend, monkeypatch, beam.cookie)


def test_a_name_without_a_host_and_one_of_the_other_kind(
    beam: Beam, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trouble(doctor("app@"))[::2] == ("node", "pyerlnode ping app@HOST --epmd-port " + str(beam.epmd_port))
    what, text, mend = trouble(doctor("", "--name", "ours@short"))
    assert (what, "never meet" in text) == ("own name", True)
    mended(mend, monkeypatch, beam.cookie)


def test_our_name_is_taken(beam: Beam, doctor: Doctor, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    what, text, mend = trouble(doctor("", "--name", node.name))
    assert (what, "runs under our name" in text) == ("own name", True)
    mended(mend, monkeypatch, beam.cookie)


def test_our_name_is_taken_by_a_node_that_is_registered_nowhere(beam: Beam, doctor: Doctor, python: Any) -> None:
    other = python(epmd="none", addresses={beam.node.name: Epmd(beam.epmd_port).lookup("127.0.0.1", *alive(beam)).port})
    other.connect(beam.node.name)
    what, text, _ = trouble(doctor("", "--name", other.name))
    assert (what, "the name is taken" in text) == ("own name", True)
    assert other.ping(beam.node.name)  # and the doctor did not take its place


def alive(beam: Beam) -> list[str]:
    return [beam.node.name.partition("@")[0]]


def test_another_cookie_is_told_with_the_source_of_the_right_one(
    beam: Beam, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    what, text, _ = trouble(doctor(cookie="wrong"))
    assert (what, "none that is found here" in text) == ("cookie", True)
    assert trouble(doctor(cookie=""))[0] == "cookie"
    assert list(tmp_path.iterdir()) == []  # none was made
    monkeypatch.setenv("RELEASE_COOKIE", beam.cookie)
    what, text, mend = trouble(doctor(cookie="wrong"))
    assert beam.cookie not in text + mend
    assert mend.startswith('PYERLNODE_COOKIE="$RELEASE_COOKIE" pyerlnode ping ')
    file = tmp_path / ".erlang.cookie"
    file.write_text(beam.cookie)
    file.chmod(0o400)
    monkeypatch.setenv("RELEASE_COOKIE", "also_wrong")
    _, text, mend = trouble(doctor(cookie="wrong"))
    assert f"takes that of {file}" in text
    mended(mend, monkeypatch)


def test_nobody_listens_at_the_port_that_epmd_has(beam: Beam, doctor: Doctor) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with registered(beam, port) as name:
            what, text, mend = trouble(doctor(name))
            assert trouble(doctor(name, "--peer-port", str(port)))[0] == "port"
    assert (what, mend) == ("port", f"ss -ltnp 'sport = :{port}'")
    assert "though EPMD has it" in text


@contextmanager
def filtered() -> Iterator[int]:
    """A port that answers nothing: its system drops who comes, as the few that it keeps are there."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(2):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        yield full.getsockname()[1]
        for one in waiting:
            one.close()


def test_a_firewall_drops_what_is_sent(beam: Beam, doctor: Doctor) -> None:
    with filtered() as port:
        with registered(beam, port) as name:
            what, text, mend = trouble(doctor(name, seconds=0.3))
        assert (what, mend) == ("port", f"sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT")
        assert f"inet_dist_listen_min {port}" in text
        assert trouble(doctor(port=port, seconds=0.3))[::2] == ("epmd", mend)


def test_a_node_that_is_stopped_or_does_not_allow_us_or_is_hidden_and_does_not_dial(
    beam: Beam, beam_factory: Any, doctor: Doctor
) -> None:
    other = beam_factory(cookie=beam.cookie, hidden=True, args=["-kernel", "dist_auto_connect", "never"])
    found = doctor(other.node.name, status=0, port=other.epmd_port)
    assert (found["hidden"]["state"], found["dials"]["state"]) == ("note", "note")
    assert "never" in found["dials"]["text"]
    other.suspend()
    try:
        what, text, mend = trouble(doctor(other.node.name, seconds=0.5, port=other.epmd_port))
    finally:
        other.resume()
    assert (what, "is stopped" in text, "kill -CONT" in mend) == ("handshake", True, True)
    other.eval("net_kernel:allow(['only@127.0.0.1'])")
    what, _, mend = trouble(doctor(other.node.name, "--name", "ours@127.0.0.1", port=other.epmd_port))
    assert (what, mend.partition("  %")[0]) == ("allowed", "net_kernel:allow(['ours@127.0.0.1']).")
    other.eval(mend)
    assert doctor(other.node.name, "--name", "ours@127.0.0.1", status=0, port=other.epmd_port)


def test_a_peer_that_lacks_flags(beam: Beam, doctor: Doctor) -> None:
    old = Node(python_name(), cookie=beam.cookie, epmd_port=beam.epmd_port)
    old._flags = HIDDEN_FLAGS & ~DistFlags.MANDATORY_25_DIGEST & ~DistFlags.UTF8_ATOMS
    with old:
        what, text, _ = trouble(doctor(old.name))
    assert (what, "older than OTP 25" in text) == ("flags", True)


@pytest.mark.beam(tls=True)
def test_tls_on_one_side_alone_and_a_certificate_that_is_not_valid(
    beam: Beam, beam_factory: Any, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    file = authority.optfile(tmp_path / "tls.conf")
    secure = beam_factory(cookie=beam.cookie, args=["-proto_dist", "inet_tls", "-ssl_dist_optfile", str(file)])
    what, text, mend = trouble(doctor(secure.node.name, port=secure.epmd_port))
    assert (what, "speaks TLS and we do not" in text) == ("tls", True)
    mended(mend.replace("SSL_DIST_OPTFILE", str(file)), monkeypatch, beam.cookie)
    assert doctor(secure.node.name, "--tls-optfile", str(file), status=0, port=secure.epmd_port)["clock"]
    what, text, mend = trouble(doctor("", "--tls-optfile", str(file), seconds=2))
    assert (what, "leave --tls-optfile out" in text) == ("tls", True)
    mended(mend, monkeypatch, beam.cookie)
    stranger = Authority(tmp_path / "another", "stranger").optfile(tmp_path / "stranger.conf")
    what, text, mend = trouble(doctor(secure.node.name, "--tls-optfile", str(stranger), port=secure.epmd_port))
    assert (what, "openssl x509 -noout -dates" in mend) == ("tls", True)


def test_the_clocks_differ(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time() -> float:
            return time.time() + 7200

    monkeypatch.setattr(meeting, "time", Clock)
    clock = doctor(status=0)["clock"]
    assert (clock["state"], "7200 s behind ours" in clock["text"]) == ("note", True)
    assert "set-ntp" in clock["mend"]


def test_it_is_asked_of_this_machine_without_a_node(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor", "--json"])
    assert {one["what"] for one in json.loads(capsys.readouterr().out)["findings"]} >= {"python", "codec", "epmd"}


def test_its_own_environment_is_left_as_it_was() -> None:
    assert "PYERLNODE_TLS_OPTFILE" not in os.environ
