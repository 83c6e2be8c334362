"""global: names that two clusters have when they meet, by the methods of both; the driver is `diff_meetings.erl`."""

from __future__ import annotations

from random import Random
from typing import Any

from gevent import socket

from interop_tests.differential.groups import ALIKE
from interop_tests.differential.kinds import Kind
from interop_tests.differential.names import METHODS
from pyerlnode import A
from pyerlnode.errors import Error
from pyerlnode.runtime import api

OWN = tuple((A.diff_meetings, A[name]) for name in ("first", "second", "neither", "odd", "fails"))


def script(rng: Random) -> Any:
    """``{Name, {Method here or none, Method there or none}}``: who registers it while the two are apart."""
    methods = (A.none, *METHODS, *OWN)
    names = rng.sample(ALIKE, rng.randrange(2, len(ALIKE)))
    return [(name, (rng.choice(methods), rng.choice(methods))) for name in names]


# --- the twin ---------------------------------------------------------------------------------------
def fails(_name: Any, _his: Any, _mine: Any) -> Any:
    raise Error(A.no)


def prepare(node: Any) -> None:
    def apart(port: int, names: Any) -> None:
        node.global_.disconnect()
        said = bytes(b"ny"[node.global_.register_name(*one)] for one in names)
        with socket.create_connection(("127.0.0.1", port)) as told:
            told.sendall(b"said " + said)

    def where(name: Any) -> Any:
        pid = node.global_.whereis_name(name)
        return A.undefined if pid is None else pid

    for name, function in {
        "member": lambda: node.spawn(member),
        "apart": apart,
        "where": where,
        "first": lambda _name, his, _mine: his,
        "second": lambda _name, _his, mine: mine,
        "neither": lambda _name, _his, _mine: A.none,
        "odd": lambda _name, _his, _mine: A.odd,
        "fails": fails,
    }.items():
        node.export("diff_meetings", function, name=name)


def member() -> None:
    said: list[Any] = []
    while True:
        match api.receive():
            case (A.mail, from_, ref):
                api.send(from_, (ref, said))
                said = []
            case message:
                said.append(message)


KIND = Kind("global_meetings", ("diff_meetings",), script, prepare, few=3, visible=True, ordered=True)
