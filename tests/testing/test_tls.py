"""`testing.tls`: certificates of a run, for this machine and for BEAMs that see none of its files."""

import os
import ssl
from collections.abc import Iterator

import pytest

from pyerlnode.net.tls_options import Tls as NodeTls
from pyerlnode.term.text.parse import consult
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.docker import DockerLauncher
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import Launcher
from pyerlnode.testing.tls import Tls, TlsFiles


@pytest.fixture(scope="module")
def tls() -> Iterator[Tls]:
    files = TlsFiles()
    yield files.get()
    files.close()


def test_a_node_takes_them_as_they_are(tls: Tls) -> None:
    node = NodeTls.of(tls)
    assert node.server.options.fail_if_no_peer_cert
    assert node.client.options.verify == "verify_peer"


def test_a_beam_is_given_everything_in_its_options(tls: Tls) -> None:
    (options,) = consult(tls.options)
    directory = os.path.dirname(tls.optfile)
    assert directory not in tls.options
    for _, side in options:
        given = dict(pair for pair in side)
        by_name = {name.name: value for name, value in given.items()}
        assert ssl.DER_cert_to_PEM_cert(by_name["cert"]).split() == tls.certfile.read_text().split()
        assert ssl.DER_cert_to_PEM_cert(by_name["cacerts"][0]).split() == tls.cacertfile.read_text().split()
        assert by_name["verify"].name == "verify_peer"


@pytest.mark.parametrize("launcher", [Launcher(prefix=("chroot", "/a/root")), DockerLauncher("beam:27")])
def test_the_command_of_a_beam_elsewhere_names_no_file_of_this_machine(tls: Tls, launcher: Launcher) -> None:
    beam = Beam(launcher, Epmd(launcher), tls=tls)
    words = [*beam._options(), *beam._environment().values()]
    assert not [word for word in words if os.path.dirname(tls.optfile) in word]
    assert beam._environment()["PYERLNODE_TLS"] == tls.options
    assert beam._environment()["PYERLNODE_TLS_FILE"] in beam._options()


def test_they_go_with_the_run(tls: Tls) -> None:
    files = TlsFiles()
    made = files.get()
    assert made.keyfile.stat().st_mode & 0o077 == 0
    files.close()
    assert not made.keyfile.exists()
    assert tls.keyfile.exists()
