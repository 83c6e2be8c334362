defmodule Pyerlnode do
  @moduledoc """
  Python nodes in Elixir's supervision trees. Nothing here is needed to talk to one: `GenServer.call/3`, `:erpc.call/4`,
  links and monitors work as with any node. This file adds what reads better.

    * `Pyerlnode` - a Python server as a supervised child, and calls whose errors are exceptions
    * `Pyerlnode.Port` - a child that owns the OS process of the Python interpreter
    * `Pyerlnode.PythonError` - a Python exception, with Python's frames as its stack
    * `Pyerlnode.Stream` - a Python generator that a call gave, as an `Enumerable`
    * `Pyerlnode.Object` - an object that stays in Python, whose methods are called by a handle

  It is one file without dependencies: copy it, or add `{:pyerlnode, path: "beam/pyerlnode"}`.

      children = [
        {Pyerlnode.Port, node: :"calc@127.0.0.1", args: ["calc.py"], venv: ".venv", wait_for: :ready},
        {Pyerlnode, module: Calc, args: [41], node: :"calc@127.0.0.1", on_down: :wait}
      ]

      Supervisor.start_link(children, strategy: :rest_for_one)

  On the Python side the class is exported: `node.export_server("Elixir.Calc", Counter)`.

  Do not ask such a supervisor for `Supervisor.count_children/1`: OTP's looks whether each child is alive by a function
  that knows pids of its own node only, and crashes. `Supervisor.which_children/1` is fine.
  """

  @doc """
  A Python server as a child, linked to the supervisor.

    * `:module` - what it was exported as; also its `:id` unless given
    * `:args` - arguments of its `init`; `[]`
    * `:node` or `:nodes` - where it may live
    * `:on_down` - what a start does when the first node is not there: `:give_up` (an error, the supervisor tries again
      until its intensity is used up), `:wait` (for that node, at most `:wait_time` ms), `:other_node` (the next one
      that answers)
    * `:wait_time` - milliseconds to wait; 30 000. The supervisor does nothing else meanwhile, but stops waiting when it
      has an exit signal to look at
    * `:timeout` - milliseconds for the start itself; 5000
    * `:restart`, `:shutdown`, `:type`, `:significant` - as in any child specification
  """
  def child_spec(opts) do
    Map.merge(
      %{
        id: Keyword.get(opts, :id, Keyword.fetch!(opts, :module)),
        start: {__MODULE__, :start_link, [opts]}
      },
      Map.new(Keyword.take(opts, [:restart, :shutdown, :type, :significant]))
    )
  end

  @doc "Starts what `child_spec/1` describes, linked to the calling process."
  def start_link(opts) do
    nodes = Keyword.get_lazy(opts, :nodes, fn -> [Keyword.fetch!(opts, :node)] end)

    case Keyword.get(opts, :on_down, :give_up) do
      :give_up -> start_on(hd(nodes), opts)
      :wait -> start_when_up(hd(nodes), opts, now() + Keyword.get(opts, :wait_time, 30_000))
      :other_node -> start_on_first(nodes, opts)
    end
  end

  defp start_on(node, opts) do
    args = [
      Keyword.fetch!(opts, :module),
      :start_link,
      Keyword.get(opts, :args, []),
      Keyword.get(opts, :timeout, 5000)
    ]

    apply(:erpc, :call, [node | args])
  catch
    :error, {:erpc, :noconnection} -> {:error, {:nodedown, node}}
    :error, {:erpc, reason} -> {:error, reason}
    :error, {:exception, reason, _stack} -> {:error, reason}
    :exit, {:exception, reason} -> {:error, reason}
  end

  defp start_when_up(node, opts, deadline) do
    case start_on(node, opts) do
      {:error, {:nodedown, _}} = error ->
        if now() > deadline or exit_waits?() do
          error
        else
          Process.sleep(50)
          start_when_up(node, opts, deadline)
        end

      result ->
        result
    end
  end

  # The supervisor that waits here is to stop, or another of its children has ended, perhaps the one that brings the
  # node back: it has to look at that first, and comes back by itself.
  defp exit_waits? do
    {:messages, messages} = Process.info(self(), :messages)
    Enum.any?(messages, &match?({:EXIT, _, _}, &1))
  end

  defp start_on_first(nodes, opts) do
    Enum.reduce_while(nodes, {:error, :no_node}, fn node, _ ->
      case start_on(node, opts) do
        {:error, {:nodedown, _}} = error -> {:cont, error}
        result -> {:halt, result}
      end
    end)
  end

  @doc """
  Calls an exported Python function; a Python exception is raised as `Pyerlnode.PythonError` with Python's stack.

      iex> Pyerlnode.call(:"calc@127.0.0.1", Model, :predict, [[1.0, 2.0]])
  """
  def call(node, module, function, args, timeout \\ 5000) do
    :erpc.call(node, module, function, args, timeout)
  rescue
    error in ErlangError ->
      case error.original do
        {:exception, reason, stack} when is_list(stack) -> reraise(exception(reason), stack)
        _ -> reraise(error, __STACKTRACE__)
      end
  end

  @doc false
  def exception(reason),
    do: Pyerlnode.PythonError.from_reason(reason) || Exception.normalize(:error, reason)

  @doc false
  def now, do: System.monotonic_time(:millisecond)
