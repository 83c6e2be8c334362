defmodule Shop do
  @moduledoc "What the Elixir application does with the price service."

  def total(node, skus) do
    Enum.reduce_while(skus, {:ok, 0}, fn sku, {:ok, sum} ->
      case GenServer.call({:prices, node}, {:price, sku}) do
        {:ok, cents} -> {:cont, {:ok, sum + cents}}
        error -> {:halt, error}
      end
    end)
  end

  def set(node, sku, cents), do: GenServer.cast({:prices, node}, {:set, sku, cents})

  def sale(node, cents, percent), do: :erpc.call(node, Prices, :discount, [cents, percent])

  @doc "A process that subscribes and keeps what it is told."
  def subscriber(node) do
    {:ok, agent} = Agent.start(fn -> [] end)
    pid = spawn(fn -> collect(agent) end)
    :ok = GenServer.call({:prices, node}, {:subscribe, pid})
    {pid, agent}
  end

  def seen(agent), do: Agent.get(agent, &Enum.reverse/1)

  defp collect(agent) do
    receive do
      message -> Agent.update(agent, &[message | &1])
    end

    collect(agent)
  end
end
