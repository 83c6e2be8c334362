"""The distribution protocol as pure machines: bytes and time go in, events and buffers come out."""
