"""Where the cookie comes from, and which ones are refused."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from pyerlnode.errors import CookieError
from pyerlnode.kernel.cookies import find_cookie


def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def write(path: Path, text: str, mode: int = 0o400) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_an_argument_goes_before_everything(tmp_path):
    write(tmp_path / ".erlang.cookie", "FILE")
    assert find_cookie("argument", None, {**home(tmp_path), "PYERLNODE_COOKIE": "env"}) == "argument"


def test_a_named_file_goes_before_the_environment(tmp_path):
    named = write(tmp_path / "named", "  NAMED \n")
    assert find_cookie(None, named, {"PYERLNODE_COOKIE": "env"}) == "NAMED"


@pytest.mark.parametrize("variable", ["PYERLNODE_COOKIE", "RELEASE_COOKIE"])
def test_the_environment_goes_before_the_file(tmp_path, variable):
    write(tmp_path / ".erlang.cookie", "FILE")
    assert find_cookie(None, None, {**home(tmp_path), variable: "env"}) == "env"


def test_the_file_of_otp_is_read_and_its_line_end_cut(tmp_path):
    write(tmp_path / ".erlang.cookie", "FILE\n")
    assert find_cookie(None, None, home(tmp_path)) == "FILE"


def test_the_second_place_is_looked_at_when_the_first_has_none(tmp_path):
    write(tmp_path / ".config" / "erlang" / ".erlang.cookie", "SECOND")
    assert find_cookie(None, None, home(tmp_path)) == "SECOND"


def test_without_a_file_one_is_created_as_otp_does(tmp_path):
    cookie = find_cookie(None, None, home(tmp_path), lambda letters: letters[3])
    path = tmp_path / ".erlang.cookie"
    assert cookie == path.read_text() == "D" * 20
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert find_cookie(None, None, home(tmp_path)) == cookie


def test_a_file_that_others_can_read_is_refused_with_what_to_do(tmp_path):
    path = write(tmp_path / ".erlang.cookie", "SECRET", 0o440)
    with pytest.raises(CookieError, match="can be read by others: chmod 400") as caught:
        find_cookie(None, None, home(tmp_path))
    assert str(path) in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "who"), [(0o644, "everybody"), (0o444, "everybody"), (0o440, "its group"), (0o400, ""), (0o600, "")]
)
def test_a_file_that_was_named_is_taken_with_any_mode_and_a_warning(tmp_path, mode, who, caplog):
    named = write(tmp_path / "secret", "SECRET\n", mode)
    assert find_cookie(None, named, {}) == "SECRET"
    assert find_cookie(None, None, {"PYERLNODE_COOKIE_FILE": str(named), "RELEASE_COOKIE": "env"}) == "SECRET"
    assert len(caplog.messages) == (2 if who else 0)
    assert all(who in message and "SECRET" not in message for message in caplog.messages)


def test_a_file_that_is_mounted_as_kubernetes_does_is_found_through_its_links(tmp_path):
    write(tmp_path / "..2026" / "cookie", "SECRET", 0o644)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "cookie").symlink_to("..data/cookie")
    assert find_cookie(None, tmp_path / "cookie", {}) == "SECRET"


def test_the_cookie_of_the_environment_goes_before_its_file(tmp_path):
    env = {"PYERLNODE_COOKIE": "env", "PYERLNODE_COOKIE_FILE": str(tmp_path / "none")}
    assert find_cookie(None, None, env) == "env"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a moment")
def test_a_file_of_another_user_says_what_to_do():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        named = write(Path(folder) / "secret", "SECRET", 0o400)
        os.seteuid(65534)
        try:
            with pytest.raises(CookieError, match=r"can not be read by this user \(65534\): give it the file"):
                find_cookie(None, named, {})
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("cookie", ["", "a\nb", "é", "x" * 256, 7])
def test_a_bad_cookie_is_refused_without_being_shown(cookie):
    with pytest.raises(CookieError) as caught:
        find_cookie(cookie)
    assert "xxx" not in str(caught.value)
    assert "é" not in str(caught.value)


def test_a_missing_file_that_was_named_is_an_error(tmp_path):
    with pytest.raises(CookieError, match="there is no cookie file"):
        find_cookie(None, tmp_path / "none")


def test_a_folder_is_no_cookie_file(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    with pytest.raises(CookieError, match="can not be read"):
        find_cookie(None, folder)


def test_a_home_that_can_not_be_written_says_what_to_give(tmp_path):
    blocked = write(tmp_path / "file", "", 0o600)
    with pytest.raises(CookieError, match="give cookie="):
        find_cookie(None, None, {"HOME": os.path.join(blocked, "home")})
