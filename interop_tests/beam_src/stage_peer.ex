# A producer and a consumer that speak GenStage's messages strictly: whatever GenStage would not accept crashes them.
defmodule StagePeer.Producer do
  # Emits 0, 1, 2, … as they are asked for, up to `limit`; ends with `normal` behind the last.
  use GenServer
  def start(opts \\ []), do: GenServer.start(__MODULE__, opts, Keyword.take(opts, [:name]))
  def init(opts), do: {:ok, %{next: 0, limit: opts[:limit] || :infinity, consumers: %{}, ended: []}}

  def handle_call(:state, _, s), do: {:reply, {s.next, for({_, c} <- s.consumers, do: c.asked), s.ended}, s}
  def handle_call({:cancel_all, reason}, _, s), do: {:reply, :ok, Enum.reduce(Map.keys(s.consumers), s, &tell(&1, reason, &2))}
  # Beyond what was asked: what a broken producer would do.
  def handle_call({:push, events}, _, s) do
    for {tag, c} <- s.consumers, do: send(c.pid, {:"$gen_consumer", {self(), tag}, events})
    {:reply, :ok, s}
  end

  def handle_cast({:"$demand", mode}, s) when mode in [:forward, :accumulate], do: {:noreply, s}

  def handle_info({:"$gen_producer", {pid, tag}, {:subscribe, current, opts}}, s) when is_pid(pid) and is_list(opts) do
    true = Keyword.keyword?(opts)
    false = Map.has_key?(s.consumers, tag)
    s =
      case current do
        nil -> s
        {old, reason} -> tell(old, reason, s)
      end
    {:noreply, put_in(s.consumers[tag], %{pid: pid, mon: Process.monitor(pid), asked: 0})}
  end

  def handle_info({:"$gen_producer", {pid, tag}, {:ask, n}}, s) when is_pid(pid) and is_integer(n) and n > 0 do
    case s.consumers do
      %{^tag => %{pid: ^pid, asked: before}} ->
        count = if s.limit == :infinity, do: n, else: min(n, s.limit - s.next)
        if count > 0, do: send(pid, {:"$gen_consumer", {self(), tag}, Enum.to_list(s.next..(s.next + count - 1))})
        s = put_in(s.consumers[tag].asked, before + n)
        if s.limit != :infinity and s.next + count >= s.limit, do: {:stop, :normal, s}, else: {:noreply, %{s | next: s.next + count}}
      %{} ->
        send(pid, {:"$gen_consumer", {self(), tag}, {:cancel, :unknown_subscription}})
        {:noreply, s}
    end
  end

  def handle_info({:"$gen_producer", {pid, tag}, {:cancel, reason}}, s) when is_pid(pid), do: {:noreply, tell(tag, reason, s)}
  def handle_info({:DOWN, mon, :process, _, reason}, s) do
    {tag, _} = Enum.find(s.consumers, fn {_, c} -> c.mon == mon end)
    {:noreply, %{s | consumers: Map.delete(s.consumers, tag), ended: [{:down, reason} | s.ended]}}
  end

  defp tell(tag, reason, s) do
    case Map.pop(s.consumers, tag) do
      {nil, _} -> s
      {c, rest} ->
        Process.demonitor(c.mon, [:flush])
        send(c.pid, {:"$gen_consumer", {self(), tag}, {:cancel, reason}})
        %{s | consumers: rest, ended: [{:cancel, reason} | s.ended]}
    end
  end
end

defmodule StagePeer.Consumer do
  # Keeps what it gets; `max` is its demand, asked for again by halves, or by hand with `hold`. More than it has asked for crashes it.
  use GenServer
  def start(to, opts \\ []), do: GenServer.start(__MODULE__, {to, opts})
  def init({to, opts}) do
    max = opts[:max_demand] || 1000
    ref = Process.monitor(to)
    send(to, {:"$gen_producer", {self(), ref}, {:subscribe, nil, opts}})
    unless opts[:hold], do: send(to, {:"$gen_producer", {self(), ref}, {:ask, max}})
    {:ok, %{to: to, ref: ref, max: max, left: if(opts[:hold], do: 0, else: max), got: [], ended: nil, cancels: [], pid: nil, hold: opts[:hold] == true}}
  end

  def handle_call(:got, _, s), do: {:reply, Enum.concat(Enum.reverse(s.got)), s}
  def handle_call(:count, _, s), do: {:reply, s.got |> Enum.map(&length/1) |> Enum.sum(), s}
  def handle_call(:ended, _, s), do: {:reply, s.ended, s}
  def handle_call(:cancels, _, s), do: {:reply, s.cancels, s}
  def handle_call(:tag, _, s), do: {:reply, s.ref, s}
  def handle_call({:ask, n}, _, s) do
    send(s.to, {:"$gen_producer", {self(), s.ref}, {:ask, n}})
    {:reply, :ok, %{s | left: s.left + n}}
  end
  def handle_call({:send, what}, _, s), do: (send(s.to, {:"$gen_producer", {self(), s.ref}, what}); {:reply, :ok, s})

  def handle_info({:"$gen_consumer", {pid, ref}, [_ | _] = events}, %{ref: ref} = s) when is_pid(pid) do
    true = s.pid in [nil, pid]
    left = s.left - length(events)
    true = left >= 0
    half = div(s.max, 2)
    ask = if not s.hold and (left == 0 or left <= half), do: s.max - left, else: 0
    if ask > 0, do: send(s.to, {:"$gen_producer", {self(), ref}, {:ask, ask}})
    {:noreply, %{s | got: [events | s.got], left: left + ask, pid: pid}}
  end
  def handle_info({:"$gen_consumer", {pid, ref}, {:cancel, reason}}, %{ref: ref} = s) when is_pid(pid),
    do: {:noreply, %{s | ended: s.ended || {:cancel, reason}, cancels: [reason | s.cancels]}}
  def handle_info({:DOWN, ref, :process, _, reason}, %{ref: ref} = s), do: {:noreply, %{s | ended: s.ended || {:down, reason}}}
end
