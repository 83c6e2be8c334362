"""Certificates for tests, made by the `openssl` command: one private authority, and whom it vouches for."""

import subprocess
from collections.abc import Sequence
from pathlib import Path


class Authority:
    """A private authority in a directory; `ca` is its certificate."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.ca = directory / "ca.pem"
        self._key = directory / "ca.key"
        self._run("req", "-x509", *_key(self._key), "-subj", f"/CN={name}", "-days", "2", "-out", self.ca)

    def issue(self, name: str, hosts: Sequence[str] = ("IP:127.0.0.1", "DNS:127.0.0.1"), subject: str = "") -> Path:
        """A certificate with its key in one file, for `hosts` (``DNS:…``, ``IP:…``) or by its subject alone.

        OTP looks for an address among the DNS names, others among the addresses: so both.
        """
        key, request, certificate = (self.directory / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(hosts)}\n" if hosts else "basicConstraints=CA:FALSE\n")
        self._run("req", *_key(key), "-subj", f"/CN={subject or name}", "-out", request)
        self._run(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-days", "2",
            "-extfile", extensions, "-out", certificate,
        )  # fmt: skip
        certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
        return certificate

    def options(self, name: str = "node", **more: object) -> dict[str, object]:
        """Options of a node that shows the certificate `name` and verifies every peer."""
        certificate = self.directory / f"{name}.pem"
        if not certificate.exists():
            self.issue(name)
        return {
            "certfile": str(certificate), "cacertfile": str(self.ca), "verify": "verify_peer",
            "fail_if_no_peer_cert": True, **more,
        }  # fmt: skip

    def optfile(self, path: Path, name: str = "node", *, server: str = "", client: str = "") -> Path:
        """The same as a file for ``-ssl_dist_optfile``; `server` and `client` are further options in Erlang."""
        options = self.options(name)
        both = (
            f'{{certfile, "{options["certfile"]}"}}, {{keyfile, "{options["certfile"]}"}}, '
            f'{{cacertfile, "{options["cacertfile"]}"}}, {{verify, verify_peer}}'
        )
        path.write_text(
            f"[{{server, [{both}, {{fail_if_no_peer_cert, true}}{server}]}},\n {{client, [{both}{client}]}}].\n"
        )
        return path

    def _run(self, *arguments: object) -> None:
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _key(path: Path) -> tuple[object, ...]:
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path
