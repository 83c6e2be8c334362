"""Calls, casts and messages, each way, by pid and by name: from Elixir, from Erlang and from Python."""

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from interop_tests.servers import Desk, mailbox
from pyerlnode import A
from pyerlnode.errors import CallTimeout, EncodeError, NodeDown, NoProc, ServerExit
from pyerlnode.term.pid import Pid
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import Heartbeat, deadline, patience
from pyerlnode.testing.waiting import wait_for

ELIXIR = pytest.mark.beam(elixir=True)
Helper = Callable[[str], Beam]


@pytest.fixture
def server(node: Any) -> Pid:
    """A Python server, registered as `desk`."""
    return node.start(Desk, name="desk")


# --- Elixir and Erlang call Python -------------------------------------------------------------
@ELIXIR
def test_node_ping_from_elixir_is_answered_with_pong(beam: Beam, node: Any) -> None:
    assert beam.elixir("Node.ping(node)", node=A[node.name]) is A.pong


def test_net_adm_ping_is_answered_with_pong_while_the_node_lives(beam: Beam, python: Callable[..., Any]) -> None:
    node = python()
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pong
    node.stop()
    beam.wait_until("not lists:member(N, nodes(connected))", N=A[node.name])
    assert beam.eval("net_adm:ping(N)", N=A[node.name]) is A.pang


@ELIXIR
def test_genserver_call_from_elixir_by_name_and_by_pid(helper: Helper, node: Any, server: Pid) -> None:
    beam = helper("counter.ex")
    assert beam.elixir("Interop.Python.call({:desk, n}, {:echo, 1})", n=A[node.name]) == (A.ok, 1)
    assert beam.elixir("Interop.Python.call(pid, {:echo, [a: nil]})", pid=server) == (A.ok, [(A.a, None)])


@ELIXIR
def test_genserver_cast_from_elixir_by_name_and_by_pid(beam: Beam, node: Any, server: Pid) -> None:
    beam.elixir("GenServer.cast({:desk, n}, 1); GenServer.cast(pid, 2)", n=A[node.name], pid=server)
    assert beam.elixir("GenServer.call(pid, :kept)", pid=server) == [(A.cast, 1), (A.cast, 2)]


@ELIXIR
def test_genserver_multi_call_from_elixir_lists_the_python_node_as_good(helper: Helper, node: Any, server: Pid) -> None:
    beam = helper("counter.ex")
    good, bad = beam.elixir("Interop.Python.multi_call(n, :desk, {:echo, 7})", n=A[node.name])
    assert (good, bad) == ([(A[node.name], 7)], [])


@ELIXIR
def test_genserver_multi_call_to_a_name_that_is_not_there_lists_the_node_as_bad(helper: Helper, node: Any) -> None:
    beam = helper("counter.ex")
    assert beam.elixir("Interop.Python.multi_call(n, :nobody, :hello)", n=A[node.name]) == ([], [A[node.name]])


@ELIXIR
def test_send_request_from_elixir_is_answered(helper: Helper, node: Any, server: Pid) -> None:
    beam = helper("counter.ex")
    by_name = beam.elixir("Interop.Python.send_request({:desk, n}, {:echo, 7})", n=A[node.name])
    by_pid = beam.elixir("Interop.Python.send_request(pid, {:echo, nil})", pid=server)
    assert (by_name, by_pid) == ((A.reply, 7), (A.reply, None))


def test_send_request_from_erlang_is_answered_and_says_when_nobody_is_there(beam: Beam, node: Any, server: Pid) -> None:
    ask = "gen_server:wait_response(gen_server:send_request({Name, N}, {echo, 7}), 5000)"
    assert beam.eval(ask, Name=A.desk, N=A[node.name]) == (A.reply, 7)
    assert beam.eval(ask, Name=A.nobody, N=A[node.name]) == (A.error, (A.noproc, (A.nobody, A[node.name])))


def test_a_plain_send_from_erlang_arrives_by_name_and_by_pid(beam: Beam, node: Any, server: Pid) -> None:
    kept = beam.eval("{desk, N} ! one, Pid ! {two}, gen_server:call(Pid, kept)", N=A[node.name], Pid=server)
    assert kept == [(A.info, A.one), (A.info, (A.two,))]


def test_a_late_reply_reaches_its_caller(beam: Beam, node: Any, server: Pid) -> None:
    late = beam.eval(
        """Me = self(),
        spawn(fun() -> Me ! {waited, gen_server:call(Pid, never)} end),
        Wait = fun Again() -> ok = gen_server:call(Pid, pay), receive {waited, X} -> X after 10 -> Again() end end,
        Wait()""",
        Pid=server,
    )  # fmt: skip
    assert late is A.late


def test_stop_with_a_reply_answers_and_then_the_server_is_gone(beam: Beam, node: Any, server: Pid) -> None:
    assert beam.eval("gen_server:call(Pid, {stop, normal, bye})", Pid=server) is A.bye
    assert beam.eval("catch gen_server:call(Pid, kept)", Pid=server)[1][0] is A.noproc


