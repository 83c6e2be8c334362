"""Phoenix's messages: PubSub both ways, and Presence."""

from pyerlnode.bridges.phoenix.presence import Presence, PresenceError
from pyerlnode.bridges.phoenix.pubsub import Broadcast, PubSub

__all__ = [
    "Broadcast",
    "Presence",
    "PresenceError",
    "PubSub",
]
