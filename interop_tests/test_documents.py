"""README, documentation and examples do what they say, against a real Elixir node named as they name it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import blocks, commands, matches, opening_prints
from place import PYERLNODE, ROOT, Place, place

README = ROOT / "README.md"
APP = ROOT / "examples" / "app.exs"
STARTS = "{:ok, _} = Supervisor.start_link("
"""Where the modules of the application end."""
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
# The documents of sessions, failover, durable requests, GenStage and Phoenix are run by the tests of these.
DOCUMENTS = [
    ROOT / "docs" / name
    for name in (
        "getting-started.md", "behaviours.md", "supervision.md", "remote-calls.md", "groups-and-names.md",
        "supervising-python.md", "workers.md", "load.md", "nx-serving.md",
        "output-and-logs.md", "command-line.md", "inspecting.md", "operating.md",
        "deploying.md", "security.md", "tls.md", "typed-requests.md", "threads.md",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def epmd_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One EPMD serves one after the other."""
    with place(tmp_path_factory.mktemp("epmd")) as made:
        yield made.epmd_port


@pytest.fixture
def here(tmp_path: Path, epmd_port: int) -> Iterator[Place]:
    with place(tmp_path, epmd_port) as made:
        yield made


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The examples' application as a script and the options that find its modules, which were compiled once for all."""
    ebin = tmp_path_factory.mktemp("ebin")
    modules, starts, rest = APP.read_text(encoding="utf-8").partition(STARTS)
    assert starts
    (ebin / "modules.ex").write_text(modules, encoding="utf-8")
    (ebin / "app.exs").write_text(starts + rest, encoding="utf-8")
    subprocess.run(["elixirc", "-o", str(ebin), str(ebin / "modules.ex")], check=True)
    return ebin / "app.exs", "-pa", str(ebin)


def test_the_readmes_two_programs_print_what_its_console_shows(here: Place, tmp_path: Path) -> None:
    [elixir], [python] = blocks(README, "elixir"), blocks(README, "python")
    (tmp_path / "stock.exs").write_text(elixir.text)
    (tmp_path / "counter.py").write_text(python.text)
    here.elixir_app(tmp_path / "stock.exs")
    for block in blocks(README, "console"):
        for command in commands(block):
            if not command.line.endswith("&"):
                check(here, command.line, command.prints)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_its_opening_says(here: Place, compiled: tuple[Path, str, str], example: Path) -> None:
    if example is EXAMPLES[0]:
        here.elixir_app(APP)
    else:
        here.elixir_app(*compiled)
    ran = here.run([sys.executable, str(example)])
    assert ran.stdout.strip() == opening_prints(example), ran.stderr
    assert ran.returncode == 0, ran.stderr
    # What a program that does not set up logging sees of the refusal that `03_functions` shows, and of the state that
    # ends with the last node of `16_failover`.
    told = ("which is not exported", "standby counter: state_lost")
    assert [line for line in ran.stderr.splitlines() if not any(words in line for words in told)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_a_documents_programs_and_consoles_show_what_happens(
    here: Place, compiled: tuple[Path, str, str], document: Path, tmp_path: Path
) -> None:
    here.elixir_app(*compiled)
    for number, block in enumerate(blocks(document, "python")):
        (tmp_path / f"block_{number}.py").write_text(block.text)
        ran = here.run([sys.executable, f"block_{number}.py"])
        assert ran.returncode == 0, f"{document.name}:{block.line}\n{ran.stderr}"
    for block in blocks(document, "console"):
        for command in commands(block):
            check(here, command.line, command.prints)


def check(here: Place, line: str, prints: str) -> None:
    """Run a console's line as a shell would, with `python` and `pyerlnode` from this environment."""
    functions = f'python() {{ "{sys.executable}" "$@"; }}; pyerlnode() {{ "{PYERLNODE[0]}" -m pyerlnode "$@"; }}; '
    together = {"capture_output": False, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    printed = here.run(["sh", "-c", f"{functions}{line}"], **together).stdout
    assert matches(printed, prints), f"$ {line}\nprinted:\n{printed}\nwhere the document shows:\n{prints}"
