"""`pyerlnode run` as production runs it: mistakes, a life from READY to SIGTERM, a master that is killed, a reload."""

import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from place import PYERLNODE, Place, place

from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for
from pyerlnode.tools import cli

SHOP = """
from pyerlnode import A, GenServer, Reply

VERSION = 1


class Shop(GenServer):
    def handle_call(self, request, from_):
        return Reply((A.ok, VERSION))


def make(node):
    return node.start(Shop, name="shop")


def broken(node):
    raise ValueError("no stock")
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("run")) as made:
        (made.home / "shop.py").write_text(SHOP)
        yield made


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what to run"),
        (["shop"], "module:factory"),
        (["shop:make", "--name", "shop"], "no host part"),
        (["shop:make", "--name", "sh op@127.0.0.1"], "letters, digits"),
        (["shop:make", "--connect", "app"], "no host part"),
        (["shop:make", "--config", "/nonexistent.toml"], "/nonexistent.toml can not be read: No such file"),
        (["shop:make", "--config", __file__], "is no TOML"),
        (["shop:make", "--cookie-file", "/nonexistent"], "no cookie file /nonexistent"),
        (["shop:make", "--cookie", "c", "--tls-optfile", "/nonexistent"], "no file /nonexistent"),
        (["shop:make", "--workers", "none"], "--workers is a number"),
        (["shop:make", "--speed", "9"], "--speed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_can_not_be_tried_is_one_line_and_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PYERLNODE_NODE", "RELEASE_NODE", "RELEASE_DISTRIBUTION", "PYERLNODE_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    assert cli.main(["run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err[:11], err.count("\n")) == ("", "pyerlnode: ", 1)
    assert says in err


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nothing_here:make"], 2, "there is no module nothing_here here: run it where it can be imported"),
        (["shop:broken"], 1, "shop:broken raised ValueError: no stock"),
    ],
)
def test_what_a_worker_finds_wrong_ends_the_run_with_its_line(
    here: Place, arguments: list[str], status: int, says: str
) -> None:
    ran = here.pyerlnode("run", *arguments, "--log-format", "json")
    lines = ran.stderr.splitlines()
    assert (ran.returncode, lines[-1], ran.stdout) == (status, f"pyerlnode: {says}", "")
    logged = [json.loads(line) for line in lines[:-1]]
    assert [line["message"] for line in logged if line["level"] == "error"] == (
        ["shop:broken failed"] if status == 1 else []
    )
    assert all("raise ValueError" in line["exception"] for line in logged if line["level"] == "error")


def get(port: int, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=patience()) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_run_by_a_file_is_ready_is_asked_and_ends_in_order(here: Place, tmp_path: Path) -> None:
    health = free_port()
    config = tmp_path / "run.toml"
    config.write_text(f'factory = "shop:make"\nname = "shop@127.0.0.1"\nworkers = 2\nhealth = "127.0.0.1:{health}"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(patience())
        env = ["env", f"NOTIFY_SOCKET={tmp_path / 'notify'}", "PYERLNODE_LOG_FORMAT=json", "PYERLNODE_QUIET=0"]
        program = here.start((*env, *PYERLNODE, "run", "--config", str(config)), '"message": "ready"')
        assert systemd.recv(100) == b"READY=1"
        status, document = get(health, "/readyz")
        assert (status, document["ready"]) == (200, True)
        assert [worker["state"] for worker in document["workers"]] == ["up", "up"]  # type: ignore[attr-defined]
        assert [get(health, path)[0] for path in ("/livez", "/other")] == [200, 404]
        ping = here.pyerlnode("ping", env={**here.environment, "PYERLNODE_NODE": "shop2@127.0.0.1"})
        assert (ping.returncode, ping.stdout[:26]) == (0, "pong from shop2@127.0.0.1 ")
        program.send_signal(signal.SIGTERM)
        assert systemd.recv(100) == b"STOPPING=1"
        rest = program.communicate(timeout=patience())[0].splitlines()
        assert program.returncode == 0
        assert {line["node"] for line in map(json.loads, rest)} >= {"shop1@127.0.0.1", "shop2@127.0.0.1"}
    assert here.names() == []


def test_a_run_by_tls_and_without_epmd_is_found_by_ping_in_the_same_environment(here: Place, tmp_path: Path) -> None:
    optfile, port = tmp_path / "dist.conf", str(free_port())
    Authority(tmp_path / "ca").optfile(optfile)
    env = {
        "PYERLNODE_NODE": "sure@127.0.0.1", "PYERLNODE_TLS_OPTFILE": str(optfile), "PYERLNODE_EPMD": "none",
        "PYERLNODE_PORTS": port, "PYERLNODE_PEER_PORT": port,
    }  # fmt: skip
    words = [f"{name}={value}" for name, value in env.items()]
    program = here.start(("env", *words, *PYERLNODE, "run", "shop:make"), "run: ready")
    ping = here.pyerlnode("ping", env={**here.environment, **env})
    assert (ping.returncode, ping.stderr, ping.stdout[:25]) == (0, "", "pong from sure@127.0.0.1 ")
    plain = here.pyerlnode("ping", env={**here.environment, **env, "PYERLNODE_TLS_OPTFILE": ""})
    assert (plain.returncode, plain.stdout, plain.stderr.count("\n")) == (1, "", 1)
    assert here.names() == []
    assert here.end(program, signal.SIGTERM) == 0


def test_workers_of_a_master_that_was_killed_end_too(here: Place) -> None:
    program = here.start((*PYERLNODE, "run", "shop:Shop", "--name", "lost@127.0.0.1"), "run: ready")
    assert here.names() == ["lost"]
    here.end(program, signal.SIGKILL)
    wait_for(lambda: here.names() == [])


def test_a_change_of_the_program_is_taken_over(here: Place, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    command = (*PYERLNODE, "run", "shop:make", "--name", "fresh@127.0.0.1", "--reload", "--quiet", "0")
    program = here.start(("env", "-C", str(tmp_path), *command), "run: ready")
    assert here.pyerlnode("call", "fresh@127.0.0.1", "shop", "version").stdout == "{ok,1}\n"
    (tmp_path / "shop.py").write_text(SHOP.replace("VERSION = 1", "VERSION = 22"))
    wait_for(lambda: here.pyerlnode("call", "fresh@127.0.0.1", "shop", "version").stdout == "{ok,22}\n")
    here.end(program, signal.SIGKILL)
    wait_for(lambda: here.names() == [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_script_that_runs_for_ever_ends_in_order(here: Place, number: int) -> None:
    code = """
from pyerlnode import Node
with Node() as node:
    node.spawn(lambda: print("up", flush=True))  # runs as soon as the program waits
    node.run_forever()
print("over")
"""
    program = here.start((sys.executable, "-c", code), "up")
    program.send_signal(number)
    assert program.communicate(timeout=patience())[0] == "over\n"
    assert program.returncode == 0
