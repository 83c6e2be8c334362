"""`testing.supply` and `testing.launch`: where a BEAM comes from, and one line when it comes from nowhere."""

from pathlib import Path
from typing import Any

import pytest

from pyerlnode.testing import supply
from pyerlnode.testing.choice import choose, describe
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher, from_prefix
from pyerlnode.testing.settings import Settings
from pyerlnode.testing.supply import Supply, unmet


class FakeBeam:
    def __init__(self, otp: int, elixir: str = "", tls: bool = False) -> None:
        self.otp, self.elixir_version, self._tls = otp, elixir, tls
        self.launcher = Launcher(label="a fake")

    def eval(self, _source: str) -> bool:
        return self._tls


def program(directory: Path, name: str, text: str = "exit 0") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing on its PATH but what a test puts there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.mark.parametrize(
    ("release", "text", "fits"),
    [
        (27, ">=27", True),
        (26, ">=27", False),
        (25, "25", True),
        (27, "25", False),
        (26, ">25,<27", True),
        (27, "!=27", False),
    ],
)
def test_a_release_fits_the_marker_or_does_not(release: int, text: str, fits: bool) -> None:
    assert (unmet(FakeBeam(release), {"otp": text}) is None) is fits  # type: ignore[arg-type]  # what it looks at


def test_a_release_that_a_test_is_not_for_is_no_fault_and_a_missing_elixir_is_one() -> None:
    beam: Any = FakeBeam(25)
    assert unmet(beam, {"otp": ">=27"}) == ("needs OTP >=27, this BEAM is 25", False)
    text, is_fault = unmet(beam, {"elixir": True}) or ("", False)
    assert "needs Elixir" in text
    assert is_fault
    assert (unmet(beam, {"tls": True}) or ("", False))[1]
    beam = FakeBeam(25, "1.14.0", tls=True)
    assert unmet(beam, {"elixir": True, "tls": True, "otp": 25}) is None


def test_a_marker_that_is_no_comparison_says_what_to_write() -> None:
    beam: Any = FakeBeam(25)
    with pytest.raises(ValueError, match="write a release or a comparison, as '>=27'"):
        unmet(beam, {"otp": "new"})


def test_auto_takes_erl_from_path(bare: Path) -> None:
    program(bare, "erl")
    assert choose(Settings(), None).label == "local"


@pytest.mark.parametrize("wanted", ["auto", "local", "docker"])
def test_a_machine_with_nothing_gets_one_line_that_says_what_was_looked_for(bare: Path, wanted: str) -> None:
    with pytest.raises(BeamUnavailable) as caught:
        choose(Settings(beam=wanted), None)
    assert "\n" not in str(caught.value)
    assert "PATH" in str(caught.value)


