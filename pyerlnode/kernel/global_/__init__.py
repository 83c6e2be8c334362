"""OTP's `global`: names of the whole cluster, for a hidden node (`names`) and for one that takes part (`server`)."""