end

defmodule Pyerlnode.PythonError do
  @moduledoc """
  A Python exception: `type` as Python names it, its text, and its frames as an Erlang stack, innermost first.

  `from_reason/1` takes whatever a Python process ended with, or a call gave, and `Exception.format/3` prints it:

      {:DOWN, _, _, _, reason} -> error = Pyerlnode.PythonError.from_reason(reason)
      Logger.error(Exception.format(:error, error, error.stack))
  """
  defexception [:type, :text, stack: []]

  @impl true
  def message(%{type: type, text: text}), do: "#{type}: #{text}"

  @doc "The exception in an exit reason, `nil` when there is none."
  def from_reason({:python_error, type, text, stack}),
    do: %__MODULE__{type: type, text: text, stack: stack}

  def from_reason({:python_error, type, text}), do: %__MODULE__{type: type, text: text}
  def from_reason({{:python_error, _, _, _} = reason, _}), do: from_reason(reason)
  def from_reason(_), do: nil
end

defmodule Pyerlnode.Stream do
  @moduledoc """
  A Python generator, as the answer of a call: an `Enumerable` that is read once.

      Pyerlnode.call(:"calc@127.0.0.1", Model, :tokens, ["Once"]) |> Stream.take_while(&(&1 != "."))

  The generator runs by demand: at most `demand` items are made ahead of the one that is looked at, which
  `%{stream | demand: 1}` changes. It is closed, so that its `finally` runs, when the enumeration stops, when the process
  that reads ends, or when the connection is lost; until somebody reads it the same is true of the process that called.
  What it raises is raised here, behind its items, as by `Pyerlnode.call/5`; an exit with `:noproc` says that it was
  read before, one with `:noconnection` that its node is lost.
  """
  defstruct [:pid, demand: 32]

  @doc false
  def open(%{pid: pid, demand: demand}) do
    ref = :erlang.monitor(:process, pid, [{:alias, :demonitor}])
    ask(%{pid: pid, ref: ref, demand: demand, left: 0})
  end

  @doc false
  def next(%{ref: ref, pid: pid} = state) do
    receive do
      {^ref, {:item, item}} -> {[item], taken(state)}
      {^ref, :done} -> {:halt, state}
      {^ref, {:error, reason, stack}} -> :erlang.raise(:error, Pyerlnode.exception(reason), stack)
      {^ref, {class, reason, _}} -> :erlang.raise(class, reason, [])
      {:DOWN, ^ref, _, _, reason} -> exit({reason, {__MODULE__, :next, [pid]}})
    end
  end

  defp taken(%{left: left, demand: demand} = state) when left - 1 > div(demand, 2),
    do: %{state | left: left - 1}

  defp taken(state), do: ask(%{state | left: state.left - 1})

  defp ask(%{pid: pid, ref: ref, demand: demand, left: left} = state) do
    send(pid, {:"$pyerlnode_ask", {self(), ref}, demand - left})
    %{state | left: demand}
  end

  @doc false
  def close(%{pid: pid, ref: ref}) do
    send(pid, {:"$pyerlnode_close", {self(), ref}})
    :erlang.demonitor(ref, [:flush])
    flush(ref)
  end

  defp flush(ref) do
    receive do
      {^ref, _} -> flush(ref)
    after
      0 -> :ok
    end
  end

  defimpl Enumerable do
    def reduce(stream, acc, fun) do
      resource =
        Stream.resource(
          fn -> Pyerlnode.Stream.open(stream) end,
          &Pyerlnode.Stream.next/1,
          &Pyerlnode.Stream.close/1
        )

      Enumerable.reduce(resource, acc, fun)
    end

    def count(_), do: {:error, __MODULE__}
    def member?(_, _), do: {:error, __MODULE__}
    def slice(_), do: {:error, __MODULE__}
  end
end

