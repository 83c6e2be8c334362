# The scenarios of bench_runtime.py with an Elixir GenServer: one figure a line, for `bench_runtime.py beam`.
defmodule Echo do
  use GenServer
  def init(count), do: {:ok, count}
  def handle_call(request, _, count), do: {:reply, request, count}
  def handle_cast(_, count), do: {:noreply, count + 1}
end

defmodule Bench do
  def rate(what, number, job) do
    {us, _} = :timer.tc(job)
    IO.puts("#{what}\t#{number * 1_000_000 / us}")
  end

  def member do
    receive do
      {:next, next} -> pass(next)
    end
  end

  def pass(next) do
    receive do
      left when left >= 0 -> send(next, left - 1); pass(next)
      left -> send(next, left)
    end
  end
end

[scale] = System.argv()
scale = String.to_float(scale)
n = trunc(200_000 * scale)
{:ok, pid} = GenServer.start(Echo, 0)
Bench.rate("calls, one caller", n, fn -> for _ <- 1..n, do: GenServer.call(pid, 1) end)
servers = for _ <- 1..1000, do: elem(GenServer.start(Echo, 0), 1)

Bench.rate("calls, 100 callers over 1,000 servers", n, fn ->
  servers
  |> Enum.chunk_every(10)
  |> Enum.map(fn mine -> Task.async(fn -> for _ <- 1..div(n, 1000), s <- mine, do: GenServer.call(s, 1) end) end)
  |> Enum.each(&Task.await(&1, :infinity))
end)

Bench.rate("casts", n, fn ->
  for _ <- 1..n, do: GenServer.cast(pid, 1)
  GenServer.call(pid, 1, :infinity)
end)

rounds = max(1, trunc(1000 * scale))

Bench.rate("ring of 1,000 processes", rounds * 1000, fn ->
  members = for _ <- 1..1000, do: elem(spawn_monitor(&Bench.member/0), 0)
  for {one, next} <- Enum.zip(members, tl(members) ++ [hd(members)]), do: send(one, {:next, next})
  send(hd(members), rounds * 1000)
  for _ <- members, do: (receive do {:DOWN, _, _, _, _} -> :ok end)
end)

many = trunc(100_000 * scale)
Bench.rate("servers started", many, fn -> :persistent_term.put(:pids, for(_ <- 1..many, do: elem(GenServer.start(Echo, 0), 1))) end)
Bench.rate("servers stopped (GenServer.stop)", many, fn -> Enum.each(:persistent_term.get(:pids), &GenServer.stop/1) end)