def test_sys_get_state_is_not_mistaken_for_a_call(beam: Beam, node: Any, server: Pid) -> None:
    beam.eval("catch sys:get_state(Pid, 1000)", Pid=server)
    assert beam.eval("gen_server:call(Pid, {echo, 1})", Pid=server) == 1


def test_fifty_callers_at_once_are_all_answered(beam: Beam, node: Any, server: Pid) -> None:
    answers = beam.eval(
        """Me = self(),
        [spawn(fun() -> Me ! {I, gen_server:call({desk, N}, {echo, I})} end) || I <- lists:seq(1, 50)],
        [receive {I, X} -> X end || I <- lists:seq(1, 50)]""",
        N=A[node.name],
    )
    assert answers == list(range(1, 51))


def test_messages_between_two_processes_keep_their_order(helper: Helper, node: Any, server: Pid) -> None:
    beam = helper("probe.erl")
    kept = beam.eval("probe:flood({desk, N}, n, 2000), gen_server:call({desk, N}, kept)", N=A[node.name])
    assert kept == [(A.info, (A.n, i)) for i in range(1, 2001)]


# --- Python calls Elixir and Erlang ------------------------------------------------------------------
def test_call_by_pid_and_by_name_on_a_node(helper: Helper, node: Any) -> None:
    beam = helper("desk.erl")
    pid = beam.eval("desk:start(desk)")
    assert node.call(pid, (A.echo, [1, 2.5, b"x"])) == [1, 2.5, b"x"]
    assert node.call(("desk", beam.name), (A.echo, None)) is None


def test_call_cast_and_send_by_name_on_this_node(node: Any) -> None:
    node.start(Desk, name="desk")
    node.cast("desk", 1)
    node.send("desk", 2)
    assert node.call("desk", A.kept) == [(A.cast, 1), (A.info, 2)]


@ELIXIR
def test_call_cast_and_send_to_an_elixir_genserver(helper: Helper, node: Any) -> None:
    beam = helper("counter.ex")
    beam.elixir("{:ok, _} = Interop.Counter.start(:counter, 30)")
    dest = "counter", beam.name
    assert node.call(dest, (A.add, 5)) is A.ok
    node.cast(dest, (A.add, 6))
    node.send(dest, (A.add, 1))
    assert node.call(dest, A.get) == 42


@ELIXIR
def test_an_elixir_map_arrives_with_atom_keys_and_utf8_text(helper: Helper, node: Any) -> None:
    beam = helper("counter.ex")
    pid = beam.elixir("{:ok, pid} = Interop.Counter.start(:counter, 3); pid")
    assert node.call(pid, (A.whois, pid)) == {A.node: beam.node, A.name: "é 3".encode()}


def test_cast_and_send_arrive_in_order_by_pid_and_by_name(helper: Helper, node: Any) -> None:
    beam = helper("desk.erl")
    pid = beam.eval("desk:start(desk)")
    node.cast(pid, 1)
    node.send(pid, 2)
    node.cast(("desk", beam.name), 3)
    node.send(("desk", beam.name), 4)
    assert node.call(pid, A.kept) == [(A.cast, 1), (A.info, 2), (A.cast, 3), (A.info, 4)]


def test_a_call_each_way_through_each_other_does_not_block(helper: Helper, node: Any, server: Pid) -> None:
    beam = helper("desk.erl")
    pid = beam.eval("desk:start()")
    assert node.call(pid, (A.call, (A.desk, A[node.name]), (A.echo, A.round))) is A.round


def test_many_greenlets_call_one_server_at_once(helper: Helper, node: Any) -> None:
    beam = helper("desk.erl")
    pid = beam.eval("desk:start()")
    jobs = [gevent.spawn(node.call, pid, (A.echo, i)) for i in range(50)]
    gevent.joinall(jobs, timeout=patience())
    assert [job.value for job in jobs] == list(range(50))


# --- calls that fail -----------------------------------------------------------------------------------
def test_a_call_to_an_unknown_name_fails_within_50_ms(beam: Beam, node: Any) -> None:
    assert node.ping(beam.name)
    with deadline(0.05, "the refusal"), pytest.raises(NoProc):
        node.call(("nobody", beam.name), A.hello)
    with pytest.raises(NoProc):
        node.call("nobody", A.hello)


def test_a_call_from_erlang_to_an_unknown_name_fails_within_50_ms(beam: Beam, node: Any) -> None:
    beam.eval("pong = net_adm:ping(N)", N=A[node.name])
    with Heartbeat() as heart:
        microseconds, failure = beam.eval(
            "timer:tc(fun() -> catch gen_server:call({nobody, N}, hello) end)", N=A[node.name]
        )  # fmt: skip
    assert failure[1][0] is A.noproc
    assert microseconds / 1e6 < 0.05 + 2 * heart.late


def test_a_call_to_a_dead_pid_is_noproc(helper: Helper, node: Any) -> None:
    pid = helper("desk.erl").eval("P = desk:start(), gen_server:stop(P), P")
    with pytest.raises(NoProc):
        node.call(pid, A.kept)


