"""What runs from a terminal: the command line, the demo, the shell. See `docs/command-line.md`."""
