"""What a node tells of its processes, and what it refuses: as a BEAM does, asked in the same words."""

from typing import Any

import pytest

from pyerlnode import A, GenServer, monitor, receive, self_, spawn
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

ITEMS = """[registered_name, backtrace, binary, catchlevel, current_function, current_location,
 current_stacktrace, dictionary, error_handler, fullsweep_after, garbage_collection, garbage_collection_info,
 group_leader, heap_size, initial_call, links, last_calls, memory, message_queue_len, messages, min_heap_size,
 min_bin_vheap_size, max_heap_size, monitored_by, monitors, message_queue_data, parent, priority, reductions,
 sequential_trace_token, stack_size, status, suspending, total_heap_size, trace, trap_exit]"""
SAME = """[registered_name, binary, error_handler, fullsweep_after, links, last_calls, message_queue_len, messages,
 min_heap_size, min_bin_vheap_size, monitored_by, monitors, message_queue_data, priority, sequential_trace_token,
 suspending, trace, trap_exit]"""


@pytest.fixture
def told(beam: Beam, node: Any) -> Any:
    """A server here and one there, and how both answer."""
    node.start(GenServer, name="asked")
    server = """
    S = fun S() -> receive stop -> ok; _ -> S() end end, P = spawn(S), register(asked, P), """

    def ask(source: str) -> tuple[str, str]:
        erlang = beam.text(f"{server} R = ({source})(node(), P), unregister(asked), P ! stop, R")
        return beam.text(f"({source})(N, P)", N=A[node.name], P=node.whereis("asked")), erlang

    return ask


def test_the_items_are_otps(told: Any) -> None:
    python, erlang = told(f"fun(N, P) -> [element(1, I) || I <- rpc:call(N, erlang, process_info, [P, {ITEMS}])] end")
    assert python == erlang
    python, erlang = told(f"fun(N, P) -> rpc:call(N, erlang, process_info, [P, {SAME}]) end")
    assert python == erlang
    usual = "[element(1, I) || I <- rpc:call(N, erlang, process_info, [P])]"
    python, erlang = told(f"fun(N, P) -> {usual} end")
    assert python == erlang


@pytest.mark.parametrize(
    "args", ["[P, nonsense]", "[P, [links, nonsense]]", "[P, []]", "[foo, links]", "[P, 1]", "[P, <<>>]"]
)
def test_what_is_no_item_is_an_error(told: Any, args: str) -> None:
    python, erlang = told(f"""fun(N, P) ->
        Plain = fun({{badrpc, {{'EXIT', {{R, [_ | _]}}}}}}) -> {{error, R}}; (V) -> V end,
        {{Plain(rpc:call(N, erlang, process_info, {args})),
         try erpc:call(N, erlang, process_info, {args}) catch C:{{exception, R, _}} -> {{C, R}} end}}
    end""")
    assert python == erlang


def test_a_value_of_the_dictionary_is_an_item_since_otp_26(beam: Beam, node: Any) -> None:
    from pyerlnode.runtime.api import put

    def kept() -> None:
        put(A.a, (1, 2))
        receive()

    pid = node.spawn(kept)
    wait_for(lambda: node.process_info(pid, (A.dictionary, A.a)) == (1, 2))
    source = "rpc:call(N, erlang, process_info, [P, [{dictionary, a}, {dictionary, b}]])"
    assert beam.eval(source, N=A[node.name], P=pid) == [
        ((A.dictionary, A.a), (1, 2)),
        ((A.dictionary, A.b), A.undefined),
    ]


def test_a_monitor_of_a_name_is_shown_as_one(beam: Beam, node: Any) -> None:
    server = node.start(GenServer, name="asked")

    def watch() -> None:
        monitor("asked")
        monitor(("asked", node.name))
        monitor(server)
        receive()

    pid = node.spawn(watch)
    wait_for(lambda: len(node.process_info(pid, "monitors")) == 3)
    named = (A.process, (A.asked, A[node.name]))
    assert beam.eval("rpc:call(N, erlang, process_info, [P, monitors])", N=A[node.name], P=pid) == (
        A.monitors, [named, named, (A.process, server)],
    )  # fmt: skip
    assert node.process_info(server, "monitored_by") == [pid, pid, pid]


