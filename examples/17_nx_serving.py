"""A model in Python behind `Nx.Serving.batched_run`: Elixir callers at once, answered in batches.

An application that has Nx calls it as it stands. `app.exs` has not, so `CALLER` does on its node what Nx does: it picks
a member of the serving's group, has its node run the request, and looks at how that ends.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    one caller: [b'cat', b'dog', b'cat']
    forty callers at once, in fewer batches: True
    a model that refuses: (A.exit, A.too_hot)
"""

import sys
from typing import Any

import numpy as np

from pyerlnode import A, Node
from pyerlnode.bridges.nx import Batch, Serving
from pyerlnode.errors import Exit

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"
LABELS = ("cat", "dog")
CALLER = """
defmodule Nx.Serving do
  def batched_run(name, input) do
    [_ | _] = members = wait(name, 500)
    ref = make_ref()
    args = [self(), ref, name, input]
    {_, monitor} = Node.spawn_monitor(node(Enum.random(members)), __MODULE__, :__distributed_batched_run__, args)
    receive do
      {:DOWN, ^monitor, _, _, {^ref, result}} -> result
      {:DOWN, ^monitor, _, _, reason} -> {:exit, reason}
    end
  end

  def many(name, inputs) do
    inputs |> Enum.map(&Task.async(fn -> batched_run(name, &1) end)) |> Task.await_many()
  end

  defp wait(name, tries) do
    case :pg.get_members(Nx.Serving.PG, name) do
      [] when tries > 0 -> Process.sleep(10) && wait(name, tries - 1)
      members -> members
    end
  end
end
{:ok, _} = :pg.start(Nx.Serving.PG)
:ok
"""
WEIGHTS = np.array([[1.0, -1.0], [-1.0, 1.0]])


def model(rows: Any) -> Any:
    """A batch of rows to as many rows of scores; here the GPU would be asked."""
    if np.any(rows > 100):
        raise Exit(A.too_hot)
    return rows @ WEIGHTS


def before(rows: list[list[float]]) -> tuple[Batch, None]:
    """The caller's input to a batch. Without this the input is an `Nx.Batch`."""
    return Batch.stack(np.array(row) for row in rows), None


def after(output: tuple[Any, Any], _info: None) -> list[str]:
    """The caller's part of the output to what it gets. Without this it is a tensor."""
    scores, _metadata = output
    return [LABELS[best] for best in scores.argmax(axis=1)]


def main() -> None:
    with Node(cookie="secret") as node:
        assert node.rpc(APP, "Elixir.Code", "eval_string", [CALLER])[0] is A.ok
        options = {"batch_size": 16, "batch_timeout": 0.05}
        functions = {"client_preprocessing": before, "client_postprocessing": after}
        serving = node.start(Serving, node, "MyApp.Pets", model, **options, **functions)
        name = A.Elixir.MyApp.Pets

        def elixir(function: str, argument: Any) -> Any:
            return node.rpc(APP, "Elixir.Nx.Serving", function, [name, argument])

        print("one caller:", elixir("batched_run", [[0.9, 0.1], [0.2, 0.7], [0.6, 0.3]]))
        before_ = node.call(serving, A.stats)[A.batches]
        got = elixir("many", [[[float(n % 2), 0.5]] for n in range(40)])
        batches = node.call(serving, A.stats)[A.batches] - before_
        print("forty callers at once, in fewer batches:", got == [[b"dog"], [b"cat"]] * 20 and batches < 40)
        print("a model that refuses:", elixir("batched_run", [[451.0, 0.0]]))


if __name__ == "__main__":
    main()