def test_an_engine_that_does_not_answer_gets_one_line(bare: Path) -> None:
    program(bare, "docker", "echo first >&2; echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(BeamUnavailable, match=r"no Docker engine answers: Cannot connect to the Docker daemon$"):
        choose(Settings(beam="docker"), None)


def test_an_image_that_can_not_be_had_gets_one_line(bare: Path) -> None:
    program(bare, "docker", "case $1 in version) echo 1;; *) echo 'manifest unknown' >&2; exit 1;; esac")
    with pytest.raises(BeamUnavailable, match="the image x:25 can not be had: manifest unknown"):
        choose(Settings(beam="docker", image="x:{otp}"), 25)
    with pytest.raises(BeamUnavailable, match="is one release; with --beam-matrix"):
        choose(Settings(beam="docker", image="x"), 25)


def test_auto_without_erl_takes_an_image_that_is_here_and_pulls_none(bare: Path) -> None:
    program(bare, "docker", "case $1 in version) echo 1;; image) exit 0;; *) exit 1;; esac")
    assert choose(Settings(image="mine:27"), None).label == "docker mine:27"
    program(bare, "docker", "case $1 in version) echo 1;; *) echo no >&2; exit 1;; esac")
    with pytest.raises(BeamUnavailable, match=r"no `erl` on PATH .*; the image .* can not be had: it is not here"):
        choose(Settings(), None)


def test_a_directory_with_bin_erl_is_put_before_path(tmp_path: Path) -> None:
    program(tmp_path, "bin/erl")
    found = from_prefix(str(tmp_path))
    assert found.prefix == ()
    assert found.environment({})["PATH"].startswith(f"{tmp_path}/bin:")


def test_a_root_file_system_is_entered(tmp_path: Path) -> None:
    program(tmp_path, "usr/bin/erl")
    (tmp_path / "etc").mkdir()
    assert from_prefix(str(tmp_path)).prefix == ("chroot", str(tmp_path))


def test_a_command_is_put_before_each_program(tmp_path: Path) -> None:
    wrapper = program(tmp_path, "wrap")
    assert from_prefix(f"{wrapper} 27").prefix == (str(wrapper), "27")
    matrix = Settings(beam=f"{wrapper} {{otp}}", matrix=(25, 27))
    assert choose(matrix, 25).prefix == (str(wrapper), "25")


@pytest.mark.parametrize("text", ["no-such-command-anywhere 27", "/no/such/directory"])
def test_what_is_neither_directory_nor_command_says_what_to_give(text: str) -> None:
    with pytest.raises(BeamUnavailable, match="neither a directory with bin/erl nor a command"):
        from_prefix(text)


def test_a_directory_without_erl_says_so(tmp_path: Path) -> None:
    with pytest.raises(BeamUnavailable, match="no bin/erl and no release in that directory"):
        from_prefix(str(tmp_path))


def test_a_release_is_known_by_its_boot_script_and_has_its_own_programs(tmp_path: Path) -> None:
    (tmp_path / "releases" / "1.0").mkdir(parents=True)
    (tmp_path / "releases" / "1.0" / "start.boot").touch()
    program(tmp_path, "erts-15.2/bin/erlexec")
    found = from_prefix(str(tmp_path))
    assert (found.root, found.path, found.release()) == (str(tmp_path), str(tmp_path / "erts-15.2" / "bin"), 27)


def test_a_release_without_a_runtime_system_needs_one(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "rel" / "releases" / "1.0").mkdir(parents=True)
    (tmp_path / "rel" / "releases" / "1.0" / "shop.boot").touch()
    with pytest.raises(BeamUnavailable, match="a release without erts, and no `erl` on PATH"):
        from_prefix(str(tmp_path / "rel"))
    program(bare, "erl")
    assert from_prefix(str(tmp_path / "rel")).root == str(tmp_path / "rel")


def test_a_node_that_runs_needs_no_erl_and_a_beam_beside_it_does(bare: Path) -> None:
    assert describe(Settings(beam="app@host")) == "beam: app@host, which runs already"
    with pytest.raises(
        BeamUnavailable, match="app@host runs already, but for a BEAM beside it there is no `erl` on PATH"
    ):
        choose(Settings(beam="app@host"), None)


def test_a_matrix_needs_a_place_for_each_release(tmp_path: Path) -> None:
    program(tmp_path, "bin/erl")
    with pytest.raises(BeamUnavailable, match="is one release"):
        choose(Settings(beam=str(tmp_path), matrix=(25, 27)), 27)


def test_what_was_not_found_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def nothing(_settings: Settings, release: Any) -> Any:
        asked.append(release)
        raise BeamUnavailable("nothing")

    monkeypatch.setattr(supply, "choose", nothing)
    made = Supply(Settings())
    for _ in range(3):
        with pytest.raises(BeamUnavailable):
            made.launcher()
    assert asked == [None]


def test_the_header_says_what_would_be_used(bare: Path, tmp_path: Path) -> None:
    assert describe(Settings(beam="/no/where")).startswith("beam: none: --beam /no/where: neither")
    assert describe(Settings()) == "beam: none: no `erl` and no `docker` on PATH; docker elixir:1.18"
    program(bare, "docker", "exit 1")
    assert describe(Settings(image="mine:{otp}", matrix=(25, 27))) == "beam: docker mine:25; docker mine:27"


def test_the_release_is_read_from_the_installations_files(tmp_path: Path) -> None:
    erl = program(tmp_path, "lib/erlang/bin/erl")
    (tmp_path / "lib/erlang/releases/27").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/erl").symlink_to(erl)
    assert from_prefix(str(tmp_path)).release() == 27


def test_settings_of_the_person_do_not_reach_the_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERL_FLAGS", "-setcookie mine")
    monkeypatch.setenv("KEEP_ME", "1")
    env = Launcher().environment({"MORE": "2"})
    assert "ERL_FLAGS" not in env
    assert (env["KEEP_ME"], env["MORE"]) == ("1", "2")
