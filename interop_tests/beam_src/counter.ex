defmodule Interop.Counter do
  @moduledoc "An Elixir GenServer that Python calls."
  use GenServer

  def start(name, first \\ 0), do: GenServer.start(__MODULE__, first, name: name)

  @impl true
  def init(first), do: {:ok, first}

  @impl true
  def handle_call(:get, _from, n), do: {:reply, n, n}
  def handle_call({:add, m}, _from, n), do: {:reply, :ok, n + m}
  def handle_call({:whois, pid}, _from, n), do: {:reply, %{node: node(pid), name: "é #{n}"}, n}
  def handle_call(:fail, _from, _n), do: raise(ArgumentError, "not today")

  @impl true
  def handle_cast({:add, m}, n), do: {:noreply, n + m}

  @impl true
  def handle_info({:add, m}, n), do: {:noreply, n + m}
end

defmodule Interop.Python do
  @moduledoc "What an Elixir program does with a Python server: each function returns what it saw."

  def call(dest, request, timeout \\ 5000) do
    {:ok, GenServer.call(dest, request, timeout)}
  catch
    :exit, reason -> {:exit, reason}
  end

  def multi_call(node, name, request), do: GenServer.multi_call([node], name, request, 5000)

  def send_request(dest, request) do
    request_id = :gen_server.send_request(dest, request)
    :gen_server.receive_response(request_id, 60_000)
  end

  def monitor_and(dest, fun) do
    ref = Process.monitor(dest)
    fun.()
    receive do
      {:DOWN, ^ref, :process, object, reason} -> {object, reason}
    after
      5000 -> :no_down
    end
  end
end
