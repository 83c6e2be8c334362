"""One script, run against an Erlang gen_server and against the Python one: the observations are the same.

A script is Erlang source: the steps of `scenario.erl`. A message is ``{Id, What}``; `What` is what the server does.
An exception of Python ends a server with ``{python_error, …}``; what the scripts raise is `Error`, `Exit`, `Throw`.
"""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.twice import observed
from interop_tests.twins import TwinServer
from pyerlnode import A
from pyerlnode.errors import StartFailed
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

SCRIPTS = {
    # replies
    "a reply": "[{call, {1, {reply, a}}}, {call, log}]",
    "falsy replies": "[{call, {1, {reply, []}}}, {call, {2, {reply, false}}}, {call, {3, {reply, undefined}}}]",
    "a reply before the callback returns": "[{call, {1, {early, a}}}, {call, log}]",
    "two replies, the second is no answer to the next call": "[{call, {1, {twice, a}}}, {call, {2, {reply,"
    " b}}}, {call, log}]",
    "a late reply": "[{ask, {1, later}}, {cast, {2, {pay, x}}}, answers, {call, log}]",
    "late replies in their order": "[{ask, {1, later}}, {ask, {2, later}}, {call, {3, {pay_and_reply, x}}}, answers]",
    "a call that times out": "[{call, {1, later}, 30}, {call, log}]",
    "the late reply of a call that timed out": "[{call, {1, later}, 30}, {call, {2, {pay_and_reply, x}}}, messages]",
    "a request that is not answered": "[{ask, {1, noreply}}, {answers, 100}, {call, log}]",
    "order of casts and messages": "[{cast, {1, noreply}}, {info, {2, noreply}}, {cast, {3, noreply}}, {call, log}]",
    "an unexpected message": "[{info, hello}, {call, log}]",
    "a message that looks like a reply": "[{info, {make_ref(), a}}, {sleep, 5}, {call, {1, {reply, ok}}}]",
    "hibernate": "[{call, {1, {reply, a, hibernate}}}, {cast, {2, {noreply, hibernate}}}, {call, log}]",
    # time-outs
    "a time-out": "[{call, {1, {reply, a, {timeout, 10}}}}, {sleep, 60}, {call, log}]",
    "a time-out of a cast": "[{cast, {1, {noreply, {timeout, 10}}}}, {sleep, 60}, {call, log}]",
    "a time-out that a message ends": "[{cast, {1, {noreply, {timeout, 40}}}}, {cast, {2, noreply}}, {sleep, 80},"
    " {call, log}]",
    "a time-out that a call ends": "[{cast, {1, {noreply, {timeout, 40}}}}, {call, {2, {reply, a}}}, {sleep, 80},"
    " {call, log}]",
    "a time-out of zero": "[{cast, {1, {noreply, {timeout, 0}}}}, {sleep, 20}, {call, log}]",
    "a time-out of zero behind waiting messages": "[{cast, {1, {sleep, 20}}}, {cast, {2, {noreply, {timeout, 0}}}},"
    " {cast, {3, noreply}}, {sleep, 60}, {call, log}]",
    "a time-out begins anew behind a system message": "[{cast, {1, {noreply, {timeout, 60}}}}, {sleep, 40},"
    " {sys, suspend, []}, {sys, resume, []}, {sleep, 40}, {sys, suspend, []}, {sys, resume, []}, {sleep, 120},"
    " {call, log}]",
    "a time-out in a suspended server": "[{cast, {1, {noreply, {timeout, 20}}}}, {sys, suspend, []}, {sleep, 60},"
    " {sys, resume, []}, {sleep, 60}, {call, log}]",
    # continue
    "a continue": "[{call, {1, {reply, a, {continue, {2, noreply}}}}}, {call, log}]",
    "a continue before waiting messages": "[{cast, {1, {sleep, 20}}}, {cast, {2, {noreply, {continue, {3, noreply}}}}},"
    " {cast, {4, noreply}}, {call, log}]",
    "a continue from a continue": "[{cast, {1, {noreply, {continue, {2, {noreply, {continue, {3, noreply}}}}}}}},"
    " {call, log}]",
    "a continue that stops": "[{cast, {1, {noreply, {continue, {2, {stop, bye}}}}}}, down]",
    "a continue with a time-out": "[{cast, {1, {noreply, {continue, {2, {noreply, {timeout, 10}}}}}}}, {sleep, 50},"
    " {call, log}]",
    # ends
    "a stop": "[{call, {1, {stop, bye}}}, down]",
    "a stop with a reply": "[{call, {1, {stop, bye, a}}}, down]",
    "a normal stop": "[{call, {1, {stop, normal, a}}}, down]",
    "a stop of a cast": "[{cast, {1, {stop, {shutdown, x}}}}, down]",
    "an exit in a call": "[{call, {1, {exit, oops}}}, down]",
    "an exit in a cast": "[{cast, {1, {exit, oops}}}, down]",
    "an exit normal in a call": "[{call, {1, {exit, normal}}}, down]",
    "an error in a call": "[{call, {1, {error, oops}}}, down]",
    "an error in a cast": "[{cast, {1, {error, {badkey, #{}}}}}, down]",
    "an error in a request": "[{ask, {1, {error, oops}}}, answers, down]",
    "an error that looks like an exit": "[{info, {1, {exit, {oops, []}}}}, down]",
    "an error in a continue": "[{cast, {1, {noreply, {continue, {2, {error, oops}}}}}}, down]",
    "a throw of a reply": "[{call, {1, {throw, {reply, a}}}}, {call, {2, {throw, {reply, b, {timeout, 10}}}}},"
    " {sleep, 100}, {call, log}]",
    "a throw of noreply": "[{cast, {1, {throw, noreply}}}, {info, {2, {throw, noreply}}}, {call, log}]",
    "a throw of a stop": "[{call, {1, {throw, {stop, bye, a}}}}, down]",
    "a throw of a continue, and in it": "[{cast, {1, {throw, {noreply, {continue, {2,"
    " {throw, noreply}}}}}}}, {call, log}]",
    "a throw of a late reply": "[{ask, {1, {throw, later}}}, {cast, {2, {pay, x}}}, answers]",
    "a throw of a term in a call": "[{call, {1, {throw_term, ball}}}, down]",
    "a throw of a term in a cast": "[{cast, {1, {throw_term, {a, [ball]}}}}, down]",
    "an error at the end": "[{cast, {1, {ending, {error, oops}}}}, {stop, normal}, down]",
    "an exit at the end": "[{cast, {1, {ending, {exit, oops}}}}, {cast, {2, {stop, bye}}}, down]",
    "a throw at the end": "[{cast, {1, {ending, {throw_term, ball}}}}, {cast, {2, {stop, bye}}}, down]",
    "a throw at a normal end": "[{cast, {1, {ending, {throw_term, ball}}}}, {stop, normal}, down]",
    "a throw at the end of an error": "[{cast, {1, {ending, {throw_term, ball}}}}, {cast, {2, {error, oops}}}, down]",
    "an error at the end of an error": "[{cast, {1, {ending, {error, second}}}}, {cast, {2, {error, oops}}}, down]",
    "a bad result of a call": "[{call, {1, bad}}, down]",
    "a bad result of a cast": "[{cast, {1, bad}}, down]",
    "a call behind the end": "[{cast, {1, {stop, bye}}}, down, {call, {2, {reply, a}}}]",
    "requests that wait at the end": "[{cast, {1, {sleep, 30}}}, {ask, {2, {stop, bye}}}, {ask, {3, {reply, a}}},"
    " answers, down]",
    "the callers of late replies at the end": "[{ask, {1, later}}, {cast, {2, {stop, bye}}}, answers, down]",
    "kill": "[{exit, kill}, down]",
    "an exit signal": "[{exit, oops}, down]",
    "an exit signal normal": "[{exit, normal}, {call, {1, {reply, alive}}}]",
    "a link and its end": "[link, {cast, {1, {stop, bye}}}, down, messages]",
    "a link and a normal end": "[link, {cast, {1, {stop, normal}}}, down, messages]",
    "a link and kill": "[link, {exit, kill}, down, messages]",
    "gen_server:stop": "[{stop, normal}, down]",
    "gen_server:stop with a reason": "[{stop, {shutdown, x}}, down]",
    "gen_server:stop of a busy server": "[{cast, {1, {sleep, 30}}}, {stop, normal}, down]",
    "gen_server:stop of a dead one": "[{stop, normal}, down, {stop, normal}]",
    # sys
    "suspend and resume": "[{sys, suspend, []}, {cast, {1, noreply}}, {ask, {2, {reply, a}}}, {sleep, 10},"
    " {sys, resume, []}, answers, {call, log}]",
    "suspend twice": "[{sys, suspend, []}, {sys, suspend, []}, {sys, resume, []}, {call, {1, {reply, a}}}]",
    "a call to a suspended server": "[{sys, suspend, []}, {call, {1, {reply, a}}, 30}, {sys, resume, []},"
    " {call, log}, messages]",
    "an exit signal to a suspended server": "[{sys, suspend, []}, {exit, oops}, down]",
    "terminate": "[{sys, terminate, [bye]}, down]",
    "terminate of a suspended server": "[{sys, suspend, []}, {sys, terminate, [bye]}, down]",
    "change_code needs a suspended server": "[{sys, change_code, [twin, 1, x, 300]}, {call, {1, {reply, a}}}]",
    "trace, log and statistics switched on and off": "[{sys, log, [true]}, {sys, statistics, [true]},"
    " {cast, {1, noreply}}, {sys, log, [false]}, {sys, statistics, [false]}, {sys, no_debug, []}, {call, log}]",
    "no statistics": "[{sys, statistics, [get]}]",
    "an unknown system message": "[{info, {system, {self(), make_ref()}, what}}, {sleep, 5}, {call, {1, {reply, a}}}]",
}

