"""Requests that survive the crash of either side, each carried out once."""

from pyerlnode.cluster.durable.core import OutboxLimits
from pyerlnode.cluster.durable.inbox import Inbox, Tx
from pyerlnode.cluster.durable.inbox_core import InboxLimits
from pyerlnode.cluster.durable.journal import Journal, JournalDamaged, JournalError, JournalFull, JournalInUse
from pyerlnode.cluster.durable.outbox import Outbox, Requests, UnknownRequest

__all__ = [
    "Inbox",
    "InboxLimits",
    "Journal",
    "JournalDamaged",
    "JournalError",
    "JournalFull",
    "JournalInUse",
    "Outbox",
    "OutboxLimits",
    "Requests",
    "Tx",
    "UnknownRequest",
]
