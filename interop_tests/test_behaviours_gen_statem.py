"""One script, run against an Erlang gen_statem and against the Python one: the observations are the same.

An event is ``{Id, #{State => Result}}``; the log says in which state each came, and as what. Scripts that nobody has
thought of are made in `differential.machines`.
"""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.twice import observed
from interop_tests.twins import TwinMachine
from pyerlnode import A
from pyerlnode.testing.beam import Beam

SCRIPTS = {
    "keep": "[{cast, {1, #{}}}, {call, {2, #{s => {keep, [{reply, a}]}}}}, {call, log}]",
    "info and internal": "[{info, {1, #{s => {keep, [{next_event, internal, {2, #{}}}]}}}}, {call, log}]",
    "a new state": "[{cast, {1, #{s => {next, t, []}}}}, {cast, {2, #{}}}, {call, log}]",
    "postpone until the state changes": "[{cast, {1, #{s => {keep, [postpone]}}}}, {cast, {2, #{}}},"
    " {cast, {3, #{s => {next, t, []}}}}, {call, log}]",
    "postponed calls": "[{ask, {1, #{s => {keep, [postpone]}, t => {keep, [{reply, a}]}}}},"
    " {ask, {2, #{s => {keep, [postpone]}, t => {keep, [{reply, b}]}}}}, {cast, {3, #{s => {next, t, []}}}}, answers,"
    " {call, log}]",
    "postponed while it changes the state": "[{cast, {1, #{s => {next, t, [postpone]}}}}, {call, log}]",
    "postponed again": "[{cast, {1, #{s => {keep, [postpone]}, t => {keep, [postpone]}}}},"
    " {cast, {2, #{s => {next, t, []}}}}, {cast, {3, #{t => {next, u, []}}}}, {call, log}]",
    "next_events in order": "[{cast, {1, #{s => {keep, [{next_event, internal, {2, #{}}},"
    " {next_event, cast, {3, #{}}}]}}}}, {call, log}]",
    "next_events before postponed": "[{cast, {1, #{s => {keep, [postpone]}}}},"
    " {cast, {2, #{s => {next, t, [{next_event, internal, {3, #{}}}]}}}}, {call, log}]",
    "state time-out": "[{cast, {1, #{s => {keep, [{state_timeout, 10, {2, #{}}}]}}}}, {sleep, 60}, {call, log}]",
    "state time-out ended by a new state": "[{cast, {1, #{s => {keep, [{state_timeout, 30, {2, #{}}}]}}}},"
    " {cast, {3, #{s => {next, t, []}}}}, {sleep, 60}, {call, log}]",
    "state time-out set anew": "[{cast, {1, #{s => {keep, [{state_timeout, 30, {2, #{}}}]}}}},"
    " {cast, {3, #{s => {keep, [{state_timeout, 5000, {4, #{}}}]}}}}, {sleep, 60}, {call, log}]",
    "state time-out updated": "[{cast, {1, #{s => {keep, [{state_timeout, 30, {2, #{}}}]}}}},"
    " {cast, {3, #{s => {keep, [{state_timeout, update, {4, #{}}}]}}}}, {sleep, 60}, {call, log}]",
    "update of none": "[{cast, {1, #{s => {keep, [{state_timeout, update, {2, #{}}}]}}}}, {call, log}]",
    "state time-out cancelled": "[{cast, {1, #{s => {keep, [{state_timeout, 30, {2, #{}}}]}}}},"
    " {cast, {3, #{s => {keep, [{cancel, state_timeout}]}}}}, {sleep, 60}, {call, log}]",
    "event time-out": "[{cast, {1, #{s => {keep, [{timeout, 10, {2, #{}}}]}}}}, {sleep, 60}, {call, log}]",
    "event time-out ended by an event": "[{cast, {1, #{s => {keep, [{timeout, 30, {2, #{}}}]}}}}, {cast, {3, #{}}},"
    " {sleep, 60}, {call, log}]",
    "generic time-outs": "[{cast, {1, #{s => {next, t, [{{timeout, a}, 10, {2, #{}}}, {{timeout, b}, 20, {3,"
    " #{}}}]}}}},"
    " {cast, {4, #{t => {next, u, []}}}}, {sleep, 60}, {call, log}]",
    "generic time-out cancelled": "[{cast, {1, #{s => {keep, [{{timeout, a}, 20, {2, #{}}}]}}}},"
    " {cast, {3, #{s => {keep, [{cancel, {timeout, a}}]}}}}, {sleep, 60}, {call, log}]",
    "time-outs of zero": "[{cast, {1, #{s => {keep, [{timeout, 0, {2, #{}}}, {state_timeout, 0, {3, #{}}},"
    " {{timeout, a}, 0, {4, #{}}}]}}}}, {call, log}]",
    "event time-out of zero": "[{cast, {1, #{s => {keep, [{timeout, 0, {2, #{}}}]}}}}, {call, log}]",
    "zero behind next_events": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}},"
    " {next_event, internal, {3, #{}}}]}}}}, {call, log}]",
    "a zero time-out cancelled": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}},"
    " {next_event, internal, {3, #{s => {keep, [{cancel, state_timeout}]}}}}]}}}}, {call, log}]",
    "a zero time-out set anew": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}}, {{timeout, a}, 0, {3, #{}}},"
    " {next_event, internal, {4, #{s => {keep, [{state_timeout, 0, {5, #{}}}]}}}}]}}}}, {call, log}]",
    "a zero time-out set to later": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}},"
    " {next_event, internal, {4, #{s => {keep, [{state_timeout, 60000, {5, #{}}}]}}}}]}}}}, {call, log}]",
    "a zero time-out updated": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}}, {{timeout, a}, 0, {3, #{}}},"
    " {next_event, internal, {4, #{s => {keep, [{state_timeout, update, {5, #{}}}]}}}}]}}}}, {call, log}]",
    "a zero state time-out ended by a new state": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}},"
    " {next_event, internal, {3, #{s => {next, t, []}}}}]}}}}, {call, log}]",
    "a zero generic time-out in a new state": "[{cast, {1, #{s => {keep, [{{timeout, a}, 0, {2, #{}}},"
    " {next_event, internal, {3, #{s => {next, t, []}}}}]}}}}, {call, log}]",
    "a zero event time-out before another": "[{cast, {1, #{s => {keep, [{timeout, 0, {2, #{}}},"
    " {state_timeout, 0, {3, #{}}}]}}}}, {call, log}]",
    "a zero event time-out behind another": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}},"
    " {timeout, 0, {3, #{}}}]}}}}, {call, log}]",
    "a zero event time-out before a next_event": "[{cast, {1, #{s => {keep, [{timeout, 0, {2, #{}}},"
    " {next_event, internal, {3, #{}}}]}}}}, {call, log}]",
    "a zero event time-out and a postponed event": "[{cast, {1, #{s => {keep, [postpone]}}}},"
    " {cast, {2, #{s => {next, t, [{timeout, 0, {3, #{}}}]}}}}, {call, log}]",
    "a zero time-out and a postponed event": "[{cast, {1, #{s => {keep, [postpone]}}}},"
    " {cast, {2, #{s => {next, t, [{state_timeout, 0, {3, #{}}}]}}}}, {call, log}]",
    "a zero time-out postponed": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{s => {keep, [postpone]}}}}]}}}},"
    " {cast, {3, #{s => {next, t, []}}}}, {call, log}]",
    "a zero time-out in place of one that runs": "[{cast, {1, #{s => {keep, [{{timeout, a}, 60000, {2, #{}}}]}}}},"
    " {cast, {3, #{s => {keep, [{{timeout, a}, 0, {4, #{}}}]}}}}, {call, log}]",
    "zero twice in one list": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}}, {{timeout, a}, 0, {3, #{}}},"
    " {state_timeout, 0, {4, #{}}}]}}}}, {call, log}]",
    "update and zero in one list": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{}}},"
    " {state_timeout, update, {4, #{}}}]}}}}, {call, log}]",
    "zero time-outs that set others": "[{cast, {1, #{s => {keep, [{state_timeout, 0,"
    " {2, #{s => {keep, [{{timeout, a}, 0, {3, #{}}}]}}}}, {{timeout, b}, 0, {4, #{}}}]}}}}, {call, log}]",
    "a zero time-out that cancels the next": "[{cast, {1, #{s => {keep, [{state_timeout, 0,"
    " {2, #{s => {keep, [{cancel, {timeout, b}}]}}}}, {{timeout, b}, 0, {4, #{}}}]}}}}, {call, log}]",
    "a zero time-out that stops": "[{cast, {1, #{s => {keep, [{state_timeout, 0, {2, #{s => {stop, bye}}}},"
    " {{timeout, b}, 0, {4, #{}}}]}}}}, down]",
    "a bad result": "[{cast, {1, #{s => bad}}}, down]",
    "a bad action": "[{cast, {1, #{s => {keep, [junk]}}}}, down]",
    "a bad action behind a good one": "[{call, {1, #{s => {keep, [{reply, a}, {junk, 1, 2, 3, 4}]}}}}, down]",
    "another module": "[{cast, {1, #{s => {keep, [{change_callback_module, twin_other}]}}}}, {cast, {2, #{}}},"
    " {call, log}]",
    "another module in a new state": "[{cast, {1, #{s => {next, t, [{change_callback_module, twin_changed}]}}}},"
    " {cast, {2, #{t => {next, s, []}}}}, {call, log}]",
    "another module for postponed and next events": "[{cast, {1, #{s => {keep, [postpone]}}}},"
    " {cast, {2, #{s => {next, t, [{change_callback_module, twin_other}, {next_event, internal, {3, #{}}}]}}}},"
    " {call, log}]",
    "modules pushed and popped": "[{cast, {1, #{s => {keep, [{push_callback_module, twin_other}]}}}}, {cast, {2, #{}}},"
    " {cast, {3, #{s => {keep, [{push_callback_module, twin_changed}]}}}}, {cast, {4, #{s => {next, t, []}}}},"
    " {cast, {5, #{t => {keep, [pop_callback_module]}}}}, {cast, {6, #{t => {keep, [pop_callback_module]}}}},"
    " {cast, {7, #{}}}, {call, log}]",
    "a pushed module changed and popped": "[{cast, {1, #{s => {keep, [{push_callback_module, twin_other},"
    " {change_callback_module, twin_changed}]}}}}, {cast, {2, #{s => {keep, [pop_callback_module]}}}},"
    " {cast, {3, #{}}}, {call, log}]",
    "a pop too many": "[{cast, {1, #{s => {keep, [pop_callback_module]}}}}, down]",
    "repeat_state without enter calls": "[{cast, {1, #{s => {keep, [postpone]}}}}, {cast, {2, #{s => {repeat, []}}}},"
    " {call, log}]",
    "stop": "[{cast, {1, #{s => {stop, bye}}}}, down]",
    "stop in a call": "[{call, {1, #{s => {stop, bye}}}}, down]",
    "an error": "[{cast, {1, #{s => {error, oops}}}}, down]",
    "an error in a call": "[{call, {1, #{s => {error, oops}}}}, down]",
    "an exit": "[{call, {1, #{s => {exit, oops}}}}, down]",
    "a throw of a new state": "[{call, {1, #{s => {throw, {next, t, [{reply, a}]}}}}}, {call, log}]",
    "a throw of stop": "[{cast, {1, #{s => {throw, {stop, bye}}}}}, down]",
    "a throw of a term": "[{cast, {1, #{s => {throw_term, ball}}}}, down]",
    "stop and reply": "[{call, {1, #{s => {stop_and_reply, bye, a}}}}, down]",
    "stop with postponed calls": "[{ask, {1, #{s => {keep, [postpone]}}}}, {cast, {2, #{s => {stop, bye}}}},"
    " answers, down]",
    "no reply": "[{call, {1, #{}}, 30}, {call, log}]",
    "gen_statem:stop": "[{stop, shutdown}, down]",
    "suspend": "[{sys, suspend, []}, {cast, {1, #{}}}, {sys, resume, []}, {call, log}]",
    "exit signal": "[{exit, oops}, down]",
}
ENTERING = {
    "the first state is entered": "[{call, log}]",
    "each new state is entered": "[{cast, {1, #{s => {next, t, []}}}}, {cast, {2, #{t => {next, s, []}}}},"
    " {call, log}]",
    "the same state is not": "[{cast, {1, #{s => {next, s, []}}}}, {call, log}]",
    "repeat_state enters again": "[{cast, {1, #{s => {repeat, []}}}}, {call, log}]",
    "entered before postponed events": "[{cast, {1, #{s => {keep, [postpone]}}}}, {cast, {2, #{s => {next, t, []}}}},"
    " {call, log}]",
    "a time-out of the enter call": "[{cast, {1, #{s => {next, u, []}}}}, {sleep, 60}, {call, log}]",
    "entered before next_events": "[{cast, {1, #{s => {next, t, [{next_event, internal, {2, #{}}}]}}}}, {call, log}]",
    "postponed in an enter call": "[{cast, {1, #{s => {next, x, []}}}}, down]",
    "a next_event in an enter call": "[{cast, {1, #{s => {next, y, []}}}}, down]",
    "a bad result of an enter call": "[{cast, {1, #{s => {next, z, []}}}}, down]",
    "a bad action of an enter call": "[{cast, {1, #{s => {next, a, []}}}}, down]",
    "another module in an enter call": "[{cast, {1, #{s => {next, b, []}}}}, down]",
    "an error in an enter call": "[{cast, {1, #{s => {next, c, []}}}}, down]",
    "a module without enter calls": "[{cast, {1, #{s => {next, t, [{change_callback_module, twin_other}]}}}},"
    " {cast, {2, #{t => {next, s, []}}}}, {call, log}]",
    "a zero time-out of an enter call": "[{cast, {1, #{s => {next, d, [{next_event, internal, {2, #{}}}]}}}},"
    " {call, log}]",
    "zero time-outs of a change and of its enter call": "[{cast, {1, #{s => {next, d, [{{timeout, a}, 0, {2, #{}}},"
    " {state_timeout, 0, {3, #{}}}]}}}}, {call, log}]",
    "stop in an enter call": "[{cast, {1, #{s => {next, v, []}}}}, down]",
}
ENTER = (
    "#{u => {keep, [{state_timeout, 10, {99, #{}}}]}, v => {stop, bye}, x => {keep, [postpone]},"
    " y => {keep, [{next_event, internal, {98, #{}}}]}, z => bad, a => {keep, [junk]},"
    " b => {keep, [{change_callback_module, twin_other}]}, c => {error, oops},"
    " d => {keep, [{state_timeout, 0, {97, #{}}}]}}"
)
STARTS = {
    "actions of init": "{s, [{next_event, internal, {1, #{}}}, {state_timeout, 10, {2, #{}}}]}",
    "zero time-outs of init": "{s, [{timeout, 0, {1, #{}}}]}",
    "any term is a state": "{{pair, [1]}, []}",
}


