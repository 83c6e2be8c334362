"""The command line: one line and a status for whatever is wrong, and nothing imported that is not needed."""

import logging
import subprocess
import sys

import pytest

from pyerlnode import __version__
from pyerlnode.tools import cli


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pong"], "pong"),
        (["ping"], "name a NODE"),
        (["call"], "NODE"),
        (["ping", "app"], "app@host"),
        (["ping", "@"], "@"),
        (["ping", "a@b@c"], "more than one @"),
        (["ping", "app@127.0.0.1", "--cookie", ""], "empty"),
        (["ping", "app@127.0.0.1", "--cookie", "é"], "ASCII"),
        (["ping", "app@127.0.0.1", "--cookie", "a", "--cookie-file", "b"], "not both"),
        (["ping", "app@127.0.0.1", "--cookie-file", "/nonexistent"], "/nonexistent"),
        (["ping", "app@127.0.0.1", "--cookie", "c", "--name", "no host"], "no host"),
        (["ping", "app@127.0.0.1", "--timeout", "never"], "'never'"),
        (["ping", "app@127.0.0.1", "--timeout", "-1"], "--timeout"),
        (["ping", "app@127.0.0.1", "--timeout", "nan"], "'nan'"),
        (["ping", "app@127.0.0.1", "--epmd-port", "70000"], "70000"),
        (["ping", "app@127.0.0.1", "--peer-port", "x"], "'x' is not a port"),
        (["ping", "app@127.0.0.1", "--cookie", "c", "--tls-optfile", "/nonexistent"], "/nonexistent"),
        (["ping", "app@127.0.0.1", "--count", "0"], "count"),
        (["ping", "app@127.0.0.1", "--speed"], "--speed"),
        (["call", "app@127.0.0.1", "stock"], "TERM"),
        (["call", "app@127.0.0.1", "stock", "{get,"], "TERM is not a term"),
        (["call", "app@127.0.0.1", "stock", ""], "TERM is not a term"),
        (["call", "app@127.0.0.1", "two words", "ok"], "'two words' is not a name"),
        (["rpc", "app@127.0.0.1", "lists", "reverse", "{1, 2}"], "list of the arguments"),
        (["rpc", "app@127.0.0.1", "lists", "reverse", "[1, 2"], "ARGS is not a term"),
        (["names", "--watch"], "terminal"),
        (["epmd", "--port", "x"], "'x' is not a port"),
        (["demo", "--peer", "cobol"], "cobol"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_can_not_be_tried_is_one_line_and_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PYERLNODE_NODE", "RELEASE_NODE"):
        monkeypatch.delenv(variable, raising=False)
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pyerlnode: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_failure_with_json_is_one_document_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert cli.main(["ping", "app", "--json"]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert document["ok"] is False
    assert document["kind"] == "BadName"


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pyerlnode {__version__}\n"


def test_no_command_shows_the_commands_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "ping" in capsys.readouterr().out


def test_the_parser_costs_neither_gevent_nor_the_codec() -> None:
    heavy = "gevent pyerlnode.node pyerlnode.etf pyerlnode.term socket json logging IPython"
    code = f"""
import sys
from pyerlnode.tools.cli import parser
parser()
print([m for m in '{heavy}'.split() if m in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_an_interrupt_is_status_130_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyerlnode.tools.names.names", interrupted)
    assert cli.main(["names"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_command_leaves_the_programs_logging_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("pyerlnode")
    before = logger.level, list(logger.handlers)
    assert cli.main(["ping", "app"]) == 2
    assert (logger.level, logger.handlers) == before
