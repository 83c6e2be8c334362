"""A gevent-powered Python node for Erlang and Elixir clusters."""
