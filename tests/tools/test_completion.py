"""bash completes commands, their options, and the words that an option takes."""

import subprocess

import pytest

from pyerlnode.testing.patience import patience
from pyerlnode.tools.cli import parser
from pyerlnode.tools.completion import script

ASK = """
COMP_WORDS=({words})
COMP_CWORD={at}
_pyerlnode
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(*words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    source = script(parser()) + ASK.format(words=quoted, at=len(words) - 1)
    ran = subprocess.run(["bash", "-c", source], capture_output=True, text=True, check=True, timeout=patience())
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (("pyerlnode", "mail"), ["mailbox"]),
        (("pyerlnode", "top", "app@h", "--rea"), ["--read-only"]),
        (("pyerlnode", "top", "app@h", "--by", "me"), ["memory"]),
        (("pyerlnode", "journal", "sal"), ["salvage"]),
        (("pyerlnode", "ets", "--by", ""), ["memory", "size"]),
        (("pyerlnode", "unknown", "--"), []),
        (("pyerlnode", "record", "app@h", "some_fi"), []),
    ],
    ids=" ".join,
)
def test_bash_offers_what_the_parser_takes(words: tuple[str, ...], offers: list[str]) -> None:
    assert offered(*words) == offers


def test_every_command_is_offered() -> None:
    found = offered("pyerlnode", "")
    assert {"top", "tree", "shell", "ping", "completion"} <= {*found}
    assert len(found) == len({*found})
