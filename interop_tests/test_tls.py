"""TLS distribution against real nodes of ``-proto_dist inet_tls``: both directions, certificates, swaps, refusals."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from certificates import Authority

from interop_tests.servers import Desk, next_message
from pyerlnode import A
from pyerlnode.errors import ConnectError
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

Factory = Callable[..., Any]

pytestmark = pytest.mark.beam(tls=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def tls_args(optfile: Path) -> list[str]:
    return ["-proto_dist", "inet_tls", "-ssl_dist_optfile", str(optfile)]


@pytest.fixture
def secure(beam: Beam, beam_factory: Factory, authority: Authority, tmp_path: Path) -> Beam:
    """A BEAM that speaks TLS only, and verifies whoever comes."""
    optfile = authority.optfile(tmp_path / "tls.conf")
    return beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"], args=tls_args(optfile))


def test_python_calls_a_beam_over_tls_and_the_other_way_round(
    secure: Beam, python: Factory, authority: Authority
) -> None:
    node = python(tls=authority.options(check_host=True))
    pid = secure.eval("desk:start()")
    large = b"x" * 3_000_000
    assert node.call(pid, (A.echo, large)) == large
    assert secure.nodes() == [node.name]
    node.start(Desk, name="desk")
    assert secure.eval('gen_server:call({desk, N}, {echo, binary:copy(<<"ab">>, 500000)})', N=A[node.name]) == (
        b"ab" * 500_000
    )
    assert node.rpc(secure.name, "lists", "reverse", [[1, 2, 3]]) == [3, 2, 1]


def test_a_beam_dials_python_over_tls_with_the_options_of_one_file(
    secure: Beam, python: Factory, authority: Authority, tmp_path: Path
) -> None:
    node = python(tls=authority.optfile(tmp_path / "python.conf"))
    node.start(Desk, name="desk")
    assert secure.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    assert secure.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_each_version_of_tls_carries_calls(
    beam: Beam, beam_factory: Factory, python: Factory, authority: Authority, tmp_path: Path, version: str
) -> None:
    choice = f", {{versions, ['{version}']}}"
    optfile = authority.optfile(tmp_path / "tls.conf", server=choice, client=choice)
    peer = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"], args=tls_args(optfile))
    node = python(tls=authority.options(versions=[version]))
    node.start(Desk, name="desk")
    assert node.call(peer.eval("desk:start()"), (A.echo, version)) == version.encode()
    node.disconnect(peer.name)
    peer.wait_until("nodes(connected) =:= []")
    assert peer.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1


def test_a_plain_beam_is_refused_with_one_line_and_pangs(
    beam: Beam, python: Factory, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    node = python(tls=authority.options())
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pang
    lines = [text for text in caplog.messages if "TLS" in text]
    assert len(lines) == 1
    assert "does not speak TLS, which this node requires" in lines[0]


def test_a_plain_beam_can_not_be_reached_by_a_node_with_tls(beam: Beam, python: Factory, authority: Authority) -> None:
    node = python(tls=authority.options(), setup_time=1.0)
    with pytest.raises(ConnectError) as caught:
        node.connect(beam.name)
    assert caught.value.reason == "timeout"
    assert "did not answer TLS in time: does it run with -proto_dist inet_tls?" in str(caught.value)


def test_a_plain_python_node_can_not_reach_a_beam_with_tls(secure: Beam, python: Factory) -> None:
    with pytest.raises(ConnectError) as caught:
        python().connect(secure.name)
    assert caught.value.reason == "tls"
    assert f"{secure.name} speaks TLS, and this node does not" in str(caught.value)
    assert secure.nodes() == []


CALLS = """
    Echo = fun(I) -> {I, _} = {I, gen_server:call({desk, N}, {echo, binary:copy(<<I>>, 500 * (I rem 4))}, 60000)} end,
    Asking = [spawn_monitor(fun() -> lists:foreach(Echo, lists:seq(1, 60)) end) || _ <- lists:seq(1, 4)],
    [receive {'DOWN', Ref, _, _, Reason} -> Reason end || {_, Ref} <- Asking]
