"""The services of OTP's kernel application, as plain processes and tables."""

from pyerlnode import former

former.keep(__name__, device="io.device", remote_errors="remote.errors")