INITS = {
    "ok": "ok",
    "stop": "{stop, oops}",
    "stop normal": "{stop, normal}",
    "stop shutdown": "{stop, {shutdown, x}}",
    "ignore": "ignore",
    "exit": "{exit, oops}",
    "error": "{error, oops}",
    "exit with what looks like a stack": "{exit, {oops, [{m, f, 1, []}]}}",
    "throw of ok": "{throw, ok}",
    "throw of stop": "{throw, {stop, oops}}",
    "throw of ignore": "{throw, ignore}",
    "throw of a continue": "{throw, {then, {continue, {1, noreply}}}}",
    "throw of a term": "{throw_term, ball}",
    "bad result": "bad",
    "time-out of init": "hang",
}

BEGINS = {
    "init with a time-out": ("{then, {timeout, 10}}", "[{sleep, 60}, {call, log}]"),
    "init with a time-out that a message ends": ("{then, {timeout, 100}}", "[{cast, {1, noreply}}, {call, log}]"),
    "init with a continue": ("{then, {continue, {1, noreply}}}", "[{call, log}]"),
    "init with a continue that stops": ("{then, {continue, {1, {sleep, 20}}}}", "[{cast, {2, noreply}}, {call, log}]"),
    "init with hibernate": ("{then, hibernate}", "[{call, {1, {reply, a}}}]"),
}

