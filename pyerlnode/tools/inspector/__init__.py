"""The commands that look into a BEAM: thin faces of `pyerlnode.inspect`."""
