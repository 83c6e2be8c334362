# What Python supervisors start on a BEAM.
defmodule Stock do
  use GenServer
  def start_link(n), do: GenServer.start_link(__MODULE__, n)
  def init(:stop), do: {:stop, :sold_out}
  def init(:ignore), do: :ignore
  def init({:slow, to}), do: start({:slow, to})
  def init(n), do: start(n)

  defp start(n) do
    Process.flag(:trap_exit, true)
    {:ok, n}
  end

  def handle_call(:parent, _, n), do: {:reply, hd(Process.get(:"$ancestors")), n}
  def handle_call(:get, _, n), do: {:reply, n, n}
  def handle_cast({:stop, why}, n), do: {:stop, why, n}
  def terminate(why, {:slow, to}), do: (send(to, {:ends, why}); Process.sleep(:infinity))
  def terminate(why, {:tell, to}), do: send(to, {:ends, why})
  def terminate(_, _), do: :ok
end
defmodule StockTree do
  use Supervisor
  def init(n), do: Supervisor.init([{Stock, n}], strategy: :one_for_one)
end
