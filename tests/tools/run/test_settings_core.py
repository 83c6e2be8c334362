"""What `pyerlnode run` was told, by flags, the environment and a file, and what is wrong with it."""

from typing import Any

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.tools.run.settings_core import port_range, settings


def test_a_flag_goes_before_the_environment_and_that_before_the_file() -> None:
    file = {"factory": "a:f", "workers": 4, "log-format": "json", "connect": ["a@h", "b@h"], "drain": 3}
    env = {"PYERLNODE_WORKERS": "3", "PYERLNODE_NODE": "shop@h", "PYERLNODE_QUIET": "0.25", "PYERLNODE_GROUP": ""}
    made = settings({"factory": "b:f", "workers": None, "group": None}, env, file)
    assert (made.factory, made.workers, made.name, made.group) == ("b:f", 3, "shop@h", None)
    assert (made.log_format, made.connect, made.drain, made.quiet) == ("json", ("a@h", "b@h"), 3.0, 0.25)
    assert settings({"workers": "2"}, env, file).workers == 2
    words = {"1": True, "true": True, "yes": True, "0": False, "False": False, "no": False}
    for word, wanted in words.items():
        assert settings({"factory": "a:f"}, {"PYERLNODE_VISIBLE": word}, {"visible": not wanted}).visible is wanted


def test_the_cookie_of_the_environment_is_left_to_those_who_know_the_order() -> None:
    made = settings({"factory": "a:f"}, {"PYERLNODE_COOKIE": "c"}, {"cookie-file": "/x"})
    assert (made.cookie, made.cookie_file) == (None, None)
    assert settings({"factory": "a:f"}, {}, {"cookie-file": "/x"}).cookie_file == "/x"
    assert settings({"factory": "a:f", "cookie_file": "/y"}, {"PYERLNODE_COOKIE": "c"}, {}).cookie_file == "/y"


@pytest.mark.parametrize(
    ("flags", "env", "file", "says"),
    [
        ({}, {}, {}, "say what to run"),
        ({"factory": "shop"}, {}, {}, "FACTORY is module:factory, as shop:make, not"),
        ({"workers": "0"}, {}, {}, "--workers is a number from 1 to 512, not '0'"),
        ({"workers": "many"}, {}, {}, "--workers is a number"),
        ({}, {"PYERLNODE_WORKERS": "x"}, {}, "$PYERLNODE_WORKERS is a number"),
        ({}, {}, {"workers": True}, "workers of the configuration is a number"),
        ({}, {}, {"wokers": 1}, "the configuration has 'wokers', which is none of factory, name, workers"),
        ({}, {}, {"health": "here"}, "health of the configuration is a port, or host:port"),
        ({"ports": "9100-9000"}, {}, {}, "--ports is a port from 1 to 65535"),
        ({"ports": "9100", "workers": "2"}, {}, {}, "2 workers need as many ports: --ports 9100-9101"),
        ({"drain": "-1"}, {}, {}, "--drain is a number of seconds"),
        ({"drain": "nan"}, {}, {}, "--drain is a number of seconds"),
        ({"epmd": "maybe"}, {}, {}, "--epmd is one of auto, external, embedded, none"),
        ({"log_level": "loud"}, {}, {}, "--log-level is one of debug, info, warning, error"),
        ({}, {"PYERLNODE_VISIBLE": "maybe"}, {}, "$PYERLNODE_VISIBLE is true or false"),
        ({}, {}, {"connect": [1]}, "connect of the configuration is a list of names"),
        ({"cookie": "a"}, {}, {"cookie-file": "b"}, "give cookie or cookie-file, not both"),
        ({"name": " "}, {}, {}, "--name is a text"),
    ],
)
def test_whatever_is_wrong_is_told_in_one_line_that_says_where_it_was_said(
    flags: dict[str, Any], env: dict[str, str], file: dict[str, Any], says: str
) -> None:
    if says != "say what to run":
        flags = {"factory": "shop:make", **flags}
    with pytest.raises(UsageError) as caught:
        settings(flags, env, file)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_ports_are_one_or_a_range() -> None:
    assert list(port_range("9100")) == [9100]
    assert list(port_range("9100-9102")) == [9100, 9101, 9102]
