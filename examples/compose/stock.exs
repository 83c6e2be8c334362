# app@stock.pyerlnode.test: how many there are of a thing. `:halt` ends the whole node, as a machine that is switched off.
defmodule Stock do
  use GenServer

  def start, do: GenServer.start(__MODULE__, %{"apples" => 7}, name: :stock)

  def init(stock), do: {:ok, stock}

  def handle_call({:get, sku}, _from, stock), do: {:reply, {:ok, Map.get(stock, sku, 0)}, stock}
  def handle_cast(:halt, _stock), do: System.halt(0)
end

{:ok, _} = Stock.start()
