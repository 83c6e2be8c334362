"""A message without a clause: the same script against Elixir's behaviours and Python's with ``unmatched = "crash"``."""

from typing import Any

import pytest

from pyerlnode import A, GenServer, NoReply, Reply
from pyerlnode.otp import gen_event, gen_statem
from pyerlnode.otp.gen_event import EventHandler
from pyerlnode.otp.gen_statem import GenStatem, KeepState, ReplyTo
from pyerlnode.testing.beam import Beam

pytestmark = pytest.mark.beam(elixir=True)

MODULES = """
defmodule OneClause.Server do
  use GenServer
  def init(_), do: {:ok, 0}
  def handle_call(:get, _from, n), do: {:reply, n, n}
  def handle_cast({:add, m}, n) when is_integer(m), do: {:noreply, n + m}
  def handle_info({:add, m}, n) when is_integer(m), do: {:noreply, n + m}
  def handle_info(:go_on, n), do: {:noreply, n, {:continue, :unknown}}
  def handle_continue(:known, n), do: {:noreply, n}
end

defmodule OneClause.Machine do
  @behaviour :gen_statem
  def callback_mode, do: :state_functions
  def init(_), do: {:ok, :locked, 0}
  def locked({:call, from}, :get, n), do: {:keep_state_and_data, [{:reply, from, n}]}
  def locked(:cast, {:add, m}, n) when is_integer(m), do: {:keep_state, n + m}
end

defmodule OneClause.Handler do
  @behaviour :gen_event
  def init(_), do: {:ok, 0}
  def handle_event({:add, m}, n) when is_integer(m), do: {:ok, n + m}
  def handle_call(:get, n), do: {:ok, n, n}
end

defmodule OneClause do
  # The tag of a reason, and the callback in which it ended.
  def class({tag, [{_, callback, args, _} | _]}) do
    {tag, callback, if(is_list(args), do: length(args), else: args)}
  end
  def class({:EXIT, reason}), do: {:EXIT, class(reason)}
  def class(other), do: other

  # What becomes of the process, and of a call to it that waits; without one it is waited for its end.
  def run(pid, messages, call) do
    ref = Process.monitor(pid)
    Enum.each(messages, fn
      {:cast, m} -> GenServer.cast(pid, m)
      {:info, m} -> send(pid, m)
    end)
    answer =
      try do
        if call, do: {:answer, GenServer.call(pid, call, 60_000)}
      catch
        :exit, {reason, {GenServer, :call, _}} -> {:exit, class(reason)}
      end
    alive =
      receive do
        {:DOWN, ^ref, _, _, reason} -> {:down, class(reason)}
      after
        if(match?({:answer, _}, answer), do: 0, else: 60_000) -> :alive
      end
    if alive == :alive, do: GenServer.stop(pid)
    {answer, alive}
  end

  def events(manager, handler, events, call) do
    :ok = :gen_event.add_sup_handler(manager, handler, 0)
    Enum.each(events, &:gen_event.sync_notify(manager, &1))
    answer = case :gen_event.call(manager, handler, call, 60_000) do
      {:error, reason} -> {:error, class(reason)}
      other -> other
    end
    told = receive do
      {:gen_event_EXIT, _, reason} -> {:told, class(reason)}
    after
      if(is_tuple(answer), do: 60_000, else: 0) -> :installed
    end
    left = :gen_event.which_handlers(manager)
    :gen_event.stop(manager)
    {answer, told, length(left)}
  end
end
"""


class Server(GenServer):
    unmatched = "crash"

    def init(self) -> None:
        self.value = 0

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case A.get:
                return Reply(self.value)
        # no case: as it stands in the documents

    def handle_cast(self, request: Any) -> Any:
        match request:
            case (A.add, int(number)):
                self.value += number

    def handle_info(self, message: Any) -> Any:  # noqa: RET503  # the form in question
        match message:
            case (A.add, int(number)):
                self.value += number
            case A.go_on:
                return NoReply(continue_=A.unknown)

    def handle_continue(self, value: Any) -> Any:
        match value:
            case A.known:
                self.value = 0


