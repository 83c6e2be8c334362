"""What `pyerlnode run` was told: by flags, else by the environment, else by a TOML file.

One table says all of them: a key ``log-format`` is the flag ``--log-format``, the variable ``PYERLNODE_LOG_FORMAT`` and
the line ``log-format = "json"`` (or ``log_format``) of the file. The name's variable is ``PYERLNODE_NODE``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pyerlnode.brief import short
from pyerlnode.errors import UsageError

TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


# --- one value ---------------------------------------------------------------------------------
def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is a text")
    return value.strip()


def _target(value: Any) -> str:
    if not isinstance(value, str) or not TARGET.fullmatch(value):
        raise ValueError("is module:factory, as shop:make")
    return value


def _number(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is a number from {low} to {high}")
        return value

    return read


def _seconds(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        found = float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found < 1e6:
        raise ValueError("is a number of seconds, 0 or more")
    return found


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        value = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(value.lower())
    if not isinstance(value, bool):
        raise ValueError("is true or false")
    return value


def _names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise ValueError("is a list of names")
    return tuple(part.strip() for part in parts if part.strip())


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is one of {', '.join(words)}")
        return str(value)

    return read


def _ports(value: Any) -> str:
    """``9100``, or a range ``9100-9110``."""
    text = str(value).strip()
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if isinstance(value, bool) or not found:
        raise ValueError("is a port, or a range as 9100-9110")
    low, high = int(found[1]), int(found[2] or found[1])
    if not 0 < low <= high < 65536:
        raise ValueError("is a port from 1 to 65535, or a range of these")
    return text


def _health(value: Any) -> str:
    """``8080``, or ``127.0.0.1:8080``."""
    text = str(value).strip()
    host, _, port = text.rpartition(":")
    if isinstance(value, bool) or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("is a port, or host:port")
    return f"{host}:{port}"


# --- all of them -------------------------------------------------------------------------------
READ: dict[str, Callable[[Any], Any]] = {
    "factory": _target,
    "name": _text,
    "workers": _number(1, 512),
    "group": _text,
    "scope": _text,
    "connect": _names,
    "cookie": _text,
    "cookie_file": _text,
    "visible": _flag,
    "epmd": _one_of("auto", "external", "embedded", "none"),
    "epmd_port": _number(1, 65535),
    "ports": _ports,
    "peer_port": _number(1, 65535),
    "listen": _text,
    "allow": _names,
    "tls_optfile": _text,
    "health": _health,
    "drain": _seconds,
    "quiet": _seconds,
    "hang": _seconds,
    "log_level": _one_of("debug", "info", "warning", "error"),
    "log_format": _one_of("text", "json"),
    "reload": _flag,
}
VARIABLES = {"name": "PYERLNODE_NODE"}
COOKIES = ("cookie", "cookie_file")
"""Not read from the environment here: what finds a node's cookie knows its variables, and in which order they count."""
COOKIE_VARIABLES = ("PYERLNODE_COOKIE", "PYERLNODE_COOKIE_FILE", "RELEASE_COOKIE")


@dataclass(frozen=True, slots=True)
class Settings:
    """Attributes: as the flags of `pyerlnode run`."""

    factory: str
    name: str | None = None
    workers: int = 1
    group: str | None = None
    scope: str = "pg"
    connect: tuple[str, ...] = ()
    cookie: str | None = None
    cookie_file: str | None = None
    visible: bool = False
    epmd: str = "auto"
    epmd_port: int | None = None
    ports: str | None = None
    peer_port: int | None = None
    listen: str | None = None
    allow: tuple[str, ...] = ()
    tls_optfile: str | None = None
    health: str | None = None
    drain: float = 20.0
    quiet: float = 0.5
    hang: float = 30.0
    log_level: str = "info"
    log_format: str = "text"
    reload: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


def settings(flags: Mapping[str, Any], env: Mapping[str, str], file: Mapping[str, Any]) -> Settings:
    """Put together. `flags` has None for what was not given.

    Raises:
        UsageError: a value is wrong, or a line of the file is none of these; in one line.
    """
    for key in file:
        if key.replace("-", "_") not in READ:
            raise UsageError(f"the configuration has {short(key)}, which is none of {', '.join(map(_flag_of, READ))}")
    lines = {key.replace("-", "_"): value for key, value in file.items()}
    if any(env.get(name) for name in COOKIE_VARIABLES):
        lines = {key: value for key, value in lines.items() if key not in COOKIES}
    found = {key: value for key in READ if (value := _find(key, flags, env, lines)) is not None}
    if "factory" not in found:
        raise UsageError("say what to run: pyerlnode run module:factory (or factory = in the configuration)")
    if found.get("cookie") and found.get("cookie_file"):
        raise UsageError("give cookie or cookie-file, not both")
    made = Settings(**found)
    if made.workers > 1 and made.ports is not None and port_count(made.ports) < made.workers:
        raise UsageError(f"{made.workers} workers need as many ports: --ports 9100-{9099 + made.workers}")
    return made


def _find(key: str, flags: Mapping[str, Any], env: Mapping[str, str], lines: Mapping[str, Any]) -> Any:
    variable = VARIABLES.get(key, f"PYERLNODE_{key.upper()}")
    if flags.get(key) is not None:
        return _read(key, flags[key], f"--{_flag_of(key)}" if key != "factory" else "FACTORY")
    if key not in COOKIES and env.get(variable, "").strip():
        return _read(key, env[variable], f"${variable}")
    return _read(key, lines[key], f"{_flag_of(key)} of the configuration") if key in lines else None


def _read(key: str, value: Any, what: str) -> Any:
    try:
        return READ[key](value)
    except ValueError as error:
        raise UsageError(f"{what} {error}, not {short(value)}") from None


def _flag_of(key: str) -> str:
    return key.replace("_", "-")


def port_range(ports: str) -> range:
    low, _, high = ports.partition("-")
    return range(int(low), int(high or low) + 1)


def port_count(ports: str) -> int:
    return len(port_range(ports))
