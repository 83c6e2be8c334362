"""Every server of this library says itself what becomes of what it does not know: no call or cast of a peer ends it.

`GenServer`'s own `handle_call` and `handle_cast` raise, as OTP's do, which is right for a program's servers.
"""

import importlib
import inspect
import pkgutil

import pytest

import pyerlnode
from pyerlnode.otp.gen_server import GenServer

THE_PROGRAMS_OWN = {
    "pyerlnode.otp.gen_server.GenServer",
    "pyerlnode.cluster.load.regulated.Regulated",
    "pyerlnode.cluster.sessions.session.Session",
    "pyerlnode.bridges.gen_stage.stage.Stage",
    "pyerlnode.bridges.gen_stage.stage.Producer",
    "pyerlnode.bridges.gen_stage.stage.Consumer",
    "pyerlnode.bridges.gen_stage.stage.ProducerConsumer",
}
"""Bases that a program extends: what it does not handle ends its own server, as in OTP and in Elixir's GenStage."""
HANDS_ALL_ON = {"pyerlnode.workers.worker.Worker", "pyerlnode.workers.pool.PoolWorker"}
"""To a server in an OS process: they have a `handle` of their own."""
ROOMS = ("kernel", "cluster", "bridges", "otp", "workers")


def servers():
    found = {}
    for module in pkgutil.walk_packages(pyerlnode.__path__, "pyerlnode."):
        if module.name.split(".")[1] in ROOMS:
            for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(cls, GenServer) and cls.__module__ == module.name:
                    found[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return found


SERVERS = servers()


def test_the_list_of_bases_names_classes_that_are_there():
    assert set(SERVERS) >= THE_PROGRAMS_OWN | HANDS_ALL_ON
    assert all(SERVERS[name].handle is not GenServer.handle for name in HANDS_ALL_ON)
    assert len(SERVERS) > 30


@pytest.mark.parametrize("name", sorted(set(SERVERS) - THE_PROGRAMS_OWN - HANDS_ALL_ON))
def test_a_server_handles_every_call_and_cast(name):
    cls = SERVERS[name]
    for callback in ("handle_call", "handle_cast"):
        assert getattr(cls, callback) is not getattr(GenServer, callback), f"{name} has no {callback}"
