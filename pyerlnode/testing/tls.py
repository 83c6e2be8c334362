"""Certificates for BEAMs that talk TLS to each other: one private authority per test run.

Made by the `openssl` command in a directory that goes with the run. Both sides show their certificate
and check the other's, as a cluster that means it does.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.patience import patience

NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:127.0.0.1"
DAYS = "30"


@dataclass(frozen=True)
class Tls:
    """PEM files: the authority, a certificate for 127.0.0.1 and localhost, its key; and Erlang's option file."""

    cacertfile: Path
    certfile: Path
    keyfile: Path
    optfile: Path

    @property
    def args(self) -> list[str]:
        """The arguments of `erl` that make its distribution use them."""
        return ["-proto_dist", "inet_tls", "-ssl_dist_optfile", str(self.optfile)]


class TlsFiles:
    """Makes them when they are first asked for; `close` removes them."""

    def __init__(self) -> None:
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._made: Tls | None = None

    def get(self) -> Tls:
        """The run's certificates.

        Raises:
            BeamUnavailable: there is no `openssl`, or it failed.
        """
        if self._made is None:
            if shutil.which("openssl") is None:
                raise BeamUnavailable("tls=True needs the `openssl` command (Debian: apt install openssl)")
            self._directory = tempfile.TemporaryDirectory(prefix="pyerlnode_tls_")
            self._made = _make(Path(self._directory.name))
        return self._made

    def close(self) -> None:
        if self._directory is not None:
            self._directory.cleanup()
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
    made.optfile.write_text(
        f"[{{server, [{files}, {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}]}},\n"
        f" {{client, [{files}, {{verify, verify_peer}}]}}].\n"
    )
    return made


def _openssl(at: Path, *words: str) -> None:
    done = subprocess.run(  # noqa: S603 - fixed words
        ["openssl", *words],  # noqa: S607 - the one on PATH
        cwd=at, capture_output=True, text=True, check=False, timeout=patience(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise BeamUnavailable(f"openssl failed: {done.stderr.strip().splitlines()[-1:]}")
