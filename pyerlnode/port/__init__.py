"""Erlang port mode, below: packets over a pair of descriptors, and what they say."""
