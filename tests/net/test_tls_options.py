"""TLS options: what is taken, what is refused, when files are read anew, whom a certificate is for."""

import logging
import shutil
import ssl
from pathlib import Path
from typing import Any

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
    ("more", "client", "server", "lines"),
    [
        ({}, ssl.CERT_REQUIRED, ssl.CERT_NONE, 0),
        ({"verify": "verify_none"}, ssl.CERT_NONE, ssl.CERT_NONE, 1),
        ({"cacertfile": ""}, ssl.CERT_NONE, ssl.CERT_NONE, 1),
        ({"verify": "verify_peer"}, ssl.CERT_REQUIRED, ssl.CERT_REQUIRED, 0),
    ],
)
def test_a_client_with_an_authority_verifies_unless_told_not_to_and_one_that_does_not_is_told_of_once(
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    more: dict[str, str],
    client: ssl.VerifyMode,
    server: ssl.VerifyMode,
    lines: int,
) -> None:
    files = {name: value for name, value in authority.options().items() if name.endswith("file")}
    tls = Tls.of({**files, **more})
    for _ in range(3):
        assert (tls.client.context().verify_mode, tls.server.context().verify_mode) == (client, server)
    assert tls.client.checks_host is (client is ssl.CERT_REQUIRED)
    assert ["verify_none of the client side" in text for text in caplog.messages] == [True] * lines


def test_a_server_that_must_be_shown_a_certificate_and_does_not_verify_it_is_an_error(authority: Authority) -> None:
    word = "fail_if_no_peer_cert needs {verify, verify_peer}"
    assert word in refused({**authority.options(), "verify": "verify_none"})


def test_the_file_of_a_node_that_was_made_for_ktls_is_read_without_that_word(
    authority: Authority, tmp_path: Path
) -> None:
    more = ", {ktls, false}, {versions, ['tlsv1.3']}, {ciphers, [\"TLS_AES_256_GCM_SHA384\"]}, {log_level, error}"
    tls = Tls.of(authority.optfile(tmp_path / "tls.conf", server=more, client=more))
    for side_ in (tls.server, tls.client):
        assert side_.options.suites == ("TLS_AES_256_GCM_SHA384",)
        assert side_.context().minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_version_without_a_cipher_is_not_spoken(authority: Authority) -> None:
    tls = Tls.of(authority.options(ciphers=["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "AES128-SHA"]))
    assert tls.client.context().maximum_version is ssl.TLSVersion.TLSv1_2
    assert tls.client.options.ciphers == ("ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-SHA")


@pytest.mark.parametrize(
    ("cipher", "name"),
    [
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA"),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "ECDHE-RSA-AES256-SHA384"),
        ("TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "DHE-RSA-CHACHA20-POLY1305"),
        ("ECDHE-ECDSA-AES256-CCM", "ECDHE-ECDSA-AES256-CCM"),
    ],
)
def test_the_names_of_ciphers_are_openssl_s_or_iana_s(cipher: str, name: str) -> None:
    assert side({"ciphers": [cipher]}).ciphers == (name,)


def test_of_two_pairs_for_one_option_the_first_one_counts(authority: Authority, tmp_path: Path) -> None:
    path = authority.optfile(tmp_path / "tls.conf", client=", {verify, verify_none}, {depth, 3}, {depth, 4}")
    client = Tls.of(path).client
    assert (client.options.verify, client.options.depth) == ("verify_peer", 3)


def test_a_list_of_the_revoked_that_changes_is_read_anew_and_a_certificate_beside_it_is_an_error(
    tmp_path: Path,
) -> None:
    own = Authority(tmp_path / "own")
    own.issue("bad")
    at = own.revoke()
    given: dict[str, Any] = own.options(crl_check=True, crl_cache=at)
    tls = Tls.of(given)
    first = tls.client.context()
    assert first.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_CHAIN
    own.revoke("bad")
    assert tls.client.context() is not first
    cache = '{crl_check, peer}, {crl_cache, {ssl_crl_hash_dir, {internal, [{dir, "%s"}]}}}'
    read = Tls.of(own.optfile(tmp_path / "tls.conf", client=f", {cache % at}"))
    assert read.client.context().verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_LEAF
    shutil.copy(own.ca, next(at.glob("*.r*")))
    assert "holds a certificate, which would be trusted" in refused(given)


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
        ({"crl_check": "best_effort"}, "best_effort: OpenSSL refuses"),
        ({"crl_check": True, "crl_cache": "/no/such"}, "crl_cache names /no/such"),
        ({"crl_cache": 7}, "crl_cache is {ssl_crl_hash_dir"),
        ({"ktls": True}, "ktls is not supported: there is no TLS of the kernel here"),
        ({"renegotiate_at": 1000}, "renegotiate_at is not supported: it asks this side to negotiate anew, and Python"),
        ({"key_update_at": 1000}, "key_update_at is not supported: it asks this side to renew the keys, and Python"),
        ({"signature_algs": []}, "signature_algs is not supported: Python's ssl can not choose"),
        ({"cert": b""}, "cert is not supported: certificates and keys come from files"),
        ({"no_such": 1}, "no_such is not supported; these are: cacertfile, certfile, certs_keys"),
        ({"eccs": ["secp384r1", "x25519"]}, "eccs can name one group alone here, not 2"),
        ({"supported_groups": ["no_such_group"]}, "eccs or supported_groups can not be used"),
        ({"supported_groups": []}, "supported_groups is a list of names"),
        ({"depth": -1}, "depth is a number"),
        ({"ciphers": ["TLS_AES_128_GCM_SHA256"]}, "ciphers has to name TLS_AES_256_GCM_SHA384"),
        ({"ciphers": ["TLS_NO_SUCH"]}, "ciphers names TLS_NO_SUCH"),
        ({"ciphers": ["AES128-SHA"], "versions": ["tlsv1.3"]}, "ciphers names none for the versions"),
        ({"certs_keys": [{"certfile": "a", "cert": "b"}]}, "certs_keys can not take cert"),
        ({"certs_keys": [{"certfile": "a"}]}, "give one of them"),
        ({"certs_keys": [{}]}, "without a certfile"),
        ({"server_name_indication": ""}, "server_name_indication is a host"),
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
