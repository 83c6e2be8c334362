"""ExUnit files under pytest: what is collected, what is reported, what a test finds beside it."""

from pathlib import Path

import pytest

from interop_tests.test_plugin import Run
from pyerlnode import A
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.exunit import RUNNER

pytestmark = pytest.mark.beam(elixir=True)

CONFTEST = """
import pytest
from pyerlnode import A, GenServer, Reply

class Counter(GenServer):
    def init(self, start):
        self.value = start

    def handle_call(self, request, from_):
        self.value += 1
        return Reply(self.value)

@pytest.fixture
def counter(erl_node):
    erl_node.start(Counter, 41, name="counter")
"""
COUNTER = """
defmodule CounterTest do
  use ExUnit.Case, async: true
  @moduletag fixtures: [:counter]

  defp counter, do: {:counter, String.to_atom(System.get_env("TEST_NODE"))}

  describe "a counter in Python" do
    test "counts" do
      assert GenServer.call(counter(), :next) == 42
    end

    test "is a new one for each test" do
      assert GenServer.call(counter(), :next) == 42
      assert System.get_env("TEST_COOKIE") == Atom.to_string(Node.get_cookie())
    end
  end
end
"""
MIXED = """
defmodule MixedTest do
  use ExUnit.Case

  setup do
    {:ok, start: 1}
  end

  test "passes with what its setup gives", %{start: start} do
    assert start == 1
  end

  test "fails by an assertion" do
    IO.puts("these words")
    assert %{a: 1} == %{a: 2}
  end

  test "ends by an exception" do
    raise ArgumentError, "wrong"
  end

  @tag :skip
  test "is skipped" do
    assert false
  end

  @tag :slow
  test "is excluded by the helper" do
    assert false
  end

  @tag timeout: 50
  test "takes too long" do
    receive do: (:never -> :ok)
  end

  test "leaves a process and a registered name" do
    Process.register(spawn(fn -> receive do: (:never -> :ok) end), :left)
  end

  test "finds nothing of the test before" do
    assert Process.whereis(:left) == nil
  end
end
"""
SETUP_ALL = """
defmodule NeverReadyTest do
  use ExUnit.Case
  setup_all do: raise("no database")
  test "is not run", do: assert true
end

defmodule BesideTest do
  use ExUnit.Case
  test "is not run", do: assert true
end
"""


@pytest.fixture
def run(tmp_path: Path, beam_session: Beam) -> Run:
    return Run(tmp_path, beam_session)


def write(run: Run, **files: str) -> None:
    for name, text in files.items():
        (run.directory / name.replace("__", ".")).write_text(text)


def test_each_test_of_a_file_is_an_item_and_reaches_the_python_node(run: Run) -> None:
    write(run, conftest__py=CONFTEST, test_counter__exs=COUNTER)
    status, output = run("", "-v")
    assert "test_counter.exs::test a counter in Python counts PASSED" in output, output
    assert "test_counter.exs::test a counter in Python is a new one for each test PASSED" in output
    assert "2 passed" in output
    assert status == 0


def test_each_end_of_a_test_is_reported_as_exunit_tells_it(run: Run) -> None:
    write(run, test_helper__exs="ExUnit.start(exclude: [:slow])", test_mixed__exs=MIXED)
    status, output = run("", "-v")
    assert "3 failed, 3 passed, 2 skipped" in output, output
    assert "test_mixed.exs::test passes with what its setup gives PASSED" in output
    assert "left:  %{a: 1}" in output
    assert "right: %{a: 2}" in output
    assert "(ArgumentError) wrong" in output
    assert "due to skip tag" in output
    assert "due to slow filter" in output
    assert "test timed out after 50ms" in output
    assert "these words" in output.partition("Output of <Beam")[2]
    assert status == 1


def test_one_test_of_a_file_can_be_asked_for_by_its_name(run: Run) -> None:
    write(run, test_mixed__exs=MIXED)
    status, output = run("", "test_mixed.exs::test passes with what its setup gives")
    assert "1 passed" in output, output
    assert status == 0


def test_a_setup_all_that_fails_is_the_failure_of_its_tests_alone(run: Run) -> None:
    write(run, test_all__exs=SETUP_ALL)
    status, output = run("", "-v")
    assert "test_all.exs::NeverReadyTest test is not run FAILED" in output, output
    assert "test_all.exs::BesideTest test is not run PASSED" in output
    assert "no database" in output
    assert status == 1


