"""`testing.containers` with a stand-in for `docker`: what it asks for, and what it says when that is refused."""

import os
from pathlib import Path

import pytest

from pyerlnode.testing.containers import BeamNetwork
from pyerlnode.testing.docker import engine_host
from pyerlnode.testing.errors import BeamUnavailable

SUBNET = '[{"IPAM": {"Config": [{"Subnet": "172.30.0.0/16"}]}}]'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that writes down what it is asked, and refuses what the file `refuse` says."""
    log = tmp_path / "asked"
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\n'
        f'if [ -s {tmp_path}/refuse ] && echo "$*" | grep -qf {tmp_path}/refuse; then echo taken >&2; exit 1; fi\n'
        f"case \"$1 $2\" in 'network inspect') echo '{SUBNET}';; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return log


def networks(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith("network")]


def test_a_network_has_the_subnet_that_the_engine_gave_so_that_addresses_can_be_chosen(asked: Path) -> None:
    network = BeamNetwork("beam:27", 4369)
    network.close()
    create, inspect, remove, again, end = networks(asked)
    assert create == remove.replace(" rm ", " create ") == f"network create {network.name}"
    assert inspect == f"network inspect {network.name}"
    assert again == f"network create --subnet 172.30.0.0/16 --gateway 172.30.0.1 {network.name}"
    assert end == f"network rm {network.name}"
    assert network.python_name().endswith("@172.30.0.1")


def test_a_subnet_that_others_take_is_tried_again_and_then_told_in_one_line(asked: Path) -> None:
    (asked.parent / "refuse").write_text("network create --subnet")
    with pytest.raises(BeamUnavailable, match="no subnet that stays free"):
        BeamNetwork("beam:27", 4369)
    assert sum("--subnet" in line for line in networks(asked)) == 5


def test_a_network_that_is_refused_is_told_with_the_engines_words(asked: Path) -> None:
    (asked.parent / "refuse").write_text("network create")
    with pytest.raises(BeamUnavailable, match=r"^docker network create: taken$"):
        BeamNetwork("beam:27", 4369)


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ("", ""), ("unix:///run/docker.sock", ""), ("tcp://10.0.0.9:2376", "10.0.0.9"),
        ("ssh://me@build.example", "build.example"),
        ("tcp://[fd00::9]:2376", "fd00::9"),
    ],
)  # fmt: skip
def test_the_machine_of_an_engine_that_is_elsewhere_is_where_its_ports_are(
    monkeypatch: pytest.MonkeyPatch, said: str, host: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", said)
    assert engine_host() == host
