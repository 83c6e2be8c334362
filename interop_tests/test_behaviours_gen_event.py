"""One script, run against an Erlang event manager and against the Python one: the observations are the same.

`H` is the handler's name on both sides, `Me` the process that the handlers tell what happens to them.
"""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.twins import TwinEvents
from pyerlnode import A, receive
from pyerlnode.otp import gen_event
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

IDS = '0, 1, 1.0, true, [1], #{}, #{1 => 1}, #{1.0 => 1}, 1 bsl 61, (1 bsl 61) * 2, [a | b], <<"a">>, "a", a, {1}'
ADD = "ok = gen_event:add_handler(P, H, {a, Me}), "
SCRIPTS = {
    "add and notify": ADD + "gen_event:notify(P, 1), ok = gen_event:sync_notify(P, 2), gen_event:call(P, H, log)",
    "messages are info": ADD + "P ! hello, P ! {some, message}, gen_event:call(P, H, log)",
    "a call to a handler that is not there": "gen_event:call(P, H, log)",
    "delete": ADD + "{gen_event:delete_handler(P, H, why), gen_event:which_handlers(P), Seen()}",
    "delete of none": "gen_event:delete_handler(P, H, why)",
    "two of one kind": "ok = gen_event:add_handler(P, {H, 1}, {a, Me}), ok = gen_event:add_handler(P, {H, 2}, {b, Me}),"
    " gen_event:notify(P, x), {gen_event:which_handlers(P), gen_event:call(P, {H, 1}, log),"
    " gen_event:delete_handler(P, {H, 2}, why), gen_event:which_handlers(P), Seen()}",
    "ids that are told apart exactly": f"Ids = [{IDS}], [gen_event:add_handler(P, {{H, Id}}, {{Id, Me}}) || Id <- Ids],"
    " gen_event:notify(P, x), {gen_event:which_handlers(P), [gen_event:call(P, {H, Id}, log) || Id <- Ids],"
    " gen_event:call(P, {H, 2.0}, log), gen_event:call(P, H, log), [gen_event:delete_handler(P, {H, Id}, why)"
    " || Id <- Ids], gen_event:which_handlers(P), Seen()}",
    "the id false is none": "ok = gen_event:add_handler(P, H, {a, Me}), ok = gen_event:add_handler(P, {H, 0}, {b, Me}),"
    " {gen_event:which_handlers(P), gen_event:delete_handler(P, {H, 0}, x), gen_event:delete_handler(P, {H, 0}, x),"
    " gen_event:delete_handler(P, {H, false}, y), gen_event:which_handlers(P), Seen()}",
    "swapped by an id": "ok = gen_event:add_handler(P, {H, 1}, {a, Me}),"
    " ok = gen_event:add_handler(P, {H, 1.0}, {b, Me}),"
    " {gen_event:swap_handler(P, {{H, 1.0}, why}, {{H, true}, {c, Me}}), gen_event:which_handlers(P), Seen()}",
    "an init that fails": "{gen_event:add_handler(P, H, {fail, no}), gen_event:which_handlers(P)}",
    "an init that raises": "[{scenario:stackless(gen_event:add_handler(P, {H, C}, {raise_, C, oops})),"
    " gen_event:which_handlers(P)} || C <- [error, exit, throw]]",
    **{
        f"a handler that raises, {how}": "ok = gen_event:add_sup_handler(P, H, {a, Me}),"
        f" ok = gen_event:sync_notify(P, {how}), {{gen_event:which_handlers(P), Seen()}}"
        for how in ("{error, oops}", "{exit, oops}", "{exit, normal}", "{throw, ball}", "throw_remove")
    },
    "a handler removes itself": ADD + "ok = gen_event:sync_notify(P, remove), {gen_event:which_handlers(P), Seen()}",
    "a call removes the handler": ADD + "{gen_event:call(P, H, remove), gen_event:which_handlers(P), Seen()}",
    "swap": ADD + "{gen_event:swap_handler(P, {H, why}, {{H, new}, {b, Me}}), gen_event:which_handlers(P), Seen()}",
    "swap of none": "{gen_event:swap_handler(P, {H, why}, {{H, new}, {b, Me}}), gen_event:which_handlers(P), Seen()}",
    "a handler swaps itself": ADD + "ok = gen_event:sync_notify(P, {swap, why, {H, new}, {b, Me}}),"
    " {gen_event:which_handlers(P), Seen()}",
    "supervised and deleted": "ok = gen_event:add_sup_handler(P, H, {a, Me}), {gen_event:delete_handler(P, H,"
    " why), Seen()}",
    "supervised and removes itself": "ok = gen_event:add_sup_handler(P, H, {a, Me}), gen_event:sync_notify(P,"
    " remove), Seen()",
    "supervised and its process ends": "{_, M} = spawn_monitor(fun() -> ok = gen_event:add_sup_handler(P, H, {a, Me}),"
    " exit(bye) end), receive {'DOWN', M, _, _, _} -> ok end, Gone(), Seen()",
    "supervised and swapped": "ok = gen_event:add_sup_handler(P, H, {a, Me}),"
    " {gen_event:swap_handler(P, {H, why}, {{H, new}, {b, Me}}), Seen()}",
    "the manager is stopped": ADD + "{gen_event:stop(P), Seen()}",
    "supervised and the manager is stopped": "ok = gen_event:add_sup_handler(P, H, {a, Me}),"
    " {gen_event:stop(P), Seen()}",
    "suspend and resume": ADD + "sys:suspend(P), gen_event:notify(P, 1), sys:resume(P), gen_event:call(P, H, log)",
    "an exit signal of a stranger": ADD + "exit(P, oops), gen_event:call(P, H, log)",
}
PROLOGUE = (
    "process_flag(trap_exit, true), Me = self(), H = twin_events, "
    "All = fun All() -> receive {'EXIT', _, _} -> All();"
    " {X, Y, Z} -> [{X, Y, scenario:stackless(Z)} | All()] after 0 -> [] end end, "
)
ASKED = (
    "Seen = fun() -> catch gen_event:which_handlers(P), All() end, "
    "Gone = fun Gone() -> case gen_event:which_handlers(P) of [] -> ok; _ -> Gone() end end, "
)
"""What the manager has told: all of it is here before its answer is."""


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_gives_the_same_observations(helper: Callable[[str], Beam], node: Any, script: str) -> None:
    helper("scenario.erl")
    beam = helper("twin_events.erl")
    node.export("twin", lambda: gen_event.start(node.system, handlers=[TwinEvents]), name="events")
    erlang = beam.text(f"{PROLOGUE} P = twin_events:start(), {ASKED} {script}")
    python = beam.text(f"{PROLOGUE} P = erpc:call(N, twin, events, []), {ASKED} {script}", N=A[node.name])
    assert _without_pids(python) == _without_pids(erlang)


