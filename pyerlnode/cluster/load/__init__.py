"""Against overload: regulators that admit, breakers that refuse, pools that share."""

from pyerlnode.cluster.load.breaker import Breaker, BreakerOpen
from pyerlnode.cluster.load.breaker_core import Thresholds
from pyerlnode.cluster.load.pool import Loan, Pool, PoolBusy
from pyerlnode.cluster.load.regulated import Regulated, Regulation
from pyerlnode.cluster.load.regulator import NotAdmitted, Permit, Regulator, RemotePermit
from pyerlnode.cluster.load.regulator_core import Adaptive, Admitted, Queue, Refused, Rules

__all__ = [
    "Adaptive",
    "Admitted",
    "Breaker",
    "BreakerOpen",
    "Loan",
    "NotAdmitted",
    "Permit",
    "Pool",
    "PoolBusy",
    "Queue",
    "Refused",
    "Regulated",
    "Regulation",
    "Regulator",
    "RemotePermit",
    "Rules",
    "Thresholds",
]
