"""TLS options: what is taken, what is refused, when files are read anew, whom a certificate is for."""

import logging
import shutil
import ssl
from pathlib import Path

import pytest
from certificates import Authority

from pyerlnode.errors import UsageError
from pyerlnode.net.tls_options import Tls, certificate_is_for, side


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def refused(given: object) -> str:
    with pytest.raises(UsageError) as caught:
        Tls.of(given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_optfile_of_otp_is_read(authority: Authority, tmp_path: Path) -> None:
    path = authority.optfile(
        tmp_path / "tls.conf",
        server=", {verify_fun, {inet_tls_dist, verify_client, []}}, {secure_renegotiate, true}",
        client=", {versions, ['tlsv1.2']}",
    )
    tls = Tls.of(path)
    assert (tls.server.options.verify, tls.server.options.fail_if_no_peer_cert) == ("verify_peer", True)
    assert (tls.server.checks_host, tls.client.checks_host) == (True, True)
    assert tls.server.context().verify_mode is ssl.CERT_REQUIRED
    assert tls.client.context().maximum_version is ssl.TLSVersion.TLSv1_2
    assert tls.server.context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_server_asks_for_a_certificate_and_takes_none_unless_it_must_be_shown(authority: Authority) -> None:
    tls = Tls.of(authority.options(fail_if_no_peer_cert=False))
    assert tls.server.context().verify_mode is ssl.CERT_OPTIONAL
    assert tls.client.context().verify_mode is ssl.CERT_REQUIRED
    assert tls.server.checks_host is False


def test_without_verify_peer_nothing_is_checked(authority: Authority) -> None:
    tls = Tls.of({"certfile": authority.options()["certfile"], "check_host": True})
    assert tls.client.context().verify_mode is ssl.CERT_NONE
    assert (tls.client.checks_host, tls.server.checks_host) == (False, False)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"crl_check": True}, "crl_check"),
        ({"verify": "verify_perhaps"}, "verify_peer or verify_none"),
        ({"versions": ["tlsv1"]}, "not safe"),
        ({"fail_if_no_peer_cert": 1}, "true or false"),
        ({"certfile": 7}, "certfile"),
        ({"certfile": "/no/such.pem"}, "/no/such.pem does not exist"),
        ({"cacertfile": ""}, "needs a cacertfile"),
        ({"ciphers": ["no such cipher"]}, "ciphers"),
        ({"certfile": ""}, "needs a certfile"),
        ({"verify_fun": "mine"}, "verify_fun"),
    ],
)
def test_an_option_that_can_not_be_used_is_an_error_that_names_it(
    authority: Authority, more: dict[str, object], word: str
) -> None:
    assert word in refused({**authority.options(), **more})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[{server, [", "no Erlang term"),
        ("{server, []}.", "one list"),
        ("[{server, 7}].", "no list"),
        ("[7].", "Option"),
    ],
)
def test_an_optfile_that_is_none_is_an_error(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "tls.conf"
    path.write_text(text)
    assert word in refused(path)
    assert "can not be read" in refused(tmp_path / "absent")


def test_a_file_that_is_no_certificate_is_an_error(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "not.pem"
    path.write_text("hello")
    assert "not.pem" in refused({**authority.options(), "certfile": str(path)})


def test_files_that_change_are_read_anew_and_unusable_ones_leave_the_old_in_force(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    used = tmp_path / "node.pem"
    shutil.copy(authority.issue("first"), used)
    tls = Tls.of({**authority.options(), "certfile": str(used)})
    first = tls.server.context()
    assert tls.server.context() is first
    shutil.copy(authority.issue("second"), used)
    second = tls.server.context()
    assert second is not first
    used.write_text("half a certifi")
    assert tls.server.context() is second
    assert tls.server.context() is second
    assert ["old ones stay in force" in text for text in caplog.messages] == [False, True]


NAMED = {"subject": ((("commonName", "cn.example.com"),),)}


@pytest.mark.parametrize(
    ("certificate", "host", "expected"),
    [
        ({**NAMED, "subjectAltName": (("IP Address", "127.0.0.1"),)}, "127.0.0.1", True),
        ({**NAMED, "subjectAltName": (("IP Address", "0:0:0:0:0:0:0:1"),)}, "::1", True),
        ({**NAMED, "subjectAltName": (("DNS", "a.example.com"),)}, "A.example.com", True),
        ({**NAMED, "subjectAltName": (("DNS", "a.example.com"),)}, "cn.example.com", False),
        ({**NAMED, "subjectAltName": (("DNS", "*.example.com"),)}, "b.example.com", True),
        ({**NAMED, "subjectAltName": (("DNS", "*.example.com"),)}, "b.c.example.com", False),
        ({**NAMED, "subjectAltName": (("DNS", "*.example.com"),)}, "example.com", False),
        ({**NAMED, "subjectAltName": (("DNS", "*.com"),)}, "example.com", False),
        (NAMED, "cn.example.com", True),
        ({"subject": ((("commonName", "127.0.0.1"),),)}, "127.0.0.1", True),
        (NAMED, "127.0.0.1", False),
        ({}, "127.0.0.1", False),
        (None, "127.0.0.1", False),
    ],
)
def test_a_certificate_is_for_the_hosts_that_it_names(certificate: object, host: str, expected: bool) -> None:
    assert certificate_is_for(certificate, host) is expected  # type: ignore[arg-type]


def test_ciphers_are_a_list_or_one_text() -> None:
    assert side({"ciphers": "A:B"}).ciphers == side({"ciphers": ["A", "B"]}).ciphers == ("A", "B")
    assert side({"ciphers": [65, 58, 66]}).ciphers == ("A", "B")
