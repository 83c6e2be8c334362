"""Names by the environment of Elixir's releases."""

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.kernel.release_core import complete, node_to_ask, release_node

BEAM = {"EMU": "beam", "BINDIR": "/usr/lib/erlang/erts/bin", "ROOTDIR": "/usr/lib/erlang"}


def host(long: bool) -> str:
    return "box.example.org" if long else "box"


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, None),
        ({"RELEASE_NODE": " "}, None),
        ({"RELEASE_NODE": "py@10.0.0.7"}, "py@10.0.0.7"),
        ({"RELEASE_NODE": "py"}, "py@box"),
        ({"RELEASE_NODE": "py", "RELEASE_DISTRIBUTION": "sname"}, "py@box"),
        ({"RELEASE_NODE": "py", "RELEASE_DISTRIBUTION": "name"}, "py@box.example.org"),
        ({"RELEASE_NODE": "py@a.b", "RELEASE_DISTRIBUTION": "none"}, None),
        ({"RELEASE_NODE": "app@a.b", **BEAM}, None),
    ],
)
def test_a_release_names_the_node_unless_it_is_the_release_of_the_beam_that_started_us(env, name):
    assert release_node(env, host) == name


@pytest.mark.parametrize(
    ("name", "said", "whole"),
    [
        ("app", "", "app"), ("app", "none", "app"), ("app", "sname", "app@box"), ("app", "name", "app@box.example.org"),
        ("app@a.b", "sname", "app@a.b"), ("", "name", ""),
    ],
)  # fmt: skip
def test_a_name_without_a_host_is_of_this_machine_where_the_environment_says_the_kind(name, said, whole):
    assert complete(name, {"RELEASE_DISTRIBUTION": said}, host) == whole


def test_what_is_no_distribution_is_refused_by_its_name():
    with pytest.raises(UsageError, match="RELEASE_DISTRIBUTION is 'long': give name, sname or none"):
        complete("app", {"RELEASE_DISTRIBUTION": "long"}, host)


def test_a_machine_without_a_domain_has_no_long_name():
    with pytest.raises(UsageError, match="has no domain"):
        release_node({"RELEASE_NODE": "py", "RELEASE_DISTRIBUTION": "name"}, lambda long: "box")


@pytest.mark.parametrize(
    ("env", "node"),
    [
        ({}, None),
        ({"RELEASE_NODE": "app@a.b", **BEAM}, "app@a.b"),
        ({"RELEASE_NODE": "app@a.b", "PYERLNODE_NODE": "py@a.b"}, "py@a.b"),
        ({"RELEASE_NODE": "app"}, "app@box"),
    ],
)
def test_a_command_that_names_no_node_means_the_one_of_its_environment(env, node):
    assert node_to_ask(env, host) == node
