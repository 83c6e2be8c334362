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

    def issue(
        self,
        name: str,
        hosts: Sequence[str] = ("IP:127.0.0.1", "DNS:127.0.0.1"),
        subject: str = "",
        *,
        days: int = 2,
        kind: str = "ec",
    ) -> Path:
        """A certificate with its key in one file, for `hosts` (``DNS:…``, ``IP:…``) or by its subject alone.

        OTP looks for an address among the DNS names, others among the addresses: so both.
        """
        key, request, certificate = (self.directory / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(hosts)}\n" if hosts else "basicConstraints=CA:FALSE\n")
        self._run("req", *_key(key, kind), "-subj", f"/CN={subject or name}", "-out", request)
        self._sign(request, extensions, certificate, days)
        certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
        return certificate

    def under(self, name: str) -> Path:
        """A certificate with its key, signed by an authority that this one vouches for; both are in the file."""
        middle = Authority(self.directory / f"{name}.middle", f"below: {name}")
        request, extensions = middle.directory / "ca.csr", middle.directory / "ca.ext"
        extensions.write_text("basicConstraints=critical,CA:TRUE\n")
        self._run("req", "-new", "-key", middle._key, "-subj", f"/CN=below: {name}", "-out", request)
        self._sign(request, extensions, middle.ca, 2)
        certificate = middle.issue(name)
        certificate.write_bytes(certificate.read_bytes() + middle.ca.read_bytes())
        return certificate

    def revoke(self, *names: str) -> Path:
        """A directory with the list of revoked certificates, as ``openssl rehash`` leaves it: these are on it."""
        at = self.directory / "revoked"
        at.mkdir(exist_ok=True)
        (at / "index.txt").touch()
        (at / "number").write_text("01\n")
        settings = at / "ca.cnf"
        settings.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={at}/index.txt\ncrlnumber={at}/number\ndefault_md=sha256\n"
            f"default_crl_days=2\ncertificate={self.ca}\nprivate_key={self._key}\n"
        )
        for name in names:
            self._run("ca", "-config", settings, "-revoke", self.directory / f"{name}.pem")
        self._run("ca", "-config", settings, "-gencrl", "-out", at / "list.crl")
        self._run("rehash", at)
        return at

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

    def _sign(self, request: Path, extensions: Path, certificate: Path, days: int) -> None:
        self._run(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-days", days,
            "-extfile", extensions, "-out", certificate,
        )  # fmt: skip

    def _run(self, *arguments: object) -> None:
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _key(path: Path, kind: str = "ec") -> tuple[object, ...]:
    how = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1") if kind == "ec" else (kind,)
    return "-newkey", *how, "-nodes", "-keyout", path
