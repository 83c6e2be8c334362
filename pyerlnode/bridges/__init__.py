"""Bridges: each speaks the messages of one library of the BEAM, so that its processes meet Python's as their own kind.

A bridge stands on processes and behaviours; of the node it is given what `otp.host` lists, and the kernel beside it
is not imported.
"""
