"""`remsh`: the shell of a BEAM, Erlang's or IEx, at this terminal."""
