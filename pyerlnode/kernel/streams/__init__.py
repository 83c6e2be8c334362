"""Generators that other nodes read by demand: as an `Enumerable` in Elixir, in a `for` of Python."""