"""


@pytest.mark.parametrize("dialler", ["python", "beam"])
def test_a_session_that_is_negotiated_anew_again_and_again_under_load_loses_nothing(
    beam: Beam, beam_factory: Factory, python: Factory, authority: Authority, tmp_path: Path, dialler: str
) -> None:
    choice = ", {versions, ['tlsv1.2']}, {renegotiate_at, 50}"  # packets: OTP's default is reached by a large transfer
    optfile = authority.optfile(tmp_path / "tls.conf", server=choice, client=choice)
    peer = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"], args=tls_args(optfile))
    node = python(tls=authority.options(versions=["tlsv1.2"]))
    node.start(Desk, name="desk")
    if dialler == "python":
        assert node.ping(peer.name)
    else:
        assert peer.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    downs: list[Any] = []
    node.telemetry.append(lambda event, *rest: downs.append(rest) if event == "connection.down" else None)
    pid = peer.eval("desk:start()")

    def ask(number: int) -> list[Any]:
        texts = [bytes((number,)) * (10 if turn % 3 else 30_000) for turn in range(60)]
        return [text for text in texts if node.call(pid, (A.echo, text), timeout=patience()) != text]

    asking = [gevent.spawn(ask, number) for number in range(12)]
    assert peer.eval(CALLS, N=A[node.name]) == [A.normal] * 4
    assert [asked.get(timeout=patience()) for asked in asking] == [[]] * 12
    assert downs == []


def test_a_node_with_an_authority_and_no_word_on_verifying_refuses_a_stranger(
    beam: Beam, beam_factory: Factory, python: Factory, authority: Authority, tmp_path: Path
) -> None:
    ours = authority.options()
    optfile = tmp_path / "python.conf"
    own = f'{{certfile, "{ours["certfile"]}"}}'
    optfile.write_text(f'[{{server, [{own}]}}, {{client, [{own}, {{cacertfile, "{ours["cacertfile"]}"}}]}}].')
    node = python(tls=optfile)
    stranger = Authority(tmp_path / "stranger", "stranger").optfile(tmp_path / "stranger.conf")
    with pytest.raises(ConnectError, match=r"certificate was refused: .*unknown ca"):
        node.connect(beam_factory(cookie=beam.cookie, args=tls_args(stranger)).name)
    authority.issue("elsewhere", ["DNS:elsewhere.example.com"])
    elsewhere = authority.optfile(tmp_path / "elsewhere.conf", "elsewhere")
    with pytest.raises(ConnectError, match="certificate is not for the host 127"):
        node.connect(beam_factory(cookie=beam.cookie, args=tls_args(elsewhere)).name)


def test_a_beam_with_what_ktls_wants_speaks_with_python(
    beam: Beam, beam_factory: Factory, python: Factory, authority: Authority, tmp_path: Path
) -> None:
    choice = ", {versions, ['tlsv1.3']}, {ciphers, [\"TLS_AES_256_GCM_SHA384\"]}"
    optfile = authority.optfile(tmp_path / "tls.conf", server=choice, client=choice)  # the kernel may not have kTLS
    peer = beam_factory(cookie=beam.cookie, args=tls_args(optfile))
    node = python(tls=optfile)
    assert node.ping(peer.name)
    node.disconnect(peer.name)
    peer.wait_until("nodes(connected) =:= []")
    assert peer.eval("net_adm:ping(N)", N=A[node.name]) is A.pong


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        ("{versions, ['tlsv1.3']}", {"versions": ["tlsv1.2"]}, "it speaks no version of TLS that this node offers"),
        ("{versions, ['tlsv1.2']}", {"versions": ["tlsv1.3"]}, "it speaks no version of TLS that this node offers"),
        (
            "{versions, ['tlsv1.2']}, {ciphers, [\"ECDHE-ECDSA-AES128-GCM-SHA256\"]}",
            {"versions": ["tlsv1.2"], "ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384"]},
            "it takes none of the ciphers of this node",
        ),
        ("{versions, ['tlsv1.2']}", {"versions": ["tlsv1.2"], "name": "expired"}, "our certificate has expired"),
        ("{versions, ['tlsv1.3']}", {"versions": ["tlsv1.3"], "name": "expired"}, "our certificate has expired"),
        ("{versions, ['tlsv1.3']}", {"versions": ["tlsv1.3"], "name": "stranger"}, "(unknown ca)"),
    ],
)
def test_the_alert_of_a_beam_is_told_as_what_it_is(
    beam: Beam,
    beam_factory: Factory,
    python: Factory,
    authority: Authority,
    tmp_path: Path,
    theirs: str,
    ours: dict[str, Any],
    words: str,
) -> None:
    authority.issue("expired", days=-1)
    shutil.copy(Authority(tmp_path / "stranger", "stranger").issue("node"), authority.directory / "stranger.pem")
    choice = f", {theirs}"
    optfile = authority.optfile(tmp_path / "tls.conf", server=choice, client=choice)
    peer = beam_factory(cookie=beam.cookie, args=tls_args(optfile))
    with pytest.raises(ConnectError) as caught:
        python(tls=authority.options(**ours)).connect(peer.name)
    assert caught.value.reason == "tls"
    assert words in str(caught.value)


def test_a_node_with_a_stranger_s_certificate_is_refused_by_both(
    secure: Beam, python: Factory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = python(tls=Authority(tmp_path / "stranger", "stranger").options())
    with pytest.raises(ConnectError) as caught:
        node.connect(secure.name)
    assert caught.value.reason == "tls"
    assert "certificate was refused" in str(caught.value)
    assert secure.eval("net_adm:ping(N)", N=A[node.name]) is A.pang
    assert secure.nodes() == []


def test_a_beam_refuses_a_certificate_that_is_not_for_the_host(
    secure: Beam, python: Factory, authority: Authority
) -> None:
    authority.issue("elsewhere", ["DNS:elsewhere.example.com"])
    node = python(tls=authority.options("elsewhere"))
    assert secure.eval("net_adm:ping(N)", N=A[node.name]) is A.pang


def test_new_connections_use_new_certificates_and_old_connections_live(
    beam: Beam, beam_factory: Factory, python: Factory, authority: Authority, tmp_path: Path
) -> None:
    used = tmp_path / "used.pem"
    shutil.copy(authority.issue("old"), used)
    node = python(tls={**authority.options(), "certfile": str(used)})
    node.monitor_nodes()
    optfile = authority.optfile(tmp_path / "tls.conf")
    first = beam_factory(cookie=beam.cookie, args=tls_args(optfile))
    assert first.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    other = Authority(tmp_path / "other", "other authority")
    shutil.copy(other.issue("new"), used)  # nobody in this cluster trusts it
    second = beam_factory(cookie=beam.cookie, args=tls_args(optfile))
    assert second.eval("net_adm:ping(N)", N=A[node.name]) is A.pang
    shutil.copy(authority.issue("newer"), used)
    assert second.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    assert node.ping(first.name)
    assert [next_message(), next_message()] == [(A.nodeup, first.node), (A.nodeup, second.node)]


def test_a_beam_killed_over_tls_is_noconnection_and_can_be_reached_again(
    secure: Beam, python: Factory, authority: Authority
) -> None:
    node = python(tls=authority.options())
    pid = secure.eval("desk:start()")
    ref = node.monitor(pid)
    secure.kill9()
    assert next_message() == (A.DOWN, ref, A.process, pid, A.noconnection)
    secure.restart()
    assert node.ping(secure.name)
