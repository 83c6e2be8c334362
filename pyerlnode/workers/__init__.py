"""Functions and servers in OS processes of their own, each behind a pid: `Worker`."""
