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

{:ok, _} = Supervisor.start_link([{Stock, %{"apples" => 7}}], strategy: :one_for_one)
IO.puts("app is up")
Process.sleep(:infinity)