defmodule Pyerlnode.Object do
  @moduledoc """
  An object that stays in Python, as the answer of a call: the handle by which its methods are called.

      model = Pyerlnode.call(:"calc@127.0.0.1", Model, :load, ["small"])
      Pyerlnode.Object.call(model, :predict, [[1.0, 2.0]])
      Pyerlnode.Object.release(model)

  It belongs to the process that called: it is dropped when that process ends or releases it, or the connection is lost.
  Others may use the handle until then.
  """
  defstruct [:pid]

  @doc """
  Calls a method that the export allows; any other is an `UndefinedFunctionError`.

  A Python exception is raised as by `Pyerlnode.call/5`. An object that was dropped exits as a `GenServer.call/3` to a
  process that has ended, with `:noproc`; so does one that is late, or whose node is lost.
  """
  def call(%{pid: pid}, method, args, timeout \\ 5000) do
    case GenServer.call(pid, {:"$pyerlnode_method", method, args}, timeout) do
      {:return, value} -> value
      {:error, reason, stack} -> :erlang.raise(:error, exception(reason, stack), stack)
      {class, reason} -> :erlang.raise(class, reason, [])
    end
  end

  defp exception(:undef, stack), do: Exception.normalize(:error, :undef, stack)
  defp exception(reason, _), do: Pyerlnode.exception(reason)

  @doc "Drops the object, and waits until it is released; one that was dropped before is no error."
  def release(%{pid: pid}, timeout \\ 5000) do
    GenServer.call(pid, :"$pyerlnode_release", timeout)
  catch
    :exit, {:noproc, _} -> :ok
  end
end

