"""Objects that stay in Python, and the Elixir and Erlang processes that call their methods by a handle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyerlnode import A, Kept
from pyerlnode.kernel.objects.server import ObjectServer
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for

COMPANION = Path(__file__).parents[1] / "beam"
pytestmark = pytest.mark.beam(elixir=True)


class Account:
    """What is kept."""

    def __init__(self, bank: "Bank", balance: int) -> None:
        self.bank = bank
        self.balance = balance

    def add(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def fail(self) -> None:
        raise ValueError("as asked")

    def steps(self) -> Iterator[int]:
        yield from range(self.balance)

    def secret(self) -> str:
        return "not for others"

    def close(self) -> None:
        self.bank.closed.append(self.balance)


class Bank:
    """Opens accounts, and knows what was closed."""

    def __init__(self) -> None:
        self.closed: list[int] = []

    def open(self, balance: int) -> Kept:
        return Kept(Account(self, balance), ["add", "fail", "steps"], release=Account.close, most=3)


@pytest.fixture
def bank(beam: Beam, node: Any) -> Iterator[Bank]:
    beam.load(COMPANION / "pyerlnode" / "lib" / "pyerlnode.ex")
    beam.load(COMPANION / "pyerlnode.erl")
    made = Bank()
    node.export("Elixir.Bank", {"open": made.open})
    yield made
    wait_for(lambda: not any(type(p.handler) is ObjectServer for p in node.system.processes.values()))


OPEN = "open = fn balance -> Pyerlnode.call(node, Bank, :open, [balance]) end; "


def test_elixir_calls_its_methods_until_it_releases_it(beam: Beam, node: Any, bank: Bank) -> None:
    job = """
    account = open.(1)
    sums = for n <- [1, 2], do: Pyerlnode.Object.call(account, :add, [n])
    steps = account |> Pyerlnode.Object.call(:steps, []) |> Enum.to_list()
    text = try do Pyerlnode.Object.call(account, :fail, []) rescue e in Pyerlnode.PythonError -> e.text end
    undef = try do Pyerlnode.Object.call(account, :secret, []) rescue e in UndefinedFunctionError -> e.function end
    :ok = Pyerlnode.Object.release(account)
    :ok = Pyerlnode.Object.release(account)
    gone = try do Pyerlnode.Object.call(account, :add, [1]) catch :exit, {reason, _} -> reason end
    {:messages, []} = Process.info(self(), :messages)
    {account.__struct__, sums, steps, text, undef, gone}
    """
    assert beam.elixir(OPEN + job, node=A[node.name]) == (
        A["Elixir.Pyerlnode.Object"], [2, 4], [0, 1, 2, 3], b"as asked", A.secret, A.noproc,
    )  # fmt: skip
    assert bank.closed == [4]


@pytest.mark.parametrize("how", ["ends", "is_killed", "is_cut_off"])
def test_it_is_dropped_when_the_elixir_process_that_opened_it(beam: Beam, node: Any, bank: Bank, how: str) -> None:
    job = """
    me = self()
    owner = spawn(fn -> send(me, {:opened, open.(5)}); receive do _ -> :ok end end)
    account = receive do {:opened, account} -> account end
    6 = Pyerlnode.Object.call(account, :add, [1])  # by another one, who ends
    owner
    """
    owner = beam.elixir(OPEN + job, node=A[node.name])
    assert bank.closed == []
    if how == "ends":
        node.send(owner, 1)
    elif how == "is_killed":
        node.exit(owner, A.kill)
    else:
        node.disconnect(beam.name)
    wait_for(lambda: bank.closed == [6])


def test_an_elixir_process_has_so_many_at_most(beam: Beam, node: Any, bank: Bank) -> None:
    job = """
    three = for n <- 1..3, do: open.(n)
    why = try do open.(4) rescue e -> e.__struct__ end
    Enum.each(three, &Pyerlnode.Object.release/1)
    Pyerlnode.Object.release(open.(5))
    why
    """
    assert beam.elixir(OPEN + job, node=A[node.name]) is A.Elixir.SystemLimitError
    assert bank.closed == [4, 1, 2, 3, 5]


def test_erlang_calls_its_methods_until_it_releases_it(beam: Beam, node: Any, bank: Bank) -> None:
    job = """
    Account = pyerlnode:call(Node, 'Elixir.Bank', open, [1]),
    Sum = pyerlnode:object_call(Account, add, [1]),
    Steps = pyerlnode:stream_fold(fun(N, Acc) -> [N | Acc] end, [], pyerlnode:object_call(Account, steps, [])),
    Text = try pyerlnode:object_call(Account, fail, []) catch error:{python_error, _, T} -> T end,
    Undef = try pyerlnode:object_call(Account, secret, []) catch error:undef:Stack -> element(2, hd(Stack)) end,
    ok = pyerlnode:object_release(Account),
    ok = pyerlnode:object_release(Account),
    Gone = try pyerlnode:object_call(Account, add, [1]) catch exit:{Reason, _} -> Reason end,
    {messages, []} = process_info(self(), messages),
    {Sum, Steps, Text, Undef, Gone}.
    """
    assert beam.eval(job, Node=A[node.name]) == (2, [1, 0], b"as asked", A.secret, A.noproc)
    assert bank.closed == [2]