TRAPPING = {
    "exit signals are messages": "[{exit, a}, {exit, normal}, {call, log}]",
    "kill runs no terminate": "[{exit, kill}, down]",
    "the end of a link is a message": "[link, {call, log}]",
    "stop runs terminate": "[{stop, {shutdown, x}}, down]",
    "an exit runs terminate": "[{cast, {1, {exit, {shutdown, y}}}}, down]",
    "sys:terminate runs terminate": "[{sys, terminate, [shutdown]}, down]",
    "exit normal in a callback runs terminate": "[{cast, {1, {exit, normal}}}, down]",
}


@pytest.fixture
def both(beam: Beam, node: Any, helper: Callable[[str], Beam]) -> Callable[[str, str], tuple[Any, Any]]:
    """Run a script against both twins."""
    for name in ("scenario.erl", "twin_server.erl"):
        helper(name)
    node.export("twin", lambda what: node.start(TwinServer, what), name="start")

    def run(init: str, script: str) -> tuple[Any, Any]:
        here, there = node.name, beam.name
        source = "F = fun(Pid) -> scenario:run(Pid, " + script + ") end, "
        erlang = beam.eval(source + "{ok, Pid} = twin_server:start(" + init + "), F(Pid)")
        python = beam.eval(source + "F(erpc:call(N, twin, start, [" + init + "]))", N=A[here])
        assert there != here
        return erlang, python

    return run


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_gives_the_same_observations(both: Any, script: str) -> None:
    erlang, python = observed(both, "ok", script)
    assert python == erlang


@pytest.mark.parametrize(("init", "script"), BEGINS.values(), ids=BEGINS)
def test_a_start_with_more_to_do_gives_the_same_observations(both: Any, init: str, script: str) -> None:
    erlang, python = observed(both, init, script)
    assert python == erlang


@pytest.mark.parametrize("script", TRAPPING.values(), ids=TRAPPING)
def test_a_server_that_traps_exits_gives_the_same_observations(both: Any, beam: Beam, script: str) -> None:
    tell = "{trap, spawn(fun() -> ok end)}"
    erlang, python = observed(both, tell, script)
    assert python == erlang


