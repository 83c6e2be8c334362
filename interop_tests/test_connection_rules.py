"""What a node may decide anew while it runs, beside what `net_kernel` and `erlang` do: cookies, lists, ticks, dials."""

from collections.abc import Callable
from typing import Any

import pytest

from pyerlnode import A, NodeDown, receive
from pyerlnode.errors import ConnectError, CookieError, UsageError
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience

Factory = Callable[..., Any]


# --- cookies -------------------------------------------------------------------------------------------------------
def test_a_cookie_is_set_for_a_peer_and_for_all(beam: Beam, beam_factory: Factory, python: Factory) -> None:
    other = beam_factory(cookie="another_cookie")
    node = python()
    with pytest.raises(ConnectError) as refused:
        node.connect(other.name)
    assert refused.value.reason == "bad_cookie"
    node.set_cookie("another_cookie", other.name)
    node.connect(other.name)
    assert (node.get_cookie(other.name), node.get_cookie(), node.get_cookie(beam.name)) == (
        "another_cookie",
        beam.cookie,
        beam.cookie,
    )
    node.set_cookie("another_cookie")
    assert other.eval("erlang:disconnect_node(N), net_adm:ping(N)", N=A[node.name]) is A.pong
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pang
    beam.eval("erlang:set_cookie(N, another_cookie)", N=A[node.name])
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    with pytest.raises(CookieError):
        node.set_cookie("")
    node.set_cookie("third", node.name)
    assert node.get_cookie() == "third"


# --- allow -----------------------------------------------------------------------------------------------------------
ALLOWED = """[net_kernel:allowed(), net_kernel:allow([]), net_kernel:allowed(), net_kernel:allow([a@b]),
    net_kernel:allowed(), net_kernel:allow([c@d, e@f]), net_kernel:allowed()]"""


def test_the_list_of_allowed_nodes_is_as_that_of_net_kernel(beam_factory: Factory, python: Factory) -> None:
    other = beam_factory()
    node = python()
    ours: list[Any] = []
    for names in ([], ["a@b"], ["c@d", "e@f"]):
        ours += [(A.ok, [A[name] for name in node.allowed()]), node.allow(names) or A.ok]
    assert [*ours, (A.ok, [A[name] for name in node.allowed()])] == other.eval(ALLOWED)
    with pytest.raises(UsageError):
        node.allow("a@b")


def test_allow_shuts_out_the_others_and_lets_nobody_dial_them(
    beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    friend = beam_factory(cookie=beam.cookie)
    node = python()
    node.allow([friend.name])
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pang
    assert not node.ping(beam.name)
    with pytest.raises(ConnectError) as refused:
        node.connect(beam.name)
    assert refused.value.reason == "not_allowed"
    assert node.ping(friend.name)
    node.allow([beam.name])
    assert node.ping(beam.name)
    assert sorted(node.nodes()) == sorted([beam.name, friend.name])


# --- ticks -----------------------------------------------------------------------------------------------------------
def test_a_change_of_the_tick_time_is_told_as_net_kernel_tells_it(beam_factory: Factory, beam: Beam, node: Any) -> None:
    script = """[net_kernel:get_net_ticktime(), net_kernel:set_net_ticktime(60), net_kernel:set_net_ticktime(120, 9999),
        net_kernel:get_net_ticktime(), net_kernel:set_net_ticktime(30, 1), net_kernel:set_net_ticktime(120)]"""
    node.connect(beam.name)
    ours = [
        node.get_net_ticktime(),
        node.set_net_ticktime(60),
        node.set_net_ticktime(120, 9999),
        node.get_net_ticktime(),
        node.set_net_ticktime(30, 1),
        node.set_net_ticktime(120),
    ]
    assert ours == beam_factory().eval(script)
    assert beam.eval("erpc:call(N, net_kernel, get_net_ticktime, [])", N=A[node.name]) == (A.ongoing_change_to, 120)


def test_a_shorter_tick_time_finds_a_silent_peer_that_the_longer_one_would_not(
    beam_factory: Factory, beam: Beam, python: Factory
) -> None:
    quiet = beam_factory(cookie=beam.cookie)
    node = python(ticktime=100_000.0)
    node.connect(quiet.name)
    node.monitor_node(quiet.name)
    assert node.set_net_ticktime(0.4, 0) is A.change_initiated
    quiet.suspend()
    try:
        assert receive((A.nodedown, A[quiet.name]), timeout=patience())
    finally:
        quiet.resume()
    assert node.get_net_ticktime() == 0.4


# --- who dials -------------------------------------------------------------------------------------------------------
DIALS = """(fun() ->
    Up = fun() -> lists:member(N, nodes(connected)) end,
    Gone = fun Gone() -> case Up() of false -> ok; true -> timer:sleep(5), Gone() end end,
    Ask = fun() -> {net_adm:ping(N), rpc:call(N, erlang, abs, [-1]), Up()} end,
    [Ask(), net_kernel:connect_node(N), Ask(), erlang:disconnect_node(N), Gone(), Ask(), Ask(),
     net_kernel:connect_node(N), Ask()] end)()"""


@pytest.mark.parametrize("mode", ["never", "once"])
def test_who_sends_connects_as_dist_auto_connect_says(
    mode: str, beam: Beam, beam_factory: Factory, python: Factory
) -> None:
    other = beam_factory(cookie=beam.cookie, args=["-kernel", "dist_auto_connect", mode])
    theirs = other.eval(DIALS, N=beam.node)
    node = python(dist_auto_connect=mode)

    def ask() -> Any:
        answer = A.pong if node.ping(beam.name) else A.pang
        return answer, node.rpc.call(beam.name, "erlang", "abs", [-1]), beam.name in node.nodes()

    ours = [ask(), node.connect(beam.name) or True, ask(), node.disconnect(beam.name), A.ok, ask(), ask()]
    ours += [node.connect(beam.name) or True, ask()]
    assert ours == theirs


def test_what_is_not_connected_is_lost_at_once_where_nobody_dials(beam: Beam, python: Factory) -> None:
    node = python(dist_auto_connect="never")
    ref = node.monitor(("rex", beam.name))
    assert receive((A.DOWN, ref, A.process, (A.rex, beam.node), A.noconnection), timeout=patience())
    node.monitor_node(beam.name)
    assert receive((A.nodedown, beam.node), timeout=patience())
    node.send(("rex", beam.name), A.lost)
    node.cast(("rex", beam.name), A.lost)
    with pytest.raises(NodeDown):
        node.call(("rex", beam.name), A.lost)
    assert node.nodes() == []
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    assert node.rpc(beam.name, "erlang", "abs", [-1]) == 1
    with pytest.raises(UsageError):
        python(dist_auto_connect="sometimes")
