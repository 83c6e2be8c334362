# Counts the children that supervisors have seen end: OTP's by its reports, Python's by what it sends.
defmodule ChaosCounts do
  use GenServer
  def start, do: GenServer.start(__MODULE__, [], name: __MODULE__)
  def seen, do: GenServer.call(__MODULE__, :seen)

  # of :logger, in the process of the supervisor, before it restarts the child
  def log(%{msg: {:report, %{label: {:supervisor, :child_terminated}, report: report}}}, _) do
    if report[:supervisor] == {:local, :top},
      do: send(__MODULE__, {:terminated, :top, report[:offender][:id], report[:reason]})
  end

  def log(_, _), do: :ok

  def init(seen) do
    :ok = :logger.add_handler(__MODULE__, __MODULE__, %{level: :error})
    {:ok, seen}
  end

  def handle_call(:seen, _, seen), do: {:reply, Enum.reverse(seen), seen}
  def handle_info({:terminated, who, id, reason}, seen), do: {:noreply, [{who, id, reason} | seen]}
  def terminate(_, _), do: :logger.remove_handler(__MODULE__)
end
