"""Certificates for BEAMs that talk TLS to each other: one private authority per test run.

Made by the `openssl` command in a directory that goes with the run, however that ends. Both sides show their
certificate and check the other's, as a cluster that means it does.

A BEAM gets them as one text of options with everything in it (`Tls.options`), which it writes to a file of its own: in
a container, or behind `chroot`, it finds none of this machine's.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.patience import patience
from pyerlnode.testing.reaper import REAPER

NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:127.0.0.1"
DAYS = "30"


@dataclass(frozen=True)
class Tls(os.PathLike[str]):
    """PEM files: the authority, a certificate for 127.0.0.1 and localhost, its key; and Erlang's option file.

    As a path it is that option file, so ``Node(tls=beam.tls)`` reads it.
    """

    cacertfile: Path
    certfile: Path
    keyfile: Path
    optfile: Path

    def __fspath__(self) -> str:
        return str(self.optfile)

    @property
    def args(self) -> list[str]:
        """The arguments of an `erl` on this machine that make its distribution use them."""
        return self.args_for(str(self.optfile))

    @staticmethod
    def args_for(optfile: str) -> list[str]:
        """The same with a file of options elsewhere."""
        return ["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile]

    @property
    def options(self) -> str:
        """What the option file says, with the certificates and the key in it instead of their files."""
        authority, own, key = (_der(path) for path in (self.cacertfile, self.certfile, self.keyfile))
        return _options(f"{{cert, {own}}}, {{key, {{'PrivateKeyInfo', {key}}}}}, {{cacerts, [{authority}]}}")


class TlsFiles:
    """Makes them when they are first asked for; `close` removes them."""

    def __init__(self) -> None:
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._made: Tls | None = None
        self._key = 0

    def get(self) -> Tls:
        """The run's certificates.

        Raises:
            BeamUnavailable: there is no `openssl`, or it failed.
        """
        if self._made is None:
            if shutil.which("openssl") is None:
                raise BeamUnavailable("tls=True needs the `openssl` command (Debian: apt install openssl)")
            self._directory = tempfile.TemporaryDirectory(prefix="pyerlnode_tls_")
            self._key = REAPER.add("rm", "-rf", self._directory.name)  # there are private keys in it
            self._made = _make(Path(self._directory.name))
        return self._made

    def close(self) -> None:
        if self._directory is not None:
            self._directory.cleanup()
            REAPER.remove(self._key)
            self._directory = self._made = None


def _make(at: Path) -> Tls:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", DAYS)
    _openssl(at, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a test's authority")
    _openssl(
        at, "req", "-x509", *key, "-keyout", "node.key", "-out", "node.pem", "-subj", "/CN=127.0.0.1",
        "-addext", NAMES, "-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key",
    )  # fmt: skip
    made = Tls(at / "ca.pem", at / "node.pem", at / "node.key", at / "dist.conf")
    files = f'{{certfile, "{made.certfile}"}}, {{keyfile, "{made.keyfile}"}}, {{cacertfile, "{made.cacertfile}"}}'
    made.optfile.write_text(_options(files))
    return made


def _options(shown: str) -> str:
    return (
        f"[{{server, [{shown}, {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}]}},\n"
        f" {{client, [{shown}, {{verify, verify_peer}}]}}].\n"
    )


def _der(path: Path) -> str:
    """What a PEM file holds, as an Erlang binary."""
    lines = path.read_text().strip().splitlines()
    return f"<<{','.join(map(str, base64.b64decode(''.join(lines[1:-1]))))}>>"


def _openssl(at: Path, *words: str) -> None:
    done = subprocess.run(  # noqa: S603 - fixed words
        ["openssl", *words],  # noqa: S607 - the one on PATH
        cwd=at, capture_output=True, text=True, check=False, timeout=patience(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise BeamUnavailable(f"openssl failed: {done.stderr.strip().splitlines()[-1:]}")
