"""ExUnit files (`test_*.exs`) as files of pytest: each test of ExUnit is an item, with ExUnit's own text when it fails.

    defmodule CounterTest do
      use ExUnit.Case
      @moduletag fixtures: [:counter]

      test "counts" do
        assert GenServer.call({:counter, String.to_atom(System.get_env("TEST_NODE"))}, :next) == 42
      end
    end

- A file is compiled on the run's BEAM when it is collected: only Elixir knows what its macros make. Where there is no
  BEAM, or one without Elixir, the file is one item that is skipped (or fails, when a BEAM is required).
- `test_helper.exs` beside it is compiled first, as `mix test` does; what it excludes is skipped.
- ``--beam-mix DIRECTORY`` names a Mix project: its `test/**/*_test.exs` are such files, too, and `test/test_helper.exs`
  is that of all of them.
- Each test runs alone, by ExUnit's runner, in the BEAM of the fixture `beam`; what it leaves there is cleaned.
- It has a Python node beside it, the fixture `erl_node`: its name is in TEST_NODE, the cookie in TEST_COOKIE. A tag
  `fixtures` names further fixtures of pytest, which are set up before the test.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pyerlnode.testing.errors import BeamError, BeamUnavailable

if TYPE_CHECKING:
    from pyerlnode.testing.beam import Beam
    from pyerlnode.testing.supply import Supply

RUNNER = Path(__file__).with_name("exunit.erl")
HELPER = "test_helper.exs"
MODULE = "pyerlnode_exunit"
GRACE_S = 15.0
"""What ExUnit gets beyond the time-out of a test: it ends the test itself and tells where it was."""
AN_HOUR_S = 3600.0


class ExUnitTest(NamedTuple):
    """A test as ExUnit describes it; `excluded` is the reason why test_helper.exs does not want it run."""

    module: Any
    name: str
    line: int
    fixtures: tuple[str, ...]
    timeout: float
    excluded: str | None


def is_exunit(path: Path, named: bool, mix: str = "") -> bool:
    """Whether pytest collects `path`: `test_*.exs`, those of the Mix project, any `.exs` that a command line names."""
    if path.suffix != ".exs" or path.name == HELPER:
        return False
    of_mix = path.name.endswith("_test.exs") and bool(mix) and path.is_relative_to(Path(mix) / "test")
    return named or of_mix or path.name.startswith("test_")


def helper_of(path: Path, mix: str = "") -> Path | None:
    """The `test_helper.exs` that is compiled before `path`."""
    places = [path.parent, *([Path(mix) / "test"] if mix and path.is_relative_to(mix) else [])]
    return next((place / HELPER for place in places if (place / HELPER).exists()), None)


class ExUnitFile(pytest.Module):
    """A file of ExUnit tests; to pytest it is a module with a function for each test."""

    supply: Supply
    release: int | None

    def collect(self) -> Iterable[Any]:
        self.obj = module = types.ModuleType(self.path.stem)
        for name, function in self._functions():
            setattr(module, name, function)
        return super().collect()

    def funcnamefilter(self, name: str) -> bool:
        """The functions are ours: all of them are tests, whatever `python_functions` says."""
        return not name.startswith("__")

    def _functions(self) -> list[tuple[str, Callable[..., None]]]:
        try:
            beam = self.supply.shared(self.release)
        except BeamUnavailable:
            return [(self.path.stem, _stand_in())]  # its marker tells why there is none
        if not beam.elixir_version:
            return [(self.path.stem, _stand_in())]
        said = beam.log_position
        try:
            modules = load(beam, self.path, self._helper())
            tests = [_described(told) for told in beam.rpc(MODULE, "tests", modules, timeout=60)]
        except BeamError as error:
            # Elixir 1.15 and later print what is wrong with a file, and raise only that something is.
            raise self.CollectError(f"{error}\n{beam.logs_since(said)}".rstrip()) from None
        several = len({test.module for test in tests}) > 1
        return [
            (f"{_short(test.module)} {test.name}" if several else test.name, self._function(test)) for test in tests
        ]

    def _helper(self) -> Path | None:
        return helper_of(self.path, self.supply.settings.mix)

    def _function(self, test: ExUnitTest) -> Callable[..., None]:
        path, helper = self.path, self._helper()

        def run(beam: Beam, erl_node: Any) -> None:
            load(beam, path, helper)
            run_one(beam, test, {"TEST_NODE": erl_node.name, "TEST_COOKIE": beam.cookie})

        # So that pytest's reports, and its order, name the line of the test.
        run.__code__ = run.__code__.replace(co_filename=str(path), co_firstlineno=test.line)
        marked: Callable[..., None] = pytest.mark.beam(elixir=True)(run)
        if test.fixtures:
            marked = pytest.mark.usefixtures(*test.fixtures)(marked)
        return marked if test.excluded is None else pytest.mark.skip(reason=test.excluded)(marked)


def load(beam: Beam, path: Path, helper: Path | None = None) -> list[Any]:
    """Compile a file and its helper on the BEAM, unless it has them; gives the modules of the file."""
    if not beam.has_loaded(RUNNER):
        beam.load(RUNNER)
        beam.rpc(MODULE, "prepare")
    if helper is not None:
        beam.load(helper)
    return beam.load(path)


def run_one(beam: Beam, test: ExUnitTest, environment: dict[str, str]) -> None:
    """Run one test on the BEAM and end as it did: return, skip or fail with ExUnit's text."""
    told = beam.rpc(
        MODULE, "run", test.module, test.name.encode(),
        [(key.encode(), value.encode()) for key, value in environment.items()],
        timeout=min(test.timeout, AN_HOUR_S) + GRACE_S,
    )  # fmt: skip
    if not isinstance(told, tuple):
        return
    what, text = str(told[0]), told[1].decode()
    if what == "skipped":
        pytest.skip(text)
    pytest.fail(text, pytrace=False)


def _described(told: Any) -> ExUnitTest:
    module, name, line, fixtures, timeout, excluded = told
    seconds = timeout / 1000 if isinstance(timeout, int) else inf
    return ExUnitTest(
        module, name.decode(), line, tuple(fixture.decode() for fixture in fixtures), seconds,
        None if excluded is None else excluded.decode(),
    )  # fmt: skip


def _short(module: Any) -> str:
    return str(module.name).removeprefix("Elixir.")


def _stand_in() -> Callable[..., None]:
    @pytest.mark.beam(elixir=True)
    def stands_for_the_file() -> None:
        pytest.fail("there was no BEAM with Elixir when this file was collected, and now there is", pytrace=False)

    return stands_for_the_file
