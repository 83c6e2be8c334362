"""OTP releases as the BEAM of a test: what `mix release` makes, and plain ones, of `systools` or of rebar3's relx.

A release is started as it starts itself, with its own applications, configuration and flags: one of Mix by its
``bin/NAME start``, a plain one by its boot script with ``sys.config`` and ``vm.args``. Only its name and its cookie are
the test's, and beside its applications runs the agent, by which the test drives it. There need be no `erl` and no
`epmd` on PATH: those of the release are taken.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

PLACES = ("$PWD", "/app", "/opt/*", "/srv/*", "/home/*")
"""Where a release is looked for in an image that has no `erl`: its working directory first."""

FIND_RELEASE = f"""
has_release() {{ for b in "$1"/releases/*/*.boot; do [ -e "$b" ] && return; done; return 1; }}
r=$PYERLNODE_RELEASE
unset PYERLNODE_RELEASE
if [ -z "$r" ] && ! command -v erl >/dev/null 2>&1; then
  for d in {" ".join(place if "*" in place else f'"{place}"' for place in PLACES)}; do
    if has_release "$d"; then r=$d; break; fi
  done
  [ -n "$r" ] || {{ echo "no erl on PATH, and no release in {", ".join(PLACES)}" >&2; exit 127; }}
fi
"""
"""Sets `r` to the directory of the release; empty where `erl` is on PATH and no directory was told."""

START_RELEASE = rf"""
{FIND_RELEASE}
flags=$PYERLNODE_FLAGS
unset PYERLNODE_FLAGS
if [ -n "$r" ]; then
  v=$(cut -d' ' -f2 "$r/releases/start_erl.data" 2>/dev/null)
  [ -n "$v" ] || for b in "$r"/releases/*/*.boot; do v=${{b%/*}}; v=${{v##*/}}; done
  v=$r/releases/$v
  if [ -f "$v/elixir" ] && [ -f "$v/env.sh" ]; then
    for n in "$v"/*.rel; do n=${{n##*/}}; n=${{n%.rel}}; done
    # It says -noshell itself, and of the two the last one counts.
    export ERL_AFLAGS="$flags" ERL_ZFLAGS=-noinput
    exec "$r/bin/$n" start
  fi
  # Its own names would be second ones, and its heart would bring back what a test has killed.
  [ ! -f "$v/vm.args" ] ||
    export ERL_AFLAGS="$(sed '/^ *#/d; /^ *-\(name\|sname\|setcookie\|heart\)/d' "$v/vm.args" | tr '\n' ' ')"
  [ ! -f "$v/sys.config" ] || set -- -config "$v/sys" "$@"
  b=$v/start.boot
  [ -f "$b" ] || for b in "$v"/*.boot; do case $b in */start_clean.boot|*/no_dot_erlang.boot) ;; *) break ;; esac; done
  set -- -boot "${{b%.boot}}" -boot_var RELEASE_DIR "$r" -boot_var ERTS_LIB_DIR "$r/lib" "$@"
  for e in "$r"/erts-*/bin/erlexec; do
    [ -x "$e" ] || exec erl "$@"
    export ROOTDIR="$r" BINDIR="${{e%/erlexec}}" EMU=beam PROGNAME=erl
    exec "$e" "$@"
  done
fi
"""

START_EPMD = f"""
{FIND_RELEASE}
for e in "$r"/erts-*/bin/epmd; do [ ! -x "$e" ] || exec "$e" "$@"; done
exec epmd "$@"
"""
"""The installation's `epmd`, or that of a release."""


def environment_for(root: str, kind: str, name: str, cookie: str, options: Sequence[str]) -> dict[str, str]:
    """What a release is told; `root` is its directory, empty where it is to be found."""
    flags = []
    words = iter(options)
    for word in words:
        if word in ("-name", "-sname", "-setcookie", "-boot"):
            next(words)
        else:
            flags.append(word)
    return {
        "PYERLNODE_RELEASE": root,
        "PYERLNODE_FLAGS": shlex.join(flags),
        "RELEASE_DISTRIBUTION": kind.removeprefix("-"),
        "RELEASE_NODE": name,
        "RELEASE_COOKIE": cookie,
    }


def is_release(directory: str) -> bool:
    """Whether a release is in this directory of this machine."""
    return any(Path(directory, "releases").glob("*/*.boot")) and not Path(directory, "bin", "erl").exists()


def erts_of(directory: str) -> str:
    """Where its programs are; empty when it was made without any, for an installation that is there."""
    found = sorted(Path(directory).glob("erts-*/bin"))
    return os.fspath(found[-1]) if found else ""


def otp_of(directory: str) -> int | None:
    """The OTP release of its runtime system, None when that is not in it: erts 13 is OTP 25, and so on."""
    match = re.search(r"erts-(\d+)", erts_of(directory))
    return int(match[1]) + 12 if match else None
