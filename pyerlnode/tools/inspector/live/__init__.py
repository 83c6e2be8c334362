"""Live views of a node in the terminal: what is shown is decided by the `*_core` modules, from values alone."""
