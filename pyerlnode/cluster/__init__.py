"""What a system of several nodes is made of, above processes and behaviours: each part stands on a node and on `pg`.

This room does not import the kernel beside it: its parts are given a node; `otp.host` lists what they need of it.
"""

from pyerlnode import former

former.keep(
    __name__,
    breaker="load.breaker",
    durable_inbox="durable.inbox",
    journal="durable.journal",
    pool="load.pool",
    regulated="load.regulated",
    regulator="load.regulator",
)
