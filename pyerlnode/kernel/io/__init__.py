"""Output, input and logs: group leaders, devices, `io_lib`, remote shells, and the way to and from the loggers."""
