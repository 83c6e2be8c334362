"""Monitors with an alias and a tag: every short script ends as the same one on a BEAM."""

from itertools import product
from typing import Any

import pytest

from pyerlnode import A, Exit, demonitor, monitor, process_info, receive, self_, send, spawn, unalias
from pyerlnode.runtime import api
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

KINDS = ["none", "explicit_unalias", "demonitor", "reply_demonitor"]
STEPS = ["send", "unalias", "demonitor", "stop"]
SCRIPTS = [list(steps) for steps in product(STEPS, repeat=3)]

ERLANG = """
Inbox = fun F() -> receive M -> [M | F()] after 0 -> [] end end,
Told = fun(Ms, Ref) -> [case M of {T, Ref, process, _, W} -> {T, W}; _ -> M end || M <- Ms] end,
Take = fun F(0, _) -> []; F(N, P) -> receive {_, _, process, P, _} = M -> [M | F(N - 1, P)] end end,
Run = fun(Kind, Target, Steps) ->
    Me = self(),
    P = case Target of
        self -> Me;
        _ -> spawn(fun() -> receive stop -> exit(stopped) end end)
    end,
    case Target of
        dead -> R0 = monitor(process, P), P ! stop, receive {'DOWN', R0, _, _, _} -> ok end;
        _ -> ok
    end,
    Ref = monitor(process, P, [{tag, {t, 1}} | [{alias, Kind} || Kind =/= none]]),
    Do = fun
        (send) -> Ref ! x, sent;
        (unalias) -> unalias(Ref);
        (demonitor) -> demonitor(Ref, [info]);
        (stop) when Target =/= live -> none;
        (stop) ->
            case process_info(P, monitored_by) of
                {_, Those} ->
                    P ! stop,
                    R1 = monitor(process, P),
                    Other = receive {'DOWN', R1, _, _, _} -> ok end,
                    [self() ! M || M <- Take(length([W || W <- Those, W =:= Me]), P)], Other;
                undefined -> gone
            end
    end,
    [Told(Inbox(), Ref) || Target =/= none] ++ [{S, Do(S), Told(Inbox(), Ref)} || S <- Steps]
end,
One = fun(K, T, S) -> {P, M} = spawn_monitor(fun() -> exit({done, Run(K, T, S)}) end),
    receive {'DOWN', M, process, P, R} -> R end end,
[[{done, One(K, T, S)} || T <- [self, dead, live]] || K <- Kinds, S <- Scripts]
"""


def _inbox(ref: Any) -> list[Any]:
    found: list[Any] = []
    while (message := receive(timeout=0, default=None)) is not None:
        match message:
            case (tag, known, A.process, _, why) if known == ref:
                found.append((tag, why))
            case _:
                found.append(message)
    return found


def _stopped() -> None:
    receive(A.stop)
    raise Exit(A.stopped)


def _end(pid: Any) -> None:
    ref = monitor(pid)
    send(pid, A.stop)
    receive((A.DOWN, ref, A.process, pid, A.stopped), patience())


def _do(step: str, ref: Any, pid: Any, target: str) -> Any:
    if step == "send":
        send(ref, A.x)
        return A.sent
    if step == "unalias":
        return unalias(ref)
    if step == "demonitor":
        return demonitor(ref)
    if target != "live":
        return A.none
    if process_info(pid, "monitored_by") is None:
        return A.gone
    _end(pid)
    return A.ok


def _run(kind: str, target: str, steps: list[str]) -> list[Any]:
    pid = self_() if target == "self" else spawn(_stopped)
    if target == "dead":
        _end(pid)
    ref = monitor(pid, alias=None if kind == "none" else kind, tag=(A.t, 1))
    return [_inbox(ref), *((A[step], _do(step, ref, pid, target), _inbox(ref)) for step in steps)]


def test_every_script_of_three_steps_ends_as_on_a_beam(beam: Beam, node: Any) -> None:
    kinds, scripts = [A[kind] for kind in KINDS], [[A[step] for step in steps] for steps in SCRIPTS]
    erlang = beam.eval(ERLANG, Kinds=kinds, Scripts=scripts)

    def one(kind: str, target: str, steps: list[str]) -> Any:
        results: list[Any] = []
        node.spawn_monitor(lambda: results.append(_run(kind, target, steps)))
        assert node.receive(timeout=patience())[-1] is A.normal
        return results[0]

    for (kind, steps), theirs in zip(product(KINDS, SCRIPTS), erlang, strict=True):
        for target, (_, (_, his)) in zip(["self", "dead", "live"], theirs, strict=True):
            assert one(kind, target, steps) == his, (kind, target, steps)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_process_of_a_beam_answers_to_the_alias_of_its_monitor(beam: Beam, node: Any, kind: str) -> None:
    source = "spawn(fun() -> receive {To, A} -> A ! first, A ! second, To ! sent end, receive stop -> ok end end)"
    pid = beam.eval(source)
    ref = node.monitor(pid, alias=kind, tag=A.ended)
    node.send(pid, (node.self_(), ref))
    got = [node.receive(timeout=patience())]
    while got[-1] is not A.sent:
        got.append(node.receive(timeout=patience()))
    node.send(pid, A.stop)
    if kind == "reply_demonitor":
        assert got == [A.first, A.sent]
        assert not node.demonitor(ref)
    else:
        assert got == [A.first, A.second, A.sent]
        assert node.receive(timeout=patience()) == (A.ended, ref, A.process, pid, A.normal)
    assert node.unalias(ref) == (kind == "explicit_unalias")


def test_a_monitor_of_a_lost_node_has_its_tag(beam: Beam, node: Any) -> None:
    pid = beam.eval("spawn(fun() -> receive stop -> ok end end)")
    ref = node.monitor(pid, alias="demonitor", tag=A.ended)
    node.disconnect(beam.name)
    assert node.receive(timeout=patience()) == (A.ended, ref, A.process, pid, A.noconnection)
    assert not node.unalias(ref)


def test_a_timer_goes_with_its_process(beam: Beam, node: Any) -> None:
    source = """
    P = spawn(fun() -> receive stop -> ok end end),
    T1 = erlang:start_timer(600000, P, x), Before = is_integer(erlang:read_timer(T1)),
    M = monitor(process, P), P ! stop, receive {'DOWN', M, _, _, _} -> ok end,
    T2 = erlang:start_timer(600000, P, x), T3 = erlang:start_timer(600000, nobody, x),
    [Before, erlang:read_timer(T1), erlang:cancel_timer(T1), erlang:read_timer(T2), erlang:cancel_timer(T2),
     is_integer(erlang:cancel_timer(T3))]
    """
    seen: list[Any] = []

    def run() -> None:
        pid = spawn(_stopped)
        first = api.start_timer(600, pid, A.x)
        before = api.read_timer(first) is not None
        _end(pid)
        second, third = api.start_timer(600, pid, A.x), api.start_timer(600, "nobody", A.x)
        left = [api.read_timer(first), api.cancel_timer(first), api.read_timer(second), api.cancel_timer(second)]
        seen.extend([before, *(value is not None for value in left), api.cancel_timer(third) is not None])

    node.spawn_monitor(run)
    assert node.receive(timeout=patience())[-1] is A.normal
    assert seen == beam.eval(source)
    assert not node.system.timer_refs
