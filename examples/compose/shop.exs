# app@shop.pyerlnode.test: asks Elixir for the stock and Python for the price.
defmodule Shop do
  use GenServer

  def start, do: GenServer.start(__MODULE__, nil, name: :shop)

  def init(nil), do: {:ok, nil}

  def handle_call({:quote, sku}, _from, nil) do
    {:ok, count} = GenServer.call({:stock, :"app@stock.pyerlnode.test"}, {:get, sku})
    {:ok, cents} = GenServer.call({:prices, :"prices@prices.pyerlnode.test"}, {:price, sku})
    {:reply, {:ok, count, :erpc.call(:"prices@prices.pyerlnode.test", Prices, :total, [count, cents])}, nil}
  end
end

{:ok, _} = Shop.start()
