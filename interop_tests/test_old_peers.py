"""What peers before SPAWN_REQUEST (OTP 22) do: `spawn/4` and its kin are calls of `net_kernel`.

The BEAMs here make these calls by hand. They do not fall back to them themselves: to a peer that does not offer the
flag SPAWN, `spawn/4` is `notsup`.
"""

from typing import Any

import gevent
import pytest

from pyerlnode import A, Node, receive, self_
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.errors import Exit
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.plugin import python_name


def exported(node: Any) -> Any:
    def tell(to: Any, what: Any) -> None:
        node.send(to, what)

    def wait(to: Any) -> None:
        node.send(to, (A.up, self_()))
        node.send(to, (A.got, receive()))

    def leave(reason: Any) -> None:
        raise Exit(reason)

    node.export("py", {"tell": tell, "wait": wait, "leave": leave, "nap": gevent.sleep})
    return node


@pytest.fixture
def py(node: Any) -> Any:
    return exported(node)


@pytest.fixture
def old(beam: Beam) -> Any:
    """A node that does not offer SPAWN."""
    made = Node(python_name(), cookie=beam.cookie, epmd_port=beam.epmd_port)
    made._flags = HIDDEN_FLAGS & ~DistFlags.SPAWN
    with made:
        yield exported(made)


def test_spawn_answers_with_the_pid_of_a_process_that_runs_the_function(beam: Beam, py: Any) -> None:
    talk = """
      P = gen_server:call({net_kernel, N}, {spawn, py, wait, [self()], group_leader()}),
      R = monitor(process, P),
      receive {up, P} -> P ! hello after 60000 -> none end,
      {receive {got, X} -> X after 60000 -> none end,
       receive {'DOWN', R, process, P, Why} -> Why after 60000 -> none end}
    """
    assert beam.eval(talk, N=A[py.name]) == (A.hello, A.normal)


def test_spawn_link_links_before_it_answers(beam: Beam, py: Any) -> None:
    talk = """
      process_flag(trap_exit, true),
      Ask = fun(F, A) -> gen_server:call({net_kernel, N}, {spawn_link, py, F, A, group_leader()}) end,
      Ends = fun(P) -> receive {'EXIT', P, Why} -> Why after 60000 -> none end end,
      Left = Ends(Ask(leave, [gone])), Nobody = Ends(Ask(no_such, [])),
      Napping = Ask(nap, [30]), true = lists:member(Napping, element(2, process_info(self(), links))),
      exit(Napping, kill),
      {Left, Nobody, Ends(Napping)}
    """
    left, nobody, killed = beam.eval(talk, N=A[py.name])
    assert left is A.gone
    assert nobody == (A.undef, [(A.py, A.no_such, [], [])])
    assert killed is A.killed


def test_a_linked_process_ends_with_the_one_that_asked_for_it(beam: Beam, py: Any) -> None:
    talk = """
      Me = self(), Request = {spawn_link, py, nap, [30], group_leader()},
      spawn(fun() -> Me ! gen_server:call({net_kernel, N}, Request), exit(over) end),
      receive P -> R = monitor(process, P), receive {'DOWN', R, process, P, Why} -> Why after 60000 -> none end end
    """
    assert beam.eval(talk, N=A[py.name]) in (A.over, A.noproc)


def test_spawn_opt_takes_the_options_of_a_process_and_refuses_others(beam: Beam, py: Any) -> None:
    ask = "gen_server:call({net_kernel, N}, {spawn_opt, py, tell, [self(), hi], Options, Link, group_leader()})"
    said = f"process_flag(trap_exit, true), X = {ask}, {{X, receive hi -> hi after 60000 -> none end, "
    said += "receive {'EXIT', X, W} -> W after Most -> none end}"
    for options, link, end in (
        ("[]", "no_link", A.none),
        ("[{priority, low}]", "link", A.normal),
        ("[link]", "x", A.normal),
    ):
        most = 200 if end is A.none else 5000
        _, hi, why = beam.eval(said.replace("Options", options).replace("Link", link), N=A[py.name], Most=most)
        assert (hi, why) == (A.hi, end)
    for options in ("[monitor]", "[no_such]", "[{priority}]"):
        answer = beam.eval(ask.replace("Options", options).replace("Link", "no_link"), N=A[py.name])
        assert answer == (A.EXIT, (A.badarg, []))


def test_nonsense_gets_no_answer_and_harms_nobody(beam: Beam, py: Any) -> None:
    for request in (
        "{spawn, py, tell, [x]}",
        "{spawn, py, tell, [x], not_a_pid}",
        "{spawn_opt, py, tell, [], x, link, self()}",
    ):
        ask = f"catch gen_server:call({{net_kernel, N}}, {request}, 200)"
        assert beam.eval(ask, N=A[py.name])[1][0] is A.timeout
    what = beam.eval(
        "P = gen_server:call({net_kernel, N}, {spawn, py, tell, [a | b], self()}), is_pid(P)", N=A[py.name]
    )
    assert what is True
    assert beam.eval("gen_server:call({net_kernel, N}, {spawn, 1, 2, 3, self()})", N=A[py.name]) is not None
    assert beam.eval("net_adm:ping(N)", N=A[py.name]) is A.pong


def test_to_a_peer_without_spawn_a_beam_says_notsup_and_its_calls_of_old_are_answered(beam: Beam, old: Any) -> None:
    talk = """
      process_flag(trap_exit, true),
      L = spawn_link(N, py, nap, [1]),
      Linked = receive {'EXIT', L, Why} -> Why after 60000 -> none end,
      R = spawn_request(N, py, nap, [1]),
      Asked = receive {spawn_reply, R, E, W} -> {E, W} after 60000 -> none end,
      gen_server:call({net_kernel, N}, {spawn, py, tell, [self(), hi], group_leader()}),
      {Linked, Asked, receive hi -> hi after 60000 -> none end}
    """
    assert beam.eval(talk, N=A[old.name]) == (A.notsup, (A.error, A.notsup), A.hi)