@pytest.fixture
def both(beam: Beam, node: Any, helper: Callable[[str], Beam]) -> Callable[..., tuple[str, str]]:
    for name in ("scenario.erl", "twin_machine.erl", "twin_entering.erl", "twin_other.erl", "twin_changed.erl"):
        helper(name)
    plain = type("Plain", (TwinMachine,), {})
    entering = type("Entering", (TwinMachine,), {"state_enter": True})

    def start(enter: Any, started: Any) -> Any:
        return node.start(plain, {}, started) if enter is A.none else node.start(entering, enter, started)

    node.export("twin", start, name="start")

    def run(script: str, enter: str = "none", started: str = "{s, []}") -> tuple[str, str]:
        """As texts, which tell 1, 1.0 and true apart."""
        source = f"F = fun(Pid) -> scenario:run(Pid, {script}, gen_statem) end, "
        erlang = beam.text(f"{source} F(twin_machine:start({enter}, {started}))")
        python = beam.text(f"{source} F(erpc:call(N, twin, start, [{enter}, {started}]))", N=A[node.name])
        return erlang, python

    return run


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_gives_the_same_observations(both: Any, script: str) -> None:
    erlang, python = observed(both, script)
    assert python == erlang


@pytest.mark.parametrize("script", ENTERING.values(), ids=ENTERING)
def test_a_machine_with_enter_calls_gives_the_same_observations(both: Any, script: str) -> None:
    erlang, python = observed(both, script, ENTER)
    assert python == erlang