@pytest.mark.parametrize("init", INITS.values(), ids=INITS)
def test_a_start_has_the_same_outcome(helper: Callable[[str], Beam], node: Any, init: str) -> None:
    helper("scenario.erl")
    beam = helper("twin_server.erl")
    what = beam.eval(init)
    erlang = beam.eval(f"case twin_server:start({init}) of {{ok, _}} -> ok; Other -> scenario:stackless(Other) end")
    from pyerlnode.otp import gen_server

    try:
        pid = gen_server.start(node.system, TwinServer, (what,), timeout=0.1 if what is A.hang else None)
        python = A.ignore if pid is None else A.ok
    except StartFailed as error:
        python = beam.eval("scenario:stackless(Reason)", Reason=(A.error, error.reason))
    assert python == erlang


def test_terminate_tells_the_same_reasons(both: Any, beam: Beam, node: Any, helper: Callable[[str], Beam]) -> None:
    """What `terminate` is given: told to a process of the BEAM by both."""
    helper("scenario.erl")
    for script in ("[{stop, {shutdown, x}}]", "[{cast, {1, {exit, a}}}, down]", "[{sys, terminate, [b]}, down]"):
        source = (
            "S = self(), T = spawn(fun() -> receive M -> S ! {told, M} end end), Pid = Start(T), "
            f"scenario:run(Pid, {script}), receive {{told, M}} -> M after 60000 -> nothing end"
        )
        erlang = beam.eval("Start = fun(T) -> {ok, P} = twin_server:start({trap, T}), P end, " + source)
        python = beam.eval(
            "Start = fun(T) -> erpc:call(N, twin, start, [{trap, T}]) end, " + source, N=A[node.name]
        )  # fmt: skip
        assert python == erlang
        assert python[0] is A.terminated


def test_sys_sees_a_python_server_as_it_sees_an_erlang_one(both: Any, beam: Beam, node: Any) -> None:
    pid = node.start(TwinServer, A.ok, name="twin")
    erlang = beam.eval("{ok, P} = twin_server:start(ok), sys:get_status(P)")
    python = beam.eval("sys:get_status({twin, N})", N=A[node.name])
    assert python[0] is A.status
    assert python[1] == pid
    assert python[2] == erlang[2] == (A.module, A.gen_server)
    assert [type(part) for part in python[3]] == [type(part) for part in erlang[3]]
    assert [key for key, _ in python[3][4]] == [key for key, _ in erlang[3][4]]
    state = beam.eval("sys:get_state({twin, N})", N=A[node.name])
    assert state[A.log] == []
    refused = beam.eval("catch sys:replace_state({twin, N}, fun(S) -> S end)", N=A[node.name])
    assert refused[0] is A.EXIT
    assert beam.eval("gen_server:call({twin, N}, {1, {reply, alive}})", N=A[node.name]) is A.alive
    events = beam.eval(
        "ok = sys:log(P, true), gen_server:call(P, {2, {reply, x}}), {ok, E} = sys:log(P, get), E", P=pid
    )
    assert [event[0] for event in events] == [A["in"], A.out]
    counted = beam.eval(
        "ok = sys:statistics(P, true), gen_server:call(P, {3, {reply, x}}), {ok, S} = sys:statistics(P, get), "
        "{proplists:get_value(messages_in, S), proplists:get_value(messages_out, S)}",
        P=pid,
    )
    assert counted == (1, 1)
    assert beam.eval("sys:suspend(P), R = sys:change_code(P, twin, 1, x), sys:resume(P), R", P=pid) is A.ok


def test_multi_call_from_both_sides_meets_both_servers(both: Any, beam: Beam, node: Any) -> None:
    node.start(TwinServer, A.ok, name="twin")
    beam.eval("{ok, P} = twin_server:start(ok), register(twin, P)")
    nodes = [beam.node, A[node.name], A["nobody@127.0.0.1"]]
    answers, bad = beam.eval("gen_server:multi_call(L, twin, {1, {reply, a}}, 60000)", L=nodes)
    assert sorted(answers, key=repr) == sorted([(beam.node, A.a), (A[node.name], A.a)], key=repr)
    assert bad == [A["nobody@127.0.0.1"]]
    answers, bad = node.multi_call(nodes, "twin", (2, (A.reply, A.b)), timeout=patience())
    assert answers == {beam.node: A.b, A[node.name]: A.b}
    assert bad == [A["nobody@127.0.0.1"]]
    node.abcast(nodes, "twin", (3, A.noreply))
    assert node.call("twin", A.log)[-1] == (A.cast, 3)
    assert node.call(("twin", beam.name), A.log)[-1] == (A.cast, 3)
