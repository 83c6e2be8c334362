"""`ping`, `call` and `rpc` against a second node, as a user runs them."""

import json
import signal

import pytest
from place import PYERLNODE, Place

from pyerlnode.errors import UsageError
from pyerlnode.term import A
from pyerlnode.tools.remote import _brief, read_name


@pytest.mark.parametrize(
    ("text", "name"),
    [("counter", "counter"), ("MyApp.Stock", "Elixir.MyApp.Stock"), ("Elixir.String", "Elixir.String"),
     ("'Stock'", "Stock"), ("map!", "map!"), ("a-b", "a-b"), ("+", "+")],
)  # fmt: skip
def test_a_name_is_read_as_an_operator_types_it(text: str, name: str) -> None:
    assert read_name(text) is A[name]


@pytest.mark.parametrize("text", ["", "two words", "{a}", "'open", '"a"', "#Ref"])
def test_what_is_no_name_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a (name|term)"):
        read_name(text)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (A.killed, "killed"),
        ((A.burnt, (A.gen_server, A.call, [A.stock, A.get, 5000])), "burnt"),
        ((A.function_clause, [(A.stock, A.handle_call, [1, 2, 3], [])]), "function_clause in stock:handle_call/3"),
        ((A.badarith, [(A.erlang, A.div, 2, []), (A.m, A.f, 0, [])]), "badarith in erlang:div/2"),
        ((A.python_error, b"ValueError", b"no", [(A.m, A.f, 0, [])]), "ValueError: no"),
    ],
)
def test_a_reason_is_told_without_its_stack_and_the_call_that_it_ended(reason: object, text: str) -> None:
    assert _brief(reason) == text


def test_ping_says_pong_and_the_time(here: Place, app: str) -> None:
    ran = here.pyerlnode("ping", app)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"pong from {app} in ")


def test_ping_leaves_no_name_at_epmd(here: Place, app: str) -> None:
    assert here.pyerlnode("ping", app).returncode == 0
    assert here.names() == ["app"]


def test_call_prints_the_answer_in_erlangs_and_in_elixirs_syntax(here: Place, app: str) -> None:
    erlang = here.pyerlnode("rpc", app, "lists", "reverse", '[[1, {ok, <<"b">>}]]')
    elixir = here.pyerlnode("rpc", app, "lists", "reverse", '[[1, {:ok, "b"}]]', "--elixir")
    assert erlang.stdout == '[{ok,<<"b">>},1]\n', erlang.stderr
    assert elixir.stdout == '[{:ok, "b"}, 1]\n', elixir.stderr


def test_call_with_json_is_one_document(here: Place, app: str) -> None:
    document = json.loads(here.pyerlnode("rpc", app, "String", "upcase", '[<<"a">>]', "--json").stdout)
    assert document["ok"] is True
    assert (document["term"], document["value"], document["node"]) == ('<<"A">>', "A", app)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ping", "nobody@127.0.0.1"), "nobody"),
        (("ping", "app@127.0.0.1", "--cookie", "wrong"), "cookie"),
        (("ping", "app@127.0.0.1", "--epmd-port", "1"), "EPMD"),
        (("ping", "app@nosuchhost.invalid"), "nosuchhost.invalid"),
        (("ping", "app@127.0.0.1", "--name", "app@127.0.0.1"), "taken"),
        (("call", "app@127.0.0.1", "nobody", "hello"), "no process is registered"),
        (("call", "app@127.0.0.1", "stock", "wait", "--timeout", "0.1"), "no answer within 0.1 s"),
        (("rpc", "app@127.0.0.1", "erlang", "throw", "[ball]"), "threw ball"),
        (("rpc", "app@127.0.0.1", "erlang", "div", "[1, 0]"), "ZeroDivisionError"),
        (("rpc", "app@127.0.0.1", "os", "cmd", "[\"true\"]"), "not exported"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_what_was_tried_and_failed_is_one_line_and_status_1(
    here: Place, app: str, arguments: tuple[str, ...], says: str
) -> None:
    ran = here.pyerlnode(*arguments)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("pyerlnode: ")
    assert ran.stderr.count("\n") == 1
    assert says in ran.stderr
    assert "wrong" not in ran.stderr, "a cookie is never shown"


def test_a_cookie_file_of_any_mode_is_taken(here: Place, app: str) -> None:
    file = here.home / "open.cookie"
    file.write_text("secret")
    file.chmod(0o644)
    assert here.pyerlnode("ping", app, "--cookie-file", str(file)).returncode == 0
    loud = here.pyerlnode("ping", app, "--cookie-file", str(file), "-v")
    assert "can be read by everybody" in loud.stderr


def test_the_environment_of_a_release_names_cookie_file_and_node(here: Place, app: str) -> None:
    file = here.home / "mounted.cookie"
    file.write_text("secret\n")
    names = {"RELEASE_NODE": app, "PYERLNODE_COOKIE_FILE": str(file), "RELEASE_COOKIE": "another"}
    ran = here.pyerlnode("ping", env={**here.environment, **names})
    assert (ran.returncode, ran.stderr) == (0, "")
    ran = here.pyerlnode("ping", "app", env={**here.environment, "RELEASE_DISTRIBUTION": "long"})
    assert (ran.returncode, ran.stderr) == (2, "pyerlnode: RELEASE_DISTRIBUTION is 'long': give name, sname or none\n")


def test_the_log_is_shown_on_request_only(here: Place, app: str) -> None:
    loud = here.pyerlnode("ping", "nobody@127.0.0.1", "-v")
    assert loud.stderr.splitlines()[-1].startswith("pyerlnode: ")


def test_an_interrupt_ends_a_waiting_call_with_status_130_and_no_trace(here: Place, app: str) -> None:
    program = here.start((*PYERLNODE, "call", app, "stock", "wait", "--timeout", "60", "-v"), "connected")
    status = here.end(program, signal.SIGINT)
    assert status == 130
