"""Bridges: each speaks the messages of one library of the BEAM, so that its processes meet Python's as their own kind.

A bridge stands on processes and behaviours; of the node it is given what `otp.host` lists, and the kernel beside it
is not imported.
"""

from pyerlnode import former

former.keep(
    __name__,
    consumer_supervisor="gen_stage.consumer_supervisor",
    gen_stage_stream="gen_stage.streams",
    nx_batch="nx.batch",
    nx_serving="nx.serving",
    phoenix_presence="phoenix.presence",
    phoenix_pubsub="phoenix.pubsub",
)