def test_a_file_that_does_not_compile_is_an_error_of_the_collection(run: Run) -> None:
    write(run, test_wrong__exs='defmodule Wrong do\n  use ExUnit.Case\n  test "a", do: nowhere()\nend\n')
    status, output = run("")
    assert "ERROR test_wrong.exs" in output, output
    assert "nowhere" in output
    assert status == 2


def test_a_file_runs_again_on_a_beam_that_was_killed(run: Run) -> None:
    write(run, conftest__py=CONFTEST, test_counter__exs=COUNTER)
    status, output = run("def test_it(beam):\n    beam.kill9()\n", "test_it.py", "test_counter.exs")
    assert "3 passed" in output, output
    assert status == 0


def test_files_are_shared_among_processes(run: Run) -> None:
    write(run, conftest__py=CONFTEST, test_counter__exs=COUNTER)
    status, output = run.with_all_plugins()("", "-n", "2")
    assert "2 passed" in output, output
    assert status == 0


# --- what must not be green -----------------------------------------------------------------------------
PARAMETERS = """
defmodule ParametersTest do
  use ExUnit.Case, parameterize: [%{value: 1}, %{value: 3}, %{value: 2}]
  test "is two", %{value: value}, do: assert value == 2
end
"""
TOLD = """
for state <- [{:failed, [{:error, %RuntimeError{message: "the first"}, []}]}, nil, {:skipped, "no"}, nil] do
  test = %ExUnit.Test{name: :"test it", module: SomeTest, state: state, tags: %{file: "it.exs", line: 1}}
  send(self(), {:pyerlnode_exunit, :test_finished, test})
end
:pyerlnode_exunit.result(:"test it", :none)
"""


def test_a_test_that_fails_for_one_of_its_parameters_has_failed(run: Run, beam: Beam) -> None:
    version = tuple(map(int, beam.elixir_version.split(".")[:2]))
    if version < (1, 18):
        pytest.skip("`parameterize` came with Elixir 1.18")
    write(run, test_parameters__exs=PARAMETERS)
    status, output = run("")
    assert "1 failed" in output, output
    assert "Parameters: %{value: 1}" in output
    assert "Parameters: %{value: 3}" in output
    assert "Parameters: %{value: 2}" not in output
    assert status == 1


def test_a_failure_is_not_hidden_by_what_is_told_of_the_same_test_later(beam: Beam) -> None:
    beam.load(RUNNER)
    beam.rpc("pyerlnode_exunit", "prepare")
    what, text = beam.elixir(TOLD)
    assert what is A.failed
    assert b"the first" in text


def test_two_files_with_a_module_of_one_name_are_each_tested_as_they_are(run: Run) -> None:
    """In an order that goes to and fro between them."""
    for name, value in (("one", 1), ("two", 2)):
        tests = "".join(f'test "{test}", do: assert __ENV__.file =~ "test_{name}" and {value} > 0\n' for test in "ab")
        write(run, **{f"test_{name}__exs": f"defmodule SameTest do\nuse ExUnit.Case\n{tests}end\n"})
    fail = 'defmodule SameTest do\nuse ExUnit.Case\ntest "a", do: assert 1 == 2\nend\n'
    write(run, test_zero__exs=fail)
    order = [f"test_{at}.exs::test {name}" for at, name in (("zero", "a"), ("one", "a"), ("two", "b"), ("one", "b"))]
    status, output = run("", *order)
    assert "1 failed, 3 passed" in output, output
    assert status == 1


def test_what_a_test_logs_is_captured_when_it_wants_that(run: Run) -> None:
    source = """
defmodule LogTest do
  use ExUnit.Case
  require Logger
  @moduletag capture_log: true

  test "fails" do
    Logger.error("of the one that fails")
    assert false
  end

  test "passes" do
    Logger.error("of the one that passes")
  end

  test "captures by itself" do
    assert ExUnit.CaptureLog.capture_log(fn -> Logger.error("by hand") end) =~ "by hand"
  end
end
"""
    write(run, test_log__exs=source)
    status, output = run("")
    assert "1 failed, 2 passed" in output, output
    assert "The test's log:" in output
    assert "of the one that fails" in output
    assert "of the one that passes" not in output
    assert status == 1
