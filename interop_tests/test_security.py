"""Nothing unexported is reachable: a list of attempts over each road, each answered `undef` and logged once."""

import logging
from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.testing.beam import Beam

ATTEMPTS = [
    ("os", "cmd", [b"id"]),
    ("os", "system", [b"id"]),
    ("erlang", "halt", []),
    ("erlang", "halt", [1]),
    ("code", "load_binary", [A.m, b"m.erl", b"FOR1"]),
    ("erl_eval", "exprs", [[], []]),
    ("file", "read_file", [b"/etc/passwd"]),
    ("builtins", "eval", [b"1"]),
    ("builtins", "__import__", [b"os"]),
    ("subprocess", "run", [b"id"]),
    ("pickle", "loads", [b"cos\nsystem\n(S'id'\ntR."]),
    ("m", "allowed.__globals__", []),
    ("m", "allowed.__call__", []),
    ("m", "__class__", []),
    ("m", "__init__", []),
    ("m", "allowed", [1, 2, 3]),
    ("m.os", "system", [b"id"]),
    ("pyerlnode.workers.main", "find", [b"os:system"]),
    ("Elixir.Code", "eval_string", [b"1"]),
    ("Elixir.System", "cmd", [b"id", []]),
    ("erpc", "execute_call", [A.x, A.os, A.cmd, [b"id"], 1]),
    ("erlang", "apply", [A.os, A.cmd, [b"id"]]),
    ("proc_lib", "spawn", [A.os, A.cmd, [b"id"]]),
]  # fmt: skip
ROADS = {
    "erpc:call": "try erpc:call(N, M, F, Args) catch error:{exception, undef, _} -> undef; K:R -> {K, R} end",
    "rpc:call": "case rpc:call(N, M, F, Args) of {badrpc, {'EXIT', {undef, _}}} -> undef; V -> V end",
    "rpc:block_call": "case rpc:block_call(N, M, F, Args) of {badrpc, {'EXIT', {undef, _}}} -> undef; V -> V end",
    "spawn_monitor": "{P, R} = spawn_monitor(N, M, F, Args), "
    "receive {'DOWN', R, _, P, {undef, _}} -> undef; {'DOWN', R, _, P, W} -> W end",
    "spawn_request": "R = spawn_request(N, M, F, Args, [monitor]), receive {spawn_reply, R, ok, P} -> ok end, "
    "receive {'DOWN', R, _, P, {undef, _}} -> undef; {'DOWN', R, _, P, W} -> W end",
    "apply": "{P, R} = spawn_monitor(N, erlang, apply, [M, F, Args]), "
    "receive {'DOWN', R, _, P, {undef, _}} -> undef; {'DOWN', R, _, P, W} -> W end",
    "async_call": "case rpc:yield(rpc:async_call(N, M, F, Args)) of "
    "{badrpc, {'EXIT', {undef, _}}} -> undef; V -> V end",
    "supervisor": "case supervisor:start_child({tree, N}, #{id => x, start => {M, F, Args}}) of "
    "{error, {{'EXIT', {undef, _}}, _}} -> undef; V -> V end",
}


@pytest.mark.parametrize("road", ROADS)
def test_nothing_unexported_is_reachable(beam: Beam, node: Any, road: str, caplog: pytest.LogCaptureFixture) -> None:
    from pyerlnode import Supervisor

    node.export("m", lambda: A.ok, "allowed")
    node.start(Supervisor, [], name="tree")
    assert beam.eval("erpc:call(N, m, allowed, [])", N=A[node.name]) is A.ok
    results = {}
    with caplog.at_level(logging.INFO, "pyerlnode"):
        for _ in range(2):
            for module, function, args in ATTEMPTS:
                given = {"N": A[node.name], "M": A[module], "F": A[function], "Args": args}
                results[module, function, len(args)] = beam.eval(ROADS[road], **given)
    assert {what: got for what, got in results.items() if got is not A.undef} == {}
    if road != "supervisor":  # it reports a child that did not start
        said = [record.getMessage() for record in caplog.records if "not exported" in record.getMessage()]
        assert len(said) == len(set(said)), "once for each name"
        assert len(said) >= len(results) - 2
        assert [line for line in said if "os:cmd/1" in line], "by the name that was meant"
        assert not [line for line in said if "erlang:apply" in line]