@pytest.mark.parametrize("started", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("enter", ["none", "#{}"])
def test_a_start_gives_the_same_observations(both: Any, started: str, enter: str) -> None:
    erlang, python = observed(both, "[{sleep, 60}, {call, log}]", enter, started)
    assert python == erlang


ALIKE = ["1", "1.0", "true", "[1]", "#{1 => 1}", "#{1.0 => 1}", "<<1>>", "[1 | 1]", "1 bsl 61 - 1", "0"]
"""Terms that Python takes for one, or for no key at all."""


def test_each_time_out_has_its_own_name(both: Any) -> None:
    """All are set, those of every other name cancelled, the others updated: which fire, and with what."""
    late = ", ".join(f"{{{{timeout, {name}}}, 60000, {{{n}, #{{}}}}}}" for n, name in enumerate(ALIKE))
    cancel = ", ".join(f"{{cancel, {{timeout, {name}}}}}" for name in ALIKE[::2])
    soon = ", ".join(f"{{{{timeout, {name}}}, update, {{{n}, #{{}}}}}}" for n, name in enumerate(ALIKE, 100))
    plan = f"{{s, 1}} => {{keep, [{late}]}}"
    script = f"[{{cast, {{200, #{{{plan}}}}}}}, {{cast, {{201, #{{{{s, 1}} => {{keep, [{cancel}]}}}}}}}},"
    script += f" {{cast, {{202, #{{{{s, 1}} => {{keep, [{soon}]}}}}}}}}, {{call, log}}]"
    erlang, python = observed(both, script, "none", "{{s, 1}, []}")
    assert python == erlang
    assert [f"{{timeout,{name}}}" in python for name in ("1", "1.0", "true", "[1]")] == [True, False, True, False]
