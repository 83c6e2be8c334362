# The Elixir application that the examples talk to:
#   elixir --name app@127.0.0.1 --cookie secret examples/app.exs

defmodule Stock do
  use GenServer

  def start_link(stock), do: GenServer.start_link(__MODULE__, stock, name: :stock)

  @impl true
  def init(stock), do: {:ok, stock}

  @impl true
  def handle_call({:get, sku}, _from, stock), do: {:reply, Map.fetch(stock, sku), stock}
  def handle_call(:whereis, _from, stock), do: {:reply, self(), stock}

  @impl true
  def handle_cast({:put, sku, count}, stock), do: {:noreply, Map.put(stock, sku, count)}
  def handle_cast(:burn_down, _stock), do: exit(:burnt)
end

defmodule Customer do
  # What an Elixir process does with a Python server. Python asks for it by rpc.
  def count(counter, times) do
    for _ <- 1..times, do: GenServer.call(counter, {:add, 1})
  end

  def predict(node, input), do: :erpc.call(node, Model, :predict, [input])
end

defmodule Jobs do
  # A queue whose jobs are done at least once: what a taker had is handed out again when it is gone.
  use GenServer

  @attempts 3

  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: :jobs)
  def push(job), do: GenServer.call(:jobs, {:push, job})
  def await(id), do: GenServer.call(:jobs, {:await, id}, :infinity)

  @impl true
  def init(_), do: {:ok, %{last: 0, waiting: :queue.new(), takers: [], taken: %{}, results: %{}, awaited: %{}}}

  @impl true
  def handle_call({:push, job}, _from, s),
    do: {:reply, s.last + 1, put({s.last + 1, 1, job}, %{s | last: s.last + 1})}

  def handle_call(:take, {pid, _} = from, s),
    do: {:noreply, hand_out(%{s | takers: s.takers ++ [{from, Process.monitor(pid)}]})}

  def handle_call({:done, id, outcome}, {pid, _}, s) do
    case Enum.find(s.taken, fn {_, {taker, {job_id, _, _}}} -> {taker, job_id} == {pid, id} end) do
      nil -> {:reply, :ok, s}
      {ref, {_, job}} -> Process.demonitor(ref, [:flush]) && {:reply, :ok, ended(job, outcome, forget(s, ref))}
    end
  end

  def handle_call({:await, id}, from, s) do
    case s.results do
      %{^id => result} -> {:reply, result, s}
      _ -> {:noreply, %{s | awaited: Map.update(s.awaited, id, [from], &[from | &1])}}
    end
  end

  @impl true
  def handle_info({:DOWN, ref, _, _, why}, s) do
    case s.taken do
      %{^ref => {_, job}} -> {:noreply, ended(job, {:error, why}, forget(s, ref))}
      _ -> {:noreply, %{s | takers: List.keydelete(s.takers, ref, 1)}}
    end
  end

  defp put(job, s), do: hand_out(%{s | waiting: :queue.in(job, s.waiting)})
  defp forget(s, ref), do: %{s | taken: Map.delete(s.taken, ref)}

  defp hand_out(%{takers: [{{pid, _} = from, ref} | takers]} = s) do
    case :queue.out(s.waiting) do
      {:empty, _} ->
        s

      {{:value, job}, waiting} ->
        GenServer.reply(from, job)
        hand_out(%{s | waiting: waiting, takers: takers, taken: Map.put(s.taken, ref, {pid, job})})
    end
  end

  defp hand_out(s), do: s

  defp ended({id, attempt, job}, {:error, _}, s) when attempt < @attempts, do: put({id, attempt + 1, job}, s)

  defp ended({id, _, _}, outcome, s) do
    Enum.each(Map.get(s.awaited, id, []), &GenServer.reply(&1, outcome))
    %{s | results: Map.put(s.results, id, outcome), awaited: Map.delete(s.awaited, id)}
  end
end

{:ok, _} = Supervisor.start_link([{Stock, %{"apples" => 7}}, Jobs], strategy: :one_for_one)
IO.puts("app is up")
Process.sleep(:infinity)
