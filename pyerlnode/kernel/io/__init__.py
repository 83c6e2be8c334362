"""Output, input and logs: group leaders, devices, `io_lib`, remote shells, and the way to and from the loggers."""

from pyerlnode.kernel.io.device import Device, DeviceError

__all__ = ["Device", "DeviceError"]
