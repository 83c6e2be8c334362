# The Elixir side of `pyerlnode demo`: a supervised GenServer named :stock, and a witness that does what the
# lines on its standard input say and answers one line each. It needs nothing but Elixir; the Python side is
# called as any Elixir process would be. Ends with its standard input.

defmodule Demo.Stock do
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, %{"apples" => 7}, name: :stock)

  @impl true
  def init(stock), do: {:ok, stock}

  @impl true
  def handle_call({:get, sku}, _from, stock), do: {:reply, Map.fetch(stock, sku), stock}
  def handle_call(:pid, _from, stock), do: {:reply, self(), stock}

  @impl true
  def handle_cast(:crash, _stock), do: exit(:out_of_stock)
end

defmodule Demo.Witness do
  def run do
    case IO.gets("") do
      :eof ->
        System.halt(0)

      line ->
        [command, node] = String.split(line)
        IO.puts("demo: " <> answer(command, String.to_atom(node)))
        run()
    end
  end

  defp answer("version", _), do: "Elixir #{System.version()}, OTP #{System.otp_release()}"
  defp answer("ping", node), do: inspect(Node.ping(node))
  defp answer("call", node), do: inspect(GenServer.call({:counter, node}, {:add, 1}))
  defp answer("erpc", node), do: inspect(:erpc.call(node, :demo, :double, [21]))
  defp answer("monitor", node), do: keep(Process.monitor({:counter, node}))
  defp answer("link", node), do: keep(GenServer.call({:counter, node}, :pid), &Process.link/1)

  defp answer("crash", node) do
    :ok = GenServer.cast({:counter, node}, :crash)
    kept = Process.get(:kept)

    receive do
      {:DOWN, ^kept, :process, _, reason} -> "DOWN #{inspect(reason, limit: :infinity)}"
      {:EXIT, ^kept, reason} -> "EXIT #{inspect(reason, limit: :infinity)}"
    after
      5_000 -> "nothing within 5 s"
    end
  end

  # One round trip through the same connection has flushed whatever could still come.
  defp answer("flushed", node) do
    Node.ping(node)
    GenServer.call({:counter, node}, :get)
    Process.info(self(), :message_queue_len) |> elem(1) |> to_string()
  end

  defp keep(value, act \\ fn _ -> true end) do
    Process.put(:kept, value)
    act.(value)
    "ok"
  end
end

[name] = System.argv()
Application.put_env(:kernel, :inet_dist_use_interface, {127, 0, 0, 1})
{:ok, _} = Node.start(String.to_atom(name), :longnames)
{:ok, _} = Supervisor.start_link([Demo.Stock], strategy: :one_for_one)
Process.flag(:trap_exit, true)
IO.puts("demo: ready")
Demo.Witness.run()
