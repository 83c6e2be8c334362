"""What the parts of this room need of a node: see `otp.host`."""

from pyerlnode.otp.host import Groups, Host

__all__ = ["Groups", "Host"]
