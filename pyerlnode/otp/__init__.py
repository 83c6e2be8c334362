"""OTP's behaviours: generic servers and what is built from them."""
