"""The services of OTP's kernel application, as plain processes and tables."""
