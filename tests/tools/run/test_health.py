"""Readiness and liveness by HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from machine import needs_ipv6

from pyerlnode.errors import UsageError
from pyerlnode.testing.epmd import free_port
from pyerlnode.testing.patience import patience
from pyerlnode.tools.run.health import Health, Server, serve

STATE = {"ready": True, "alive": True}


def ask() -> Health:
    return Health(STATE["ready"], STATE["alive"], [{"name": "shop@h", "state": "up", "silent": 0.1}])


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = serve(getattr(request, "param", "127.0.0.1:") + str(free_port()), ask)
    yield made
    made.shutdown()
    made.server_close()


def get(at: str, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://{at}{path}", timeout=patience()) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(("ready", "alive"), [(True, True), (False, True), (True, False)])
def test_each_probe_has_its_status_and_the_document_says_why(
    server: Server, ready: bool, alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STATE, "ready", ready)
    monkeypatch.setitem(STATE, "alive", alive)
    at = f"127.0.0.1:{server.server_address[1]}"
    status, document = get(at, "/readyz?verbose")
    assert status == (200 if ready else 503)
    assert document == {"ready": ready, "alive": alive, "workers": [{"name": "shop@h", "state": "up", "silent": 0.1}]}
    assert get(at, "/livez")[0] == (200 if alive else 503)
    assert get(at, "/")[0] == 404


@needs_ipv6
@pytest.mark.parametrize(
    ("server", "hosts"), [("", ["127.0.0.1", "[::1]"]), ("[::1]:", ["[::1]"])], indirect=["server"]
)  # fmt: skip
def test_it_is_served_by_both_families(server: Server, hosts: list[str]) -> None:
    for host in hosts:
        assert get(f"{host}:{server.server_address[1]}", "/livez")[0] == 200


def test_a_port_that_is_taken_is_one_line(server: Server) -> None:
    where = f"127.0.0.1:{server.server_address[1]}"
    with pytest.raises(UsageError, match=f"health can not be served at {where}: Address already in use"):
        serve(where, ask)
