"""Law: a callback that is a coroutine function is refused when its class is made, unless somebody awaits it."""

from functools import partialmethod, wraps
from typing import Any

import gevent
import pytest

from pyerlnode import aio
from pyerlnode.bridges.gen_stage import Consumer, Producer, ProducerConsumer
from pyerlnode.bridges.nx.serving import Serving
from pyerlnode.cluster.load.regulated import Regulated
from pyerlnode.cluster.sessions.session import Session
from pyerlnode.errors import UsageError
from pyerlnode.otp.application import Application
from pyerlnode.otp.dynamic_supervisor import DynamicSupervisor
from pyerlnode.otp.gen_event import EventHandler, GenEvent
from pyerlnode.otp.gen_fsm import GenFsm
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.gen_statem import GenStatem
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime.system import System
from pyerlnode.term import A

SERVER = {"init", "handle_call", "handle_cast", "handle_info", "handle_continue", "terminate"}
EVERY = {"code_change", "format_status"}
STATEM = {"init", "handle_event", "terminate", "locked", *EVERY}
HANDLER = {"init", "handle_event", "handle_call", "handle_info", "terminate"}
STAGE = {"handle_events", "handle_demand", "handle_subscribe", "handle_cancel"}
CALLBACKS: dict[type, set[str]] = {
    GenServer: SERVER | EVERY, GenStatem: STATEM, GenFsm: STATEM, EventHandler: HANDLER, GenEvent: EVERY,
    Supervisor: {"init"}, DynamicSupervisor: {"init"}, Application: {"start", "prep_stop", "stop"},
    Producer: SERVER | {"handle_demand"}, Consumer: SERVER | {"handle_events"}, ProducerConsumer: SERVER | STAGE,
    Serving: {"init", "terminate"}, Regulated: SERVER, Session: SERVER,
    aio.GenServer: EVERY, aio.GenStatem: EVERY,
}  # fmt: skip
ROWS = [(base, name) for base, names in CALLBACKS.items() for name in sorted(names)]
AIO: dict[Any, str] = {GenServer: "GenServer", GenStatem: "GenStatem", EventHandler: "EventHandler"}


async def callback(self: Any, kind: Any, content: Any) -> None:
    """Nothing."""


async def stream(self: Any, *args: Any) -> Any:
    yield 1


@pytest.mark.parametrize(("base", "name"), ROWS, ids=lambda part: getattr(part, "__name__", part))
def test_a_callback_that_nobody_would_await_is_refused_when_the_class_is_made(base: type, name: str) -> None:
    more = rf".*: a class with coroutines derives from pyerlnode\.aio\.{AIO[base]}$" if base in AIO else "$"
    for value in (callback, stream, staticmethod(callback), classmethod(callback), partialmethod(callback)):
        with pytest.raises(UsageError, match=rf"^Mine\.{name} is `async def`, and nothing here awaits it{more}"):
            type("Mine", (base,), {name: value, "__module__": "mine"})
    mixin = type("Mixin", (), {name: callback, "__module__": "mine"})
    with pytest.raises(UsageError, match=f"{name} is `async def`"):
        type("Mine", (mixin, base), {"__module__": "mine"})


@pytest.mark.parametrize("base", CALLBACKS, ids=lambda base: base.__name__)
def test_what_is_no_callback_may_be_a_coroutine(base: type) -> None:
    async def helper(self: Any) -> None:
        """Takes no event."""

    def plain(self: Any, *args: Any) -> None:
        """What a decorator has made of a coroutine."""

    values = {"helper": helper, "_helper": callback, "init": wraps(callback)(plain)}
    type("Mine", (base,), {**values, "__module__": "mine"})


def test_where_one_function_handles_all_states_no_other_is_one_for_a_state() -> None:
    names = {"callback_mode": A.handle_event_function, "helper": callback, "__module__": "mine"}
    type("Mine", (GenStatem,), names)
    with pytest.raises(UsageError, match="handle_event is `async def`"):
        type("Mine", (GenStatem,), {**names, "handle_event": callback})


@pytest.mark.parametrize("base", [aio.GenServer, aio.GenStatem, aio.EventHandler], ids=lambda base: base.__name__)
@pytest.mark.parametrize("value", [stream, staticmethod(callback)], ids=["generator", "static"])
def test_of_coroutines_plain_methods_alone_are_awaited(base: type, value: Any) -> None:
    for name in ("init", "terminate"):
        with pytest.raises(UsageError, match=rf"Mine\.{name} is `async def`"):
            type("Mine", (base,), {name: value, "__module__": "mine"})
    if base is aio.GenStatem:
        with pytest.raises(UsageError, match=r"Mine\.locked is `async def`"):
            type("Mine", (base,), {"locked": stream, "__module__": "mine"})


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_process_whose_function_is_a_coroutine_ends_by_an_error() -> None:
    async def body() -> None:
        """Never runs."""

    system = System("t@local", 7)
    try:
        me = system.adopt()
        process = system.spawn_function(body, (), {})
        system.monitor(me, process.pid)
        reason = me.receive(None, 30)[-1]
        assert reason[:2] == (A.python_error, b"pyerlnode.errors.UsageError")
        assert b"body is `async def`, and a process awaits nothing" in reason[2]
    finally:
        system.stop()
        gevent.sleep(0)
