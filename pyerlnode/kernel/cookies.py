"""The cookie: from the argument, the environment, or the file that OTP uses (protocol.md B.7).

Order: an argument; a file named by an argument; `PYERLNODE_COOKIE`; the file that `PYERLNODE_COOKIE_FILE` names;
`RELEASE_COOKIE` (what Elixir's releases read); ``$HOME/.erlang.cookie``;
``$XDG_CONFIG_HOME/erlang/.erlang.cookie``. Where none of the last two exists, the first is created with 20 random
capital letters and mode 0400; one that others can read is refused; both as OTP does.

A file that was named is another matter: secrets that Kubernetes and Docker mount have the modes 0644, 0444 or 0440, and
their owner is root. It is taken with whatever mode it has, and a warning says who else can read it.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from collections.abc import Callable, Mapping

from pyerlnode.errors import CookieError

log = logging.getLogger("pyerlnode.cookies")

COOKIE, FILE, RELEASE = "PYERLNODE_COOKIE", "PYERLNODE_COOKIE_FILE", "RELEASE_COOKIE"
MAX_LENGTH = 255


def find_cookie(
    cookie: str | None = None,
    cookie_file: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    choose: Callable[[str], str] = secrets.choice,
) -> str:
    """The cookie of this node. Raises `CookieError` with what is wrong and what to do."""
    env = os.environ if environment is None else environment
    if cookie is not None:
        return check(cookie, "the cookie")
    if cookie_file is not None:
        return read(cookie_file, named=True)
    if env.get(COOKIE):
        return check(env[COOKIE], COOKIE)
    if env.get(FILE):
        return read(env[FILE], named=True)
    if env.get(RELEASE):
        return check(env[RELEASE], RELEASE)
    paths = default_files(env)
    for path in paths:
        if os.path.exists(path):
            return read(path)
    return create(paths[0], choose)


def default_files(env: Mapping[str, str]) -> list[str]:
    home = env.get("HOME") or os.path.expanduser("~")
    config = env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    return [os.path.join(home, ".erlang.cookie"), os.path.join(config, "erlang", ".erlang.cookie")]


def check(cookie: str, what: str) -> str:
    """A cookie is an atom of printable ASCII. The text never appears in an error."""
    if not isinstance(cookie, str):
        raise CookieError(f"{what} is a str, not {type(cookie).__name__}")
    if not cookie:
        raise CookieError(f"{what} is empty: give the one of the cluster")
    if len(cookie) > MAX_LENGTH:
        raise CookieError(f"{what} has {len(cookie)} characters, an atom has at most {MAX_LENGTH}")
    if not all(" " <= c <= "~" for c in cookie):
        raise CookieError(f"{what} has characters other than printable ASCII")
    return cookie


def read(path: str | os.PathLike[str], *, named: bool = False) -> str:
    """The cookie in a file; blanks and line ends around it are cut. One that was not `named` is the user's alone."""
    try:
        mode = os.stat(path).st_mode
        with open(path, encoding="ascii") as file:
            text = file.read().strip("\r\n ")
    except FileNotFoundError:
        raise CookieError(f"there is no cookie file {path}: create it, or give the cookie itself") from None
    except PermissionError:
        raise CookieError(
            f"the cookie file {path} can not be read by this user ({os.geteuid()}): "
            f"give it the file, or its group and 0440"
        ) from None
    except OSError as error:
        raise CookieError(f"the cookie file {path} can not be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise CookieError(f"the cookie in {path} has characters other than printable ASCII") from None
    if not stat.S_ISREG(mode):
        raise CookieError(f"the cookie file {path} is no regular file")
    if mode & 0o077 and named:
        who = "everybody on this machine" if mode & 0o007 else "its group"
        log.warning("the cookie file %s can be read by %s (mode %04o)", path, who, stat.S_IMODE(mode))
    elif mode & 0o077:
        raise CookieError(f"the cookie file {path} can be read by others: chmod 400 {path}")
    return check(text, f"the cookie in {path}")


def create(path: str, choose: Callable[[str], str] = secrets.choice) -> str:
    """A new cookie file, as OTP makes one."""
    cookie = "".join(choose("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(20))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(cookie)
    except FileExistsError:  # another node was quicker
        return read(path)
    except OSError as error:
        raise CookieError(f"the cookie file {path} can not be created: {error.strerror}; give cookie=…") from error
    return cookie
