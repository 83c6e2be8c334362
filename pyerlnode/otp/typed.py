"""Typed handlers: an annotation on a handler's first argument decodes the request before the handler sees it.

    @atom_map
    @dataclass
    class Order:
        sku: str
        count: int

    class Shop(GenServer):
        def handle_cast(self, order: Order): ...

A request that is not of the type kills nobody: a caller is answered ``{error, {bad_request, Text}}``, a cast or a plain
message is logged and dropped. The types are those of `pyerlnode.schema.decode_as`. A handler without an annotation, or
with `Any`, is left as it is and costs nothing.
"""

from __future__ import annotations

import functools
import logging
import typing
from collections.abc import Callable
from typing import Any, Final

from pyerlnode.errors import PyerlnodeError
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.term.atom import A

log = logging.getLogger("pyerlnode.gen_server")

UNTYPED: Final = (Any, object, "Any", "typing.Any", "object")


def _decode_as(request: Any, wanted: Any) -> Any:
    from pyerlnode.schema import decode_as  # a program without typed handlers does not load the decoders

    return decode_as(request, wanted)


def check_handlers(cls: type, names: tuple[str, ...]) -> None:
    """Put a decoder in front of each handler that `cls` itself defines with an annotated first argument."""
    for name in names:
        handler = cls.__dict__.get(name)
        code = getattr(handler, "__code__", None)
        if handler is None or code is None or code.co_argcount < 2:
            continue
        argument = code.co_varnames[1]
        if handler.__annotations__.get(argument, Any) not in UNTYPED:
            setattr(cls, name, _typed(handler, argument, calls=name == "handle_call"))


def _typed(handler: Callable[..., Any], argument: str, *, calls: bool) -> Callable[..., Any]:
    @functools.cache
    def wanted() -> Any:
        # At the first request: an annotation may name a class that is defined below the server's.
        return typing.get_type_hints(handler)[argument]

    @functools.wraps(handler)
    def decoded(self: Any, request: Any, *rest: Any) -> Any:
        try:
            value = _decode_as(request, wanted())
        except (PyerlnodeError, ValueError, TypeError) as error:
            if calls:
                return Reply((A.error, (A.bad_request, str(error))))
            # Without the text of the error: it may show what was in the message.
            text = "%s %s dropped a message: %s takes %s"
            log.warning(
                text, type(self).__name__, self.process.pid, handler.__name__, handler.__annotations__[argument]
            )
            return NoReply()
        return handler(self, value, *rest)

    decoded.__decoder__ = lambda request: _decode_as(request, wanted())  # type: ignore[attr-defined]
    return decoded
