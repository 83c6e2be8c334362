"""`doctor`: what it finds, and that it makes nothing."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from place import Place

HIDDEN = "import sys; sys.modules['pyerlnode.etf._codec_c'] = None\n"


def findings(here: Place, home: Path | None = None, status: int = 0, **env: str) -> dict[str, dict[str, Any]]:
    settings = {**here.environment, **({} if home is None else {"HOME": str(home)}), **env}
    ran = here.pyerlnode("doctor", "--json", env=settings)
    assert (ran.returncode, ran.stderr) == (status, "")
    document = json.loads(ran.stdout)
    assert document["ok"] is (status == 0)
    return {found["what"]: found for found in document["findings"]}


def test_a_machine_that_is_right_is_told_line_by_line(here: Place) -> None:
    found = findings(here, PYERLNODE_PUREPYTHON="1")
    assert list(found) == ["python", "codec", "cookie", "host", "addresses", "epmd", "beam"]
    assert found["cookie"]["text"] == f"from {here.home / '.erlang.cookie'}"
    assert (found["epmd"]["state"], found["codec"]["state"]) == ("ok", "note")
    assert found["epmd"]["text"].startswith(f"runs on port {here.epmd_port}; registered: ")
    assert "PYERLNODE_PUREPYTHON=1" in found["codec"]["text"]


def test_what_is_wrong_is_bad_and_status_1(here: Place, tmp_path: Path) -> None:
    (tmp_path / ".erlang.cookie").write_text("secret")
    (tmp_path / ".erlang.cookie").chmod(0o644)
    found = findings(here, tmp_path, 1, RELEASE_NODE="py", RELEASE_DISTRIBUTION="long")
    assert [what for what, one in found.items() if one["state"] == "bad"] == ["cookie", "name"]
    assert "chmod 400" in found["cookie"]["text"]


def test_no_cookie_is_made(here: Place, tmp_path: Path) -> None:
    assert "none yet" in findings(here, tmp_path)["cookie"]["text"]
    assert list(tmp_path.iterdir()) == []


def test_a_mounted_cookie_that_others_can_read_is_a_note(here: Place, tmp_path: Path) -> None:
    (tmp_path / "cookie").write_text("secret")
    (tmp_path / "cookie").chmod(0o644)
    found = findings(here, tmp_path, PYERLNODE_COOKIE_FILE=str(tmp_path / "cookie"))["cookie"]
    assert (found["state"], "everybody" in found["text"]) == ("note", True)


@pytest.mark.parametrize(("env", "times"), [({}, 1), ({"PYERLNODE_PUREPYTHON": "1"}, 0)])
def test_a_codec_that_is_missing_is_told_of_once_a_program(here: Place, env: dict[str, str], times: int) -> None:
    program = """
import logging
logging.basicConfig(level="WARNING")
from pyerlnode import Node
for _ in range(2):
    with Node(epmd="none"):
        pass
"""
    ran = here.run(
        [sys.executable, "-c", HIDDEN + program], env={**here.environment, "PYERLNODE_PUREPYTHON": "", **env}
    )
    assert (ran.returncode, ran.stderr.count("see `pyerlnode doctor`")) == (0, times), ran.stderr