def _without_pids(text: str) -> str:
    """A supervising process is a stranger on one side and itself on the other."""
    import re

    return re.sub(r"<[\d.]+>", "<pid>", text)


def test_python_uses_a_manager_of_the_beam(helper: Callable[[str], Beam], node: Any) -> None:
    beam = helper("twin_events.erl")
    manager = beam.eval("twin_events:start()")
    me = node.self_()
    system = node.system
    assert gen_event.add_sup_handler(system, manager, A.twin_events, (A.a, me)) is A.ok
    gen_event.notify(system, manager, 1)
    assert gen_event.sync_notify(system, manager, 2) is A.ok
    assert gen_event.call(system, manager, A.twin_events, A.log) == [1, 2]
    assert gen_event.which_handlers(system, manager) == [A.twin_events]
    assert gen_event.swap_handler(system, manager, (A.twin_events, A.why), ((A.twin_events, 2), (A.b, me))) is A.ok
    assert gen_event.delete_handler(system, manager, (A.twin_events, 2), A.end) == (A.bye, A.b)
    seen = [receive(timeout=patience())[0] for _ in range(4)]
    assert seen == [A.terminated, A["gen_event_EXIT"], A.swapped_in, A.terminated] or set(seen) >= {A.terminated}
    gen_event.stop(system, manager)
