"""Two nodes of one program, connected over loopback without an EPMD, and what the kernel of the one does for the other.

`Asked` asks each service by way of the other node, so it is what a peer gets that is asked for.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyerlnode import A, Node
from pyerlnode.kernel.io import device
from pyerlnode.otp import gen
from pyerlnode.runtime.names import Global
from pyerlnode.testing.waiting import wait_for

SOON = 30.0


@contextmanager
def two_nodes(**options: Any) -> Iterator[tuple[Any, Any]]:
    """(one, other): visible unless told otherwise, each with a scope of `pg` and a `logger_proxy`."""
    ports: dict[str, tuple[str, int]] = {}
    settings = {"cookie": "secret", "epmd": "none", "addresses": ports, "hidden": False, **options}
    with Node("one@127.0.0.1", **settings) as one, Node("other@127.0.0.1", **settings) as other:
        for node in (one, other):
            ports[node.name] = ("127.0.0.1", node.port)
            node.export("m", lambda term: term, name="echo")
            node.pg.start()
            node.receive_logs("test.erlang")
        assert other.ping(one.name)
        yield one, other


class Asked:
    """Asks the node `one` for each of its services, from `other`.

    `output` gives what the program has printed since it was last asked.
    """

    def __init__(self, one: Any, other: Any, output: Callable[[], str]) -> None:
        self.one = one
        self.other = other
        self.output = output
        self.records: list[str] = []
        self._count = 0

    def __enter__(self) -> "Asked":
        self._log = logging.getLogger("test.erlang")
        self._handler = logging.Handler()
        self._handler.emit = lambda record: self.records.append(record.getMessage())  # type: ignore[method-assign]
        self._log.addHandler(self._handler)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self._handler)

    def all(self) -> None:
        for name in ("net_kernel", "rex", "erpc", "user", "pg", "logger_proxy", "global_name_server"):
            if name != "global_name_server" or self.one.whereis(name) is not None:
                self.ask(name)

    def ask(self, name: str) -> None:
        self._count += 1
        getattr(self, name)(self._count)

    def net_kernel(self, _number: int) -> None:
        assert self.other.ping(self.one.name)

    def rex(self, number: int) -> None:
        request = (A.call, A.m, A.echo, [number], A.user)
        assert gen.call(self.other.system, ("rex", A[self.one.name]), request, SOON) == number

    def erpc(self, number: int) -> None:
        assert self.other.rpc(self.one.name, "m", "echo", [number], SOON) == number

    def user(self, number: int) -> None:
        user = ("user", A[self.one.name])
        assert device.request(self.other.system, user, (A.put_chars, A.unicode, f"<{number}>".encode()), SOON) is A.ok
        assert f"<{number}>" in self.output()

    def logger_proxy(self, number: int) -> None:
        self.other.send(("logger_proxy", self.one.name), (A.log, A.error, f"event {number}".encode(), {}))
        wait_for(lambda: any(f"event {number}" in text for text in self.records), SOON)

    def pg(self, number: int) -> None:
        group = (A.asked, number)
        pid = self.one.spawn(lambda: self.one.receive())
        self.one.pg.join(group, pid)
        wait_for(lambda: self.other.pg.get_members(group) == [pid], SOON)
        self.one.send(pid, A.end)
        wait_for(lambda: self.other.pg.get_members(group) == [], SOON)

    def global_name_server(self, number: int) -> None:
        name = Global((A.asked, number))
        pid = self.one.spawn(lambda: self.one.receive())
        assert self.one.system.global_names.register_name(name.name, pid)
        wait_for(lambda: self.other.whereis(name) == pid, SOON)
        self.one.send(pid, A.end)
        wait_for(lambda: self.other.whereis(name) is None, SOON)
