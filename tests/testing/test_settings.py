"""`testing.settings`: whether somebody has asked for a certain BEAM, wherever they said so."""

from pathlib import Path
from typing import Any

import pytest

from pyerlnode.testing.settings import read


class Config:
    """As much of pytest's configuration as the settings look at."""

    def __init__(self, options: dict[str, str], ini: dict[str, str]) -> None:
        self._options, self._ini = options, ini
        self.rootpath = Path("/of/the/project")

    def getoption(self, name: str) -> Any:
        return self._options.get(name.removeprefix("--").replace("-", "_"))

    def getini(self, name: str) -> str:
        return self._ini.get(name, "")


@pytest.mark.parametrize("how", ["option", "ini", "environment"])
@pytest.mark.parametrize(
    ("key", "value", "beam", "containers"),
    [
        ("beam", "auto", False, False),
        ("beam_required", "true", False, False),
        ("beam", "local", True, False),
        ("beam", "app@host", True, False),
        ("beam", "docker", True, True),
        ("beam_image", "mine:27", True, True),
        ("beam_image", "elixir:1.18", True, True),  # the default, but said
        ("beam_matrix", "25,27", True, False),
    ],
)
def test_a_beam_is_asked_for_by_its_name_however_it_is_said(
    monkeypatch: pytest.MonkeyPatch, how: str, key: str, value: str, beam: bool, containers: bool
) -> None:
    for name in ("BEAM", "BEAM_IMAGE", "BEAM_MATRIX", "BEAM_REQUIRED"):
        monkeypatch.delenv(f"PYERLNODE_{name}", raising=False)
    said = {key: value}
    if how == "environment":
        monkeypatch.setenv(f"PYERLNODE_{key.upper()}", value)
    found = read(Config(said if how == "option" else {}, said if how == "ini" else {}))
    assert (found.beam_named, found.containers_named) == (beam, containers)


def test_what_the_project_wants_of_its_beam_is_read_from_the_root(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "lib" / name / "ebin").mkdir(parents=True)
    said = {
        "beam_args": "-kernel net_ticktime 7 -extra 'two words'", "beam_pa": f"{tmp_path}/lib/*/ebin missing",
        "beam_env": "A=1 'B=two words' C=", "beam_apps": "crypto, ssl", "beam_cookie": "ours", "beam_mix": "shop",
    }  # fmt: skip
    found = read(Config({}, said))
    assert found.args == ("-kernel", "net_ticktime", "7", "-extra", "two words")
    assert found.pa == (f"{tmp_path}/lib/one/ebin", f"{tmp_path}/lib/two/ebin", "/of/the/project/missing")
    assert found.env == (("A", "1"), ("B", "two words"), ("C", ""))
    assert (found.apps, found.cookie, found.mix) == (("crypto", "ssl"), "ours", "/of/the/project/shop")
    assert not found.beam_named


def test_a_variable_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="--beam-env: 'COLOUR' is no NAME=VALUE"):
        read(Config({"beam_env": "COLOUR"}, {}))


@pytest.mark.parametrize(
    ("text", "found"),
    [("", None), ("app:4370", ("app", 4370)), ("10.0.0.7:1", ("10.0.0.7", 1)), ("[::1]:9", ("::1", 9))],
)
def test_an_address_is_a_host_and_a_port(text: str, found: tuple[str, int] | None) -> None:
    assert read(Config({"beam_address": text}, {})).address == found


@pytest.mark.parametrize("text", ["app", "app:", ":4370", "app:0", "app:65536", "app:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"--beam-address: .* is no HOST:PORT"):
        read(Config({"beam_address": text}, {}))
