# Callers that ask a member of the group `shop`, each at random, and remember what went wrong.
defmodule Callers do
  use GenServer

  def init(nil), do: {:ok, %{callers: []}}

  def handle_call({:start, count}, _from, state) do
    {:reply, :ok, %{state | callers: for(_ <- 1..count, do: Task.async(fn -> call(0, []) end)) ++ state.callers}}
  end

  def handle_call(:stop, _from, state) do
    for task <- state.callers, do: send(task.pid, :stop)
    results = Task.await_many(state.callers, 60_000)
    calls = Enum.sum(for {calls, _} <- results, do: calls)
    {:reply, {calls, Enum.flat_map(results, fn {_, failures} -> Enum.map(failures, &inspect/1) end)}, %{callers: []}}
  end

  def handle_call(:members, _from, state), do: {:reply, :pg.get_members(:shop), state}

  defp call(calls, failures) do
    receive do
      :stop -> {calls, failures}
    after
      5 -> call(calls + 1, once(:pg.get_members(:shop)) ++ failures)
    end
  end

  defp once([]), do: [:no_members]

  defp once(members) do
    {:ok, _} = members |> Enum.random() |> GenServer.call({:price, "apples"}, 30_000)
    []
  catch
    kind, reason -> [{kind, reason}]
  end
end

{:ok, _} = :pg.start(:pg)
for number <- 1..3, do: Node.connect(:"app@app#{number}.cluster.test")
{:ok, _} = GenServer.start(Callers, nil, name: :callers)
