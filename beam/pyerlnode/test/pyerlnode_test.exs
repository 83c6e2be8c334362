defmodule PyerlnodeTest do
  use ExUnit.Case, async: false

  @python System.get_env("PYERLNODE_PYTHON", "python3")
  @program Path.expand("programs/calc.py", __DIR__)

  setup do
    Process.flag(:trap_exit, true)
    {:ok, node: :"calc_#{System.unique_integer([:positive])}_#{System.pid()}@127.0.0.1"}
  end

  defp port(node, more \\ []) do
    own = [
      node: node,
      python: @python,
      args: [@program],
      wait_for: :ready,
      output: fn _ -> :ok end
    ]

    Keyword.merge(own, more)
  end

  defp child(sup, id) do
    {_, pid, _, _} = List.keyfind(Supervisor.which_children(sup), id, 0)
    pid
  end

  defp alive?(os_pid),
    do: match?({_, 0}, System.cmd("kill", ["-0", "#{os_pid}"], stderr_to_stdout: true))

  defp eventually(fun, left \\ 200) do
    cond do
      fun.() -> true
      left == 0 -> flunk("it did not come true in time")
      true -> Process.sleep(20) && eventually(fun, left - 1)
    end
  end

  test "a port starts the node, hands arguments on, and stops it with its supervisor", %{
    node: node
  } do
    {:ok, sup} =
      Supervisor.start_link([{Pyerlnode.Port, port(node, args: [@program, "a", "b"])}],
        strategy: :one_for_one
      )

    os_pid = Pyerlnode.Port.os_pid(child(sup, {Pyerlnode.Port, node}))
    assert Pyerlnode.call(node, :calc, :argv, []) == ["a", "b"]
    Supervisor.stop(sup)
    refute alive?(os_pid)
  end

  test "a name is waited for however slow the node is with saying that it is not there", %{
    node: node
  } do
    late = Path.expand("programs/late.py", __DIR__)
    {:ok, owner} = Pyerlnode.Port.start_link(port(node, args: [late, "15"]))
    assert GenServer.call({:ready, node}, :ask) == :ready
    GenServer.stop(owner)

    assert {:error, :timeout} =
             Pyerlnode.Port.start_link(port(node, args: [late, "1000000"], boot_time: 1500))
  end

  test "an OS process that is killed is started again", %{node: node} do
    {:ok, sup} = Supervisor.start_link([{Pyerlnode.Port, port(node)}], strategy: :one_for_one)
    id = {Pyerlnode.Port, node}
    old = child(sup, id)
    os_pid = Pyerlnode.Port.os_pid(old)
    ref = Process.monitor(old)
    System.cmd("kill", ["-KILL", "#{os_pid}"])
    assert_receive {:DOWN, ^ref, _, _, why}, 5000
    assert why in [{:exit_status, 137}, {:nodedown, node}]
    eventually(fn -> is_pid(child(sup, id)) and child(sup, id) != old end)
    assert Pyerlnode.call(node, :calc, :divide, [6, 2]) == 3.0
    Supervisor.stop(sup)
  end

  test "a port that is killed leaves no OS process", %{node: node} do
    {:ok, port} = Pyerlnode.Port.start_link(port(node))
    os_pid = Pyerlnode.Port.os_pid(port)
    Process.exit(port, :kill)
    eventually(fn -> not alive?(os_pid) end)
  end

  test "a hung program is killed by its heartbeat", %{node: node} do
    {:ok, port} = Pyerlnode.Port.start_link(port(node, heartbeat: 200))
    os_pid = Pyerlnode.Port.os_pid(port)
    :erpc.cast(node, :calc, :hang, [])
    assert_receive {:EXIT, ^port, :hung}, 5000
    eventually(fn -> not alive?(os_pid) end)
  end

  test "a program that fails to start is an error with its status", %{node: node} do
    assert {:error, {:exit_status, 3}} =
             Pyerlnode.Port.start_link(port(node, args: [@program, "exit"]))

    assert {:error, {:enoent, "/no/python"}} =
             Pyerlnode.Port.start_link(port(node, python: "/no/python"))
  end

  test "a Python server is a child beside the port that carries it, and both are restarted", %{
    node: node
  } do
    children = [
      {Pyerlnode.Port, port(node)},
      {Pyerlnode, module: Calc, args: [41], node: node, on_down: :wait}
    ]

    {:ok, sup} = Supervisor.start_link(children, strategy: :rest_for_one)
    old = child(sup, Calc)
    assert GenServer.call(old, :get) == 41
    Process.exit(old, :kill)
    eventually(fn -> is_pid(child(sup, Calc)) and child(sup, Calc) != old end)
    System.cmd("kill", ["-KILL", "#{Pyerlnode.Port.os_pid(child(sup, {Pyerlnode.Port, node}))}"])

    eventually(fn ->
      match?(41, try(do: GenServer.call(child(sup, Calc), :get), catch: (_, _ -> nil)))
    end)

    Supervisor.stop(sup)
  end

  test "on_down: give up, wait, another node", %{node: node} do
    gone = :"nobody@127.0.0.1"
    assert {:error, {:nodedown, ^gone}} = Pyerlnode.start_link(module: Calc, node: gone)

    assert {:error, {:nodedown, ^gone}} =
             Pyerlnode.start_link(module: Calc, node: gone, on_down: :wait, wait_time: 60)

    {:ok, port} = Pyerlnode.Port.start_link(port(node))
    {:ok, pid} = Pyerlnode.start_link(module: Calc, nodes: [gone, node], on_down: :other_node)
    assert node(pid) == node
    {:links, links} = Process.info(self(), :links)
    assert pid in links
    GenServer.stop(port)
  end

  test "Python exceptions read as exceptions, with Python's frames", %{node: node} do
    {:ok, port} = Pyerlnode.Port.start_link(port(node))

    error =
      assert_raise Pyerlnode.PythonError, "ZeroDivisionError: division by zero", fn ->
        Pyerlnode.call(node, :calc, :divide, [1, 0])
      end

    assert error.type == "ZeroDivisionError"

    {pid, ref} = {GenServer.whereis({:ready, node}), Process.monitor({:ready, node})}
    catch_exit(GenServer.call(pid, :crash))
    assert_receive {:DOWN, ^ref, _, _, reason}
    error = Pyerlnode.PythonError.from_reason(reason)
    text = Exception.format(:error, error, error.stack)
    assert text =~ "** (Pyerlnode.PythonError) ValueError: as asked"
    assert text =~ ~r/calc\.py:\d+/
    GenServer.stop(port)
  end
end
