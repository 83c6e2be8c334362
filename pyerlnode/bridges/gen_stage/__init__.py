"""GenStage's messages: producers, consumers and both in one, with Elixir's stages on either side."""

from pyerlnode.bridges.gen_stage.client import (
    async_info,
    async_subscribe,
    demand,
    demand_mode,
    estimate_buffered_count,
    sync_info,
    sync_subscribe,
)
from pyerlnode.bridges.gen_stage.consumer_supervisor import ConsumerSupervisor
from pyerlnode.bridges.gen_stage.dispatchers_core import Broadcast, Demand, Partition
from pyerlnode.bridges.gen_stage.stage import Consumer, Emit, Options, Producer, ProducerConsumer, Stage
from pyerlnode.bridges.gen_stage.streams import from_iterable, stream

__all__ = [
    "Broadcast",
    "Consumer",
    "ConsumerSupervisor",
    "Demand",
    "Emit",
    "Options",
    "Partition",
    "Producer",
    "ProducerConsumer",
    "Stage",
    "async_info",
    "async_subscribe",
    "demand",
    "demand_mode",
    "estimate_buffered_count",
    "from_iterable",
    "stream",
    "sync_info",
    "sync_subscribe",
]
