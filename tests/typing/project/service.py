"""A service of a user, as a type checker sees it from outside: `test_typing` has mypy and pyright read it, strictly."""

from typing import Any

from pyerlnode import A, Atom, GenServer, Ignore, Node, NoReply, Pid, Reply, Supervisor, connect


class Counter(GenServer):
    def init(self, start: int = 0) -> None:
        self.value = start

    def handle_call(self, request: Any, from_: tuple[Pid, Any]) -> Reply | NoReply:
        match request:
            case (A.add, int(number)):
                self.value += number
                return Reply(self.value)
            case _:
                return Reply(A.unknown)

    def handle_info(self, message: Any) -> None:
        self.value = 0


class Sometimes(GenServer):
    def init(self, wanted: bool) -> Ignore | None:
        return None if wanted else Ignore()


class Shop(Supervisor):
    def init(self) -> list[Any]:
        return [(Counter, 1)]


def serve(node: Node) -> Pid:
    pid: Pid = node.start(Counter, 41, name="counter")  # its init ignores nothing: it is a pid
    tree: Pid = node.start_link(Shop)
    maybe: Pid | None = node.start(Sometimes, False)
    if maybe is None:
        return tree
    return pid


def names(node: Node) -> list[str]:
    return [name for name in node.nodes() if node.ping(name)]


def ask(name: str) -> Atom:
    with connect(name, cookie="secret") as cluster:
        pid: Pid = cluster.start(Counter)
        cluster.send(pid, A.reset)
        return A[name]
