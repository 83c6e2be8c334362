"""`pyerlnode rpc` and `call` read what they print, and print one JSON document whatever the answer is."""

import json
from collections.abc import Callable

import pytest

from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.tools import cli

Run = Callable[..., str]


@pytest.fixture
def run(beam: Beam, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `rpc` on the BEAM: what it wrote on standard output; on standard error as `run.err`."""

    def go(*arguments: str, err: str = "") -> str:
        where = ["--epmd-port", str(beam.epmd_port), "--cookie", beam.cookie, "--timeout", f"{patience():g}"]
        assert cli.main(["rpc", beam.node.name, *arguments, *where]) == 0, capsys.readouterr()
        out, wrote = capsys.readouterr()
        assert wrote == err
        return out

    return go


def test_json_is_one_document_when_the_function_prints(run: Run) -> None:
    out = run("io", "format", '["hello~n"]', "--json", err="hello\n")
    assert json.loads(out)["value"] == "ok"
    assert run("io", "format", '["hello~n"]') == "hello\nok\n"


def test_json_is_one_document_for_a_number_of_five_thousand_digits(run: Run) -> None:
    document = json.loads(run("erlang", "binary_to_integer", f'[<<"{"7" * 5_000}">>]', "--json"))
    assert document["value"] == document["term"] == "7" * 5_000


def test_a_pid_that_was_printed_is_taken_back(beam: Beam, run: Run) -> None:
    text = beam.text("whereis(init)")
    assert run("erlang", "is_process_alive", f"[{text}]") == "true\n"
    assert run("erlang", "process_info", f"[#PID{text}, registered_name]") == "{registered_name,init}\n"
    printed = run("erlang", "whereis", "[init]").strip()
    assert run("erlang", "is_process_alive", f"[{printed}]") == "true\n"
    creation = beam.eval("erlang:system_info(creation)")
    rabbit = f"<{beam.node.name}.{creation}.{text[3:]}"
    assert run("erlang", "is_process_alive", f"[{rabbit}]", "--elixir") == "true\n"
    ref = beam.text("persistent_term:put(kept, R = make_ref()), R")
    assert run("erlang", "'=:='", f"[{ref}, {ref}]") == "true\n"
    assert beam.eval("persistent_term:get(kept)") is not None


def test_a_large_map_is_in_the_order_of_the_release_that_is_asked(beam: Beam, run: Run) -> None:
    pairs = ", ".join(f"{{{number}, {number}}}" for number in range(50))
    theirs = beam.eval(f"'Elixir.Kernel':inspect(maps:from_list([{pairs}]), [{{limit, infinity}}])").decode()
    assert "".join(run("maps", "from_list", f"[[{pairs}]]", "--elixir").split()) == "".join(theirs.split())