def test_names_and_nodes_are_told(beam: Beam, node: Any) -> None:
    node.start(GenServer, name="asked")
    here, there = A[node.name], A[beam.name]
    names = beam.eval("rpc:call(N, erlang, registered, [])", N=here)
    assert {A.asked, A.rex, A.net_kernel, A.user} <= set(names)
    assert names == node.registered()
    ask = (
        "[rpc:call(N, erlang, nodes, [K]) || K <- [visible, hidden, connected, this, [this, visible], [this, hidden]]]"
    )
    theirs = beam.eval("nodes(hidden)")
    assert here in theirs
    assert beam.eval(ask, N=here) == [[there], [], [there], [here], [here, there], [here]]
    assert beam.eval("{rpc:call(N, erlang, node, []), rpc:call(N, erlang, nodes, [])}", N=here) == (here, [there])
    known = beam.eval("rpc:call(N, erlang, nodes, [known])", N=here)
    assert {here, there} <= set(known)
    bad = "try erpc:call(N, erlang, nodes, [nonsense]) catch C:{exception, R, _} -> {C, R} end"
    assert beam.eval(bad, N=here) == beam.eval(bad, N=there) == (A.error, A.badarg)
    assert node.nodes(["this", "visible"]) == [node.name, beam.name]


SPAWN_OPTIONS = """[{fullsweep_after, -1}, {fullsweep_after, x}, {min_heap_size, -1}, {max_heap_size, x},
 {max_heap_size, #{size => 1}}, {max_heap_size, 0}, {max_heap_size, #{size => 0}}, {message_queue_data, x},
 {message_queue_data, off_heap}, {async_dist, x}, {scheduler, x}, {scheduler, 0},
 {priority, nonsense}, {priority, max}, {priority, 1}, {min_bin_vheap_size, a}, {link, x}, {monitor, []},
 {monitor, [{tag, a}]}, {monitor, x}, linkx, {label, x}, link, monitor, {link}, 1, "ab"]"""


def test_options_of_a_spawn_are_refused_that_otp_refuses(beam: Beam, node: Any) -> None:
    node.export("erlang", lambda: None, name="yield")
    source = f"""
    process_flag(trap_exit, true),
    Spawn = fun(O) ->
        Id = spawn_request(N, erlang, yield, [], [O]),
        receive {{spawn_reply, Id, ok, _}} -> ok; {{spawn_reply, Id, error, Why}} -> {{error, Why}} end
    end,
    [{{O, Spawn(O)}} || O <- {SPAWN_OPTIONS}]
    """
    assert beam.text(source, N=A[node.name]) == beam.text(source, N=A[beam.name])


def test_a_function_with_a_wrong_number_of_arguments_is_badarity(beam: Beam, node: Any) -> None:
    source = """
    F = fun lists:reverse/2,
    {_, M} = spawn_monitor(N, erlang, apply, [F, [1]]),
    Down = receive {'DOWN', M, _, _, {R1, [_ | _]}} -> R1 end,
    {Down, try erpc:call(N, erlang, apply, [F, [1]]) catch C:{exception, R2, _} -> {C, R2} end,
     element(1, element(2, element(2, rpc:call(N, erlang, apply, [F, [1]])))),
     element(1, element(2, element(2, rpc:block_call(N, erlang, apply, [F, [1]]))))}
    """
    python = beam.text(source, N=A[node.name])
    assert python == beam.text(source, N=A[beam.name])
    assert python.startswith("{{badarity,{fun lists:reverse/2,[1]}},")


def test_a_message_with_a_dead_alias_to_a_pid_is_delivered(beam: Beam, node: Any) -> None:
    def collect(to: Any) -> None:
        ref = node.system.new_ref()
        node.send(to, (self_(), ref))
        node.send(to, [receive(), receive()])

    node.export("aliases", lambda to: spawn(collect, to), name="collect")
    source = """
    P = erpc:call(N, aliases, collect, [self()]),
    receive {P, Ref} -> ok end,
    P ! {[alias | Ref], first}, P ! {[alias | make_ref()], second},
    receive [A, B] -> {element(2, A), element(2, B), element(1, A) =:= [alias | Ref]} end
    """
    assert beam.eval(source, N=A[node.name]) == (A.first, A.second, True)
