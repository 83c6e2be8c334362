"""Lives of a node: pids of an earlier one reach nobody in a later one."""

from collections.abc import Callable
from typing import Any

import pytest

from interop_tests.servers import Desk
from pyerlnode import A
from pyerlnode.errors import NoProc
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

Factory = Callable[..., Any]


def test_after_a_python_restart_the_old_pid_gives_noproc(helper: Factory, python: Factory) -> None:
    beam = helper("probe.erl")
    first = python()
    old = first.start(Desk, name="desk")
    assert beam.eval("gen_server:call(P, {echo, 1})", P=old) == 1
    first.stop()
    beam.wait_until("nodes(connected) =:= []")
    second = python(first.name)
    new = second.start(Desk, name="desk")
    assert (new.id, new.serial) == (old.id, old.serial)  # else this shows nothing
    assert new != old
    assert beam.eval("gen_server:call({desk, N}, {echo, 2})", N=A[second.name]) == 2
    probe = beam.eval("probe:start()")
    assert beam.eval("catch gen_server:call(P, {echo, 3}, 2000)", P=old)[1][0] is A.noproc
    beam.eval("probe:run(Q, fun() -> P ! stray, exit(P, kill), link(P), monitor(process, P) end)", Q=probe, P=old)
    beam.wait_until("probe:count(Q) =:= 2", Q=probe)
    assert [message[-1] for message in beam.eval("probe:messages(Q)", Q=probe)] == [A.noproc, A.noproc]
    assert beam.eval("gen_server:call(P, kept)", P=new) == []


def test_a_python_process_that_was_killed_and_restarted_is_another(helper: Factory, python_peer: Factory) -> None:
    beam = helper("probe.erl")
    peer = python_peer()
    old = beam.eval("gen_server:call({desk, N}, self)", N=peer.node)
    peer.kill9()
    again = python_peer(peer.name)
    assert beam.eval("gen_server:call({desk, N}, {echo, 2})", N=again.node) == 2
    assert beam.eval("catch gen_server:call(P, {echo, 3}, 2000)", P=old)[1][0] is A.noproc


def test_after_a_beam_restart_the_old_pid_gives_noproc(beam: Beam, beam_factory: Factory, node: Any) -> None:
    victim = beam_factory(cookie=beam.cookie, files=["beam_src/desk.erl"])
    old = victim.eval("desk:start()")
    assert node.call(old, (A.echo, 1)) == 1
    victim.restart()
    with pytest.raises(NoProc):
        node.call(old, (A.echo, 1))


def test_a_python_node_that_comes_back_is_found_by_name(beam: Beam, python: Factory) -> None:
    name = None
    for life in range(3):
        node = python(name)
        name = node.name
        node.start(Desk, name="desk")
        assert beam.eval("gen_server:call({desk, N}, {echo, L})", N=A[name], L=life) == life
        node.stop()
        wait_for(lambda: beam.nodes() == [], what="the BEAM to see the end of the connection")


def test_a_beam_that_restarts_finds_the_python_node_by_name(beam: Beam, beam_factory: Factory, node: Any) -> None:
    victim = beam_factory(cookie=beam.cookie)
    node.start(Desk, name="desk")
    for life in range(3):
        assert victim.eval("gen_server:call({desk, N}, {echo, L})", N=A[node.name], L=life) == life
        victim.restart()