class Machine(GenStatem):
    unmatched = "crash"

    def init(self) -> Any:
        self.value = 0
        return A.locked

    def locked(self, kind: Any, content: Any) -> Any:  # noqa: RET503  # the form in question
        match kind, content:
            case (A.call, from_), A.get:
                return KeepState(ReplyTo(from_, self.value))
            case A.cast, (A.add, int(number)):
                self.value += number


class Handler(EventHandler):
    unmatched = "crash"
    __erlang_module__ = "python_handler"

    def init(self, args: Any) -> None:
        self.value = args

    def handle_event(self, event: Any) -> Any:
        match event:
            case (A.add, int(number)):
                self.value += number

    def handle_call(self, request: Any) -> Any:
        match request:
            case A.get:
                return Reply(self.value)


@pytest.fixture
def compiled(beam: Beam) -> Beam:
    beam.elixir("Code.ensure_loaded?(OneClause) || Code.compile_string(source); :ok", source=MODULES.encode())
    return beam


ADD, WRONG = (A.add, 1), (A.add, b"one")
SERVER_SCRIPTS = [
    ([(A.cast, ADD), (A.info, ADD)], A.get),
    ([(A.cast, ADD), (A.cast, WRONG)], None),
    ([(A.info, ADD), (A.info, WRONG)], None),
    ([(A.info, A.surprise)], None),
    ([(A.info, A.go_on)], None),
    ([(A.cast, ADD)], A.unknown),
]
MACHINE_SCRIPTS = [
    ([(A.cast, ADD)], A.get),
    ([(A.cast, ADD), (A.cast, WRONG)], None),
    ([(A.info, A.surprise)], None),
    ([(A.cast, ADD)], A.unknown),
]


@pytest.mark.parametrize(("messages", "call"), SERVER_SCRIPTS)
def test_a_server(compiled: Beam, node: Any, messages: Any, call: Any) -> None:
    run = "{:ok, pid} = GenServer.start(OneClause.Server, 0); OneClause.run(pid, messages, call)"
    theirs = compiled.elixir(run, messages=messages, call=call)
    ours = compiled.elixir("OneClause.run(pid, messages, call)", pid=node.start(Server), messages=messages, call=call)
    assert ours == theirs


@pytest.mark.parametrize(("messages", "call"), MACHINE_SCRIPTS)
def test_a_state_machine(compiled: Beam, node: Any, messages: Any, call: Any) -> None:
    run = "{:ok, pid} = :gen_statem.start(OneClause.Machine, 0, []); OneClause.run(pid, messages, call)"
    theirs = compiled.elixir(run, messages=messages, call=call)
    pid = gen_statem.start(node.system, Machine)
    assert compiled.elixir("OneClause.run(pid, messages, call)", pid=pid, messages=messages, call=call) == theirs


@pytest.mark.parametrize(("events", "call"), [([ADD], A.get), ([ADD, WRONG], A.get), ([ADD], A.unknown)])
def test_a_handler_of_events(compiled: Beam, node: Any, events: Any, call: Any) -> None:
    run = "{:ok, pid} = :gen_event.start(); OneClause.events(pid, OneClause.Handler, events, call)"
    theirs = compiled.elixir(run, events=events, call=call)
    pid = gen_event.start(node.system, handlers=[Handler])
    source = "OneClause.events(pid, :python_handler, events, call)"
    assert compiled.elixir(source, pid=pid, events=events, call=call) == theirs


def test_the_scripts_tell_a_clause_that_is_missing_from_other_ends(compiled: Beam) -> None:
    run = "{:ok, pid} = GenServer.start(OneClause.Server, 0); OneClause.run(pid, messages, call)"
    ended = (A.function_clause, A.handle_cast, 2)
    assert compiled.elixir(run, messages=[(A.cast, WRONG)], call=None) == (None, (A.down, ended))
    refused = (A.function_clause, A.handle_call, 3)
    assert compiled.elixir(run, messages=[], call=A.unknown) == ((A.exit, refused), (A.down, refused))
    assert compiled.elixir(run, messages=[(A.cast, ADD)], call=A.get) == ((A.answer, 1), A.alive)
