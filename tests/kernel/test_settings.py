"""How a node connects, as a value."""

from pyerlnode.dist.flags import HIDDEN_FLAGS
from pyerlnode.kernel.net_kernel import Settings


def test_what_is_printed_holds_no_cookie() -> None:
    settings = Settings(HIDDEN_FLAGS, "grandma", {}, cookies={"app@host": "grandpa"})
    assert "grandma" not in repr(settings)
    assert "grandpa" not in f"{settings}"