defmodule Pyerlnode.Port do
  @moduledoc """
  A child that owns the OS process of a Python node: it starts the interpreter, waits until the node is up, watches both,
  and leaves neither behind.

      {Pyerlnode.Port, node: :"calc@127.0.0.1", args: ["calc.py"], venv: ".venv"}

    * `:node` - the node's name; the program finds it in the environment as `PYERLNODE_NODE`, and the cookie of this
      node as `PYERLNODE_COOKIE`
    * `:args` - what the interpreter is given: the script and its arguments
    * `:venv` or `:python` - a virtual environment, or an interpreter; `python3` of the PATH unless given
    * `:env` (a map of strings), `:cd`
    * `:wait_for` - a name that has to be registered there before the start is complete
    * `:boot_time` - milliseconds until it has to be up; 30 000
    * `:stop_time` - milliseconds that it has to end in, before it is killed; 5000
    * `:heartbeat` - milliseconds between questions to the node; one that does not answer within that time is killed;
      10 000, or `:infinity` for none
    * `:output` - a function that takes what the program prints; it is printed here unless given
    * `:name` - of this process; `:id`, `:restart` as in any child specification

  It ends with `{:exit_status, status}` (128 and more: a signal), `{:nodedown, node}` or `:hung`, and its supervisor starts
  a new one. The program ends by `pyerlnode.run_until_stdin_closes()`: its standard input is closed when this process
  ends, however it ends, and also when the whole BEAM is killed.
  """
  use GenServer

  def child_spec(opts) do
    stop_time = Keyword.get(opts, :stop_time, 5000)

    %{
      id: Keyword.get(opts, :id, {__MODULE__, Keyword.fetch!(opts, :node)}),
      start: {__MODULE__, :start_link, [opts]},
      restart: Keyword.get(opts, :restart, :permanent),
      shutdown: stop_time + 2000
    }
  end

  def start_link(opts), do: GenServer.start_link(__MODULE__, opts, Keyword.take(opts, [:name]))

  @doc "The number of the OS process."
  def os_pid(server), do: GenServer.call(server, :os_pid)

  @impl true
  def init(opts) do
    Process.flag(:trap_exit, true)
    node = Keyword.fetch!(opts, :node)
    deadline = Pyerlnode.now() + Keyword.get(opts, :boot_time, 30_000)

    with :ok <- wait_until_free(node, deadline), {:ok, executable} <- interpreter(opts) do
      port = Port.open({:spawn_executable, executable}, settings(node, opts))
      {:os_pid, os_pid} = Port.info(port, :os_pid)
      state = %{port: port, os_pid: os_pid, node: node, opts: opts}

      case wait_until_up(state, deadline) do
        :ok ->
          Node.monitor(node, true)
          {:ok, beat(state)}

        {:error, reason} ->
          end_program(state, 0)
          {:stop, reason}
      end
    else
      {:error, reason} -> {:stop, reason}
    end
  end

  @impl true
  def handle_call(:os_pid, _from, state), do: {:reply, state.os_pid, state}

  @impl true
  def handle_info({port, {:data, data}}, %{port: port} = state) do
    print(data, state)
    {:noreply, state}
  end

  def handle_info({port, {:exit_status, status}}, %{port: port} = state),
    do: {:stop, {:exit_status, status}, %{state | port: nil}}

  def handle_info({:EXIT, port, _}, %{port: port} = state) do
    kill(state.os_pid)
    {:stop, :port_closed, %{state | port: nil}}
  end

  def handle_info({:nodedown, node}, %{node: node} = state), do: {:stop, {:nodedown, node}, state}

  def handle_info(:heartbeat, state) do
    GenServer.call(
      {:net_kernel, state.node},
      {:is_auth, node()},
      state.opts[:heartbeat] || 10_000
    )

    {:noreply, beat(state)}
  catch
    :exit, {:timeout, _} ->
      kill(state.os_pid)
      {:stop, :hung, state}

    :exit, _ ->
      {:stop, {:nodedown, state.node}, state}
  end

  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: end_program(state, Keyword.get(state.opts, :stop_time, 5000))

  defp beat(state) do
    case Keyword.get(state.opts, :heartbeat, 10_000) do
      :infinity -> :ok
      time -> Process.send_after(self(), :heartbeat, time)
    end

    state
  end

  # The name of one that was just killed is free when its connection to EPMD is gone.
  defp wait_until_free(node, deadline) do
    [name, host] = node |> Atom.to_charlist() |> :string.split("@")

    case :erl_epmd.port_please(name, host) do
      {:port, _, _} ->
        if Pyerlnode.now() > deadline do
          {:error, {:name_taken, node}}
        else
          Process.sleep(20)
          wait_until_free(node, deadline)
        end

      _ ->
        :ok
    end
  end

  defp interpreter(opts) do
    wanted =
      opts[:python] || (opts[:venv] && Path.join([opts[:venv], "bin", "python"])) || "python3"

    case System.find_executable(wanted) do
      nil -> {:error, {:enoent, wanted}}
      found -> {:ok, Path.absname(found)}
    end
  end

  defp settings(node, opts) do
    own = %{
      "PYERLNODE_NODE" => to_string(node),
      "PYERLNODE_COOKIE" => to_string(Node.get_cookie())
    }

    env =
      for {key, value} <- Map.merge(own, Map.new(opts[:env] || %{})),
          do: {to_charlist(key), to_charlist(value)}

    cd = if opts[:cd], do: [cd: to_charlist(opts[:cd])], else: []
    [:binary, :exit_status, :hide, {:args, Keyword.get(opts, :args, [])}, {:env, env} | cd]
  end

  defp wait_until_up(%{port: port} = state, deadline) do
    receive do
      {^port, {:exit_status, status}} ->
        {:error, {:exit_status, status}}

      {^port, {:data, data}} ->
        print(data, state)
        wait_until_up(state, deadline)
    after
      20 ->
        cond do
          Node.connect(state.node) == true and
              registered?(state.opts[:wait_for], state.node, deadline) ->
            :ok

          Pyerlnode.now() > deadline ->
            {:error, :timeout}

          true ->
            wait_until_up(state, deadline)
        end
    end
  end

  # No silence says that the name is taken, but an answer to what was asked behind the monitor, however long that takes.
  defp registered?(nil, _node, _deadline), do: true

  defp registered?(name, node, deadline) do
    ref = Process.monitor({name, node})
    answered = answers?(node, max(0, deadline - Pyerlnode.now()))

    receive do
      {:DOWN, ^ref, _, _, _} -> false
    after
      0 -> Process.demonitor(ref, [:flush]) and answered
    end
  end

  defp answers?(node, time) do
    GenServer.call({:net_kernel, node}, {:is_auth, node()}, time) == :yes
  catch
    :exit, _ -> false
  end

  defp print(data, state) do
    case state.opts[:output] do
      nil -> IO.write(data)
      output -> output.(data)
    end
  end

  defp end_program(%{port: nil}, _time), do: :ok

  defp end_program(state, time) do
    try do
      Port.command(state.port, "stop\n")
    rescue
      ArgumentError -> :closed
    end

    unless ended?(state, time) do
      kill(state.os_pid)
      ended?(state, 1000)
    end
  end

  defp ended?(%{port: port} = state, time) do
    receive do
      {^port, {:exit_status, _}} ->
        true

      # Writing to one that is gone closes the port without a status; it may have closed its input and live on.
      {:EXIT, ^port, _} ->
        kill(state.os_pid)
        true

      {^port, {:data, data}} ->
        print(data, state)
        ended?(state, time)
    after
      time -> false
    end
  end

  defp kill(os_pid), do: System.cmd("kill", ["-KILL", to_string(os_pid)], stderr_to_stdout: true)
end
