"""Objects that stay in Python: their callers get a handle, and call the methods that were allowed."""