def test_a_call_to_a_node_that_is_not_there_is_nodedown(beam: Beam, node: Any) -> None:
    with pytest.raises(NodeDown):
        node.call(("desk", "nobody_here@127.0.0.1"), A.kept)


def test_a_server_that_crashes_during_the_call_ends_it_at_once(helper: Helper, node: Any) -> None:
    pid = helper("desk.erl").eval("desk:start()")
    with pytest.raises(ServerExit) as caught:
        node.call(pid, (A.fail, A.not_today))
    assert caught.value.reason[0][0] is A.not_today


def test_a_python_server_that_crashes_during_the_call_ends_the_erlang_callers_call(
    beam: Beam, node: Any, server: Pid
) -> None:
    failure = beam.eval("catch gen_server:call(P, fail)", P=server)
    assert failure[0] is A.EXIT
    reason, where = failure[1]
    assert reason[:3] == (A.python_error, b"ValueError", b"not today")
    assert where[:2] == (A.gen_server, A.call)


def test_a_call_that_times_out_leaves_the_caller_usable_and_drops_the_late_reply(helper: Helper, node: Any) -> None:
    pid = helper("desk.erl").eval("desk:start()")
    node.monitor(pid)  # makes this greenlet a process with a mailbox to look into
    with pytest.raises(CallTimeout):
        node.call(pid, A.never, timeout=0.05)
    assert node.call(pid, A.pay) is A.ok  # the late reply is sent before this one
    assert node.call(pid, (A.echo, 1)) == 1
    assert mailbox() == []


def test_an_erlang_caller_that_times_out_gets_no_late_reply(helper: Helper, node: Any, server: Pid) -> None:
    beam = helper("probe.erl")
    probe = beam.eval("probe:start()")
    run = "probe:run(P, fun() -> catch gen_server:call(D, R, T) end)"
    failure = beam.eval(run, P=probe, D=server, R=A.never, T=20)
    assert failure[1][0] is A.timeout
    assert beam.eval(run, P=probe, D=server, R=A.pay, T=5000) is A.ok
    assert beam.eval("probe:messages(P)", P=probe) == []


def test_fifty_calls_and_then_the_servers_death_leave_no_stray_down(helper: Helper, node: Any) -> None:
    beam = helper("desk.erl")
    pid, other = beam.eval("desk:start()"), beam.eval("desk:start()")
    ref = node.monitor(other)
    for i in range(50):
        assert node.call(pid, (A.echo, i)) == i
    beam.eval("exit(P, kill)", P=pid)
    with pytest.raises(NoProc):
        node.call(pid, A.kept)
    assert mailbox() == []
    node.demonitor(ref)


def test_fifty_calls_from_erlang_and_then_the_servers_death_leave_no_stray_down(
    helper: Helper, node: Any, server: Pid
) -> None:
    beam = helper("probe.erl")
    probe = beam.eval("probe:start()")
    run = "probe:run(P, fun() -> [gen_server:call(D, {echo, I}) || I <- lists:seq(1, 50)] end)"
    assert beam.eval(run, P=probe, D=server) == list(range(1, 51))
    node.exit(server, A.kill)
    beam.eval("probe:run(P, fun() -> pong = net_adm:ping(N) end)", P=probe, N=A[node.name])
    wait_for(lambda: node.whereis("desk") is None)
    beam.eval("probe:run(P, fun() -> catch gen_server:call(D, kept) end)", P=probe, D=server)
    assert beam.eval("probe:messages(P)", P=probe) == []


# --- terms that can not be sent --------------------------------------------------------------------------
@pytest.mark.parametrize(
    "term", [float("nan"), object(), {A.deep: [(1, {2: lambda: 0})]}], ids=["nan", "object", "deep"]
)
def test_a_term_that_can_not_be_encoded_raises_at_the_sender_and_the_next_message_arrives(
    helper: Helper, node: Any, term: Any
) -> None:
    pid = helper("desk.erl").eval("desk:start()")
    node.send(pid, A.before)
    for attempt in (node.send, node.cast, node.call):
        with pytest.raises(EncodeError):
            attempt(pid, term)
    node.send(pid, A.after)
    assert node.call(pid, A.kept) == [(A.info, A.before), (A.info, A.after)]


def test_a_reply_that_can_not_be_encoded_costs_that_server_and_not_the_connection(
    beam: Beam, node: Any, python: Callable[..., Any]
) -> None:
    from pyerlnode import GenServer, Reply

    class Careless(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:
            return Reply(object())

    careless = node.start(Careless)
    node.start(Desk, name="desk")
    beam.eval("pong = net_adm:ping(N)", N=A[node.name])
    failure = beam.eval("catch gen_server:call(P, hello, 2000)", P=careless)
    assert failure[1][0][:2] == (A.python_error, b"pyerlnode.errors.EncodeError")
    assert beam.eval("gen_server:call({desk, N}, {echo, 1})", N=A[node.name]) == 1
