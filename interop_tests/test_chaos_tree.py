"""A tree of three levels, Elixir → Python → Elixir, of which anything is killed at random, is whole again each time.

PYERLNODE_CHAOS=200 kills two hundred times; PYERLNODE_CHAOS_SEED repeats a run. Each kill is one restart, counted by
the supervisor above what was killed, in Elixir or in Python, and by no other.
"""

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyerlnode.term.atom import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.plugin import python_name
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.beam(elixir=True)
ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("PYERLNODE_CHAOS", "6"))
SEED = int(os.environ.get("PYERLNODE_CHAOS_SEED", "7"))

COUNTED_BY = {
    "port": (A.top, A.port),
    "os": (A.top, A.port),
    "connection": (A.top, A.port),
    "middle": (A.top, A.middle),
    "desk": (A.middle, A.desk),
    "one": (A.middle, A.one),
    "two": (A.middle, A.two),
    "leaf": (A.middle, A.two),
}
"""What is killed, and who restarts what because of it."""

GROW = """
me = self()
spawn(fn ->
  Process.flag(:trap_exit, true)
  port = [node: n, python: python, args: [program, Atom.to_string(node())], env: %{"PYTHONPATH" => path},
          output: fn _ -> :ok end, id: :port, stop_time: 1000]
  middle = [module: Middle, node: n, on_down: :wait, id: :middle, shutdown: 5000]
  {:ok, top} = Supervisor.start_link([{Pyerlnode.Port, port}, {Pyerlnode, middle}],
    strategy: :rest_for_one, max_restarts: 100_000, name: :top)
  send(me, :grown)
  receive do
    {:EXIT, ^top, why} -> exit(why)
    {:stop, from} -> Supervisor.stop(top); send(from, :stopped)
  end
end) |> Process.register(:chaos)
receive do :grown -> :ok after 60_000 -> :late end
"""
WHOLE = """
try do
  all = Map.new(Supervisor.which_children(:top), fn {id, pid, _, _} -> {id, pid} end)
  below = Map.new(Supervisor.which_children(all.middle), fn {id, pid, _, _} -> {id, pid} end)
  1 = GenServer.call(:leaf_one, :get, 500)
  ref = make_ref()
  send(below.two, {:get_child, self(), ref})
  leaf = receive do {^ref, pid} -> pid after 500 -> exit(:late) end
  2 = GenServer.call(leaf, :get, 500)
  true = GenServer.call(below.desk, {:echo, true}, 500)
  true = below.one == Process.whereis(:leaf_one)
  stocks = for p <- Process.list(), {:dictionary, d} <- [Process.info(p, :dictionary)],
    d[:"$initial_call"] == {Stock, :init, 1}, do: p
  true = Enum.sort(stocks) == Enum.sort([below.one, leaf])
  %{port: all.port, middle: all.middle, desk: below.desk, one: below.one, two: below.two, leaf: leaf,
    os: Pyerlnode.Port.os_pid(all.port)}
catch
  _, _ -> nil
end
"""


def test_a_tree_of_three_levels_is_whole_again_whatever_is_killed(helper: Callable[[str], Beam]) -> None:
    beam = helper("stock.ex")
    beam.load(ROOT / "beam" / "pyerlnode" / "lib" / "pyerlnode.ex")
    beam.load(ROOT / "interop_tests" / "beam_src" / "chaos_counts.ex")
    beam.elixir("{:ok, _} = ChaosCounts.start(); :ok")
    name, dice = python_name(), random.Random(SEED)
    program = ROOT / "interop_tests" / "peers" / "chaos.py"
    grown = beam.elixir(
        GROW, n=A[name], python=sys.executable.encode(), program=str(program).encode(), path=str(ROOT).encode()
    )
    assert grown is A.ok
    tree = whole(beam, {}, "nothing yet")
    os_pids = {tree[A.os]}
    expected: Counter[tuple[Any, Any]] = Counter()
    for number in range(KILLS):
        what = dice.choice(["port", "middle", "desk", "one", "two", "leaf", "os", "connection"])
        if what == "connection":
            beam.elixir(":erlang.disconnect_node(n)", n=A[name])
        elif what == "os":
            os.kill(tree[A.os], 9)
        else:
            beam.elixir("Process.exit(pid, :kill)", pid=tree[A[what]])
        tree = whole(beam, {A[what]: tree.get(A[what])}, f"kill {number} of seed {SEED}: {what}")
        os_pids.add(tree[A.os])
        expected[COUNTED_BY[what]] += 1
        assert restarts(beam) == expected, f"restarts after kill {number} of seed {SEED}: {what}"
    beam.elixir("GenServer.stop(ChaosCounts)")
    assert beam.elixir("send(:chaos, {:stop, self()}); receive do :stopped -> true after 60_000 -> false end") is True
    wait_for(lambda: not any(Path(f"/proc/{os_pid}").exists() for os_pid in os_pids), what="the end of OS processes")
    stocks = "[P || P <- processes(), {dictionary, D} <- [process_info(P, dictionary)],"
    beam.wait_until(stocks + " proplists:get_value('$initial_call', D) =:= {'Elixir.Stock', init, 1}] =:= []")


def restarts(beam: Beam) -> Counter[tuple[Any, Any]]:
    """How often each supervisor has seen each child end; but not what went with its node, which its port stands for."""
    seen = beam.elixir("ChaosCounts.seen()")
    return Counter((who, child) for who, child, reason in seen if child is A.port or reason is A.killed)


def whole(beam: Beam, old: dict[Any, Any], after: str) -> dict[Any, Any]:
    """The tree, when every part of it answers and what was killed is another one."""
    found: list[Any] = [None]

    def is_whole() -> bool:
        found[0] = beam.elixir(WHOLE)
        return found[0] is not None and all(found[0].get(key) != value for key, value in old.items() if value)

    wait_for(is_whole, what=f"the tree after {after}")
    return dict(found[0])
