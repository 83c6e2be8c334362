"""One script, run against an Erlang event manager and against the Python one: the observations are the same.

`H` is the handler's name on both sides, `Me` the process that the handlers tell what happens to them.
"""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.twins import TwinEvents
from pyerlnode import A, NoProc, receive
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


CALLS = """Me = self(), H = twin_events, process_flag(trap_exit, true), P = twin_events:start(),
    register(twin, P), T = {twin, node()},
    Answers = [gen_event:add_sup_handler(T, H, {a, Me}), gen_event:add_handler(P, {H, 3}, {fail, no}),
        gen_event:notify(P, 1), gen_event:sync_notify(T, 2), gen_event:call(P, H, log), gen_event:call(T, {H, 9}, log),
        gen_event:call(P, H, log, 9999), gen_event:which_handlers(P),
        gen_event:swap_handler(P, {H, why}, {{H, 2}, {b, Me}}),
        gen_event:swap_sup_handler(T, {{H, 2}, more}, {{H, 4}, {c, Me}}), gen_event:add_handler(P, H, {d, Me}),
        gen_event:which_handlers(P), gen_event:delete_handler(P, {H, 4}, done),
        gen_event:delete_handler(P, {H, 4}, done), gen_event:stop(P), element(2, catch gen_event:which_handlers(P))],
    All = fun All() -> receive M when element(1, M) =/= 'EXIT' -> [M | All()] after 0 -> [] end end,
    {Me, Answers, All()}"""
"""What Erlang's functions give, and what the process of the handlers hears."""


def test_the_node_asks_a_manager_of_the_beam_as_erlang_does(helper: Callable[[str], Beam], node: Any) -> None:
    beam = helper("twin_events.erl")
    asked_by, answers, heard = beam.eval(CALLS)
    p = beam.eval("P = twin_events:start(), register(twin, P), P")
    h, me, ask, there = A.twin_events, node.self_(), node.gen_event, ("twin", beam.name)
    ours = [
        ask.add_sup_handler(there, h, (A.a, me)),
        ask.add_handler(p, (h, 3), (A.fail, A.no)),
        ask.notify(p, 1) or A.ok,
        ask.sync_notify(there, 2),
        ask.call(p, h, A.log),
        ask.call(there, (h, 9), A.log),
        ask.call(p, h, A.log, patience()),
        ask.which_handlers(p),
        ask.swap_handler(p, (h, A.why), ((h, 2), (A.b, me))),
        ask.swap_sup_handler(there, ((h, 2), A.more), ((h, 4), (A.c, me))),
        ask.add_handler(p, h, (A.d, me)),
        ask.which_handlers(p),
        ask.delete_handler(p, (h, 4), A.done),
        ask.delete_handler(p, (h, 4), A.done),
        ask.stop(p) or A.ok,
    ]
    with pytest.raises(NoProc):
        ask.which_handlers(p)
    assert [*ours, A.noproc] == answers
    ours = [receive(timeout=patience()) for _ in heard]
    assert repr(ours).replace(repr(me), "me") == repr(heard).replace(repr(asked_by), "me")


def test_the_node_has_managers_that_its_process_starts(node: Any) -> None:
    manager, monitor = node.gen_event.start_monitor(name="events", handlers=[TwinEvents])
    linked = node.gen_event.start_link()
    assert node.process_info(linked, "links") == [node.self_()]
    assert node.gen_event.add_handler("events", TwinEvents, (A.a, node.self_())) is A.ok
    assert node.gen_event.which_handlers(manager) == [A.twin_events]
    node.unlink(linked)
    node.gen_event.stop(linked)
    node.gen_event.stop("events", A.bye)
    assert receive((A.DOWN, monitor, A.process, manager, A.bye), timeout=patience())
