"""The import paths that the documents had before families became packages."""

from importlib import import_module

import pytest

FORMER = {
    "pyerlnode.cluster.breaker": "Breaker BreakerOpen Thresholds",
    "pyerlnode.cluster.durable": "Outbox Requests",
    "pyerlnode.cluster.durable_inbox": "Inbox Tx",
    "pyerlnode.cluster.journal": "Journal",
    "pyerlnode.cluster.pool": "Pool PoolBusy",
    "pyerlnode.cluster.regulated": "Regulated Regulation",
    "pyerlnode.cluster.regulator": "NotAdmitted Regulator Rules",
    "pyerlnode.cluster.sessions": "Session Sessions",
    "pyerlnode.cluster.standby": "Fenced Standby activation",
    "pyerlnode.bridges.consumer_supervisor": "ConsumerSupervisor",
    "pyerlnode.bridges.gen_stage": "Consumer Options Producer ProducerConsumer",
    "pyerlnode.bridges.gen_stage_stream": "from_iterable stream",
    "pyerlnode.bridges.nx_batch": "Batch",
    "pyerlnode.bridges.nx_serving": "Hook Output Serving",
    "pyerlnode.bridges.phoenix_presence": "Presence PresenceError",
    "pyerlnode.bridges.phoenix_pubsub": "Broadcast PubSub",
    "pyerlnode.kernel.device": "DeviceError",
    "pyerlnode.kernel.remote_errors": "RemoteElixirError format_stack",
}


@pytest.mark.parametrize("path", FORMER)
def test_a_former_path_gives_the_same_objects(path: str) -> None:
    module = import_module(path)
    for name in FORMER[path].split():
        there = getattr(module, name)
        package = import_module(there.__module__.rpartition(".")[0])
        assert getattr(package, name) is there
