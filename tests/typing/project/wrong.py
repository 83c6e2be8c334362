"""What a checker is to refuse: each line that it must report ends with what mypy calls the fault."""

from pyerlnode import GenServer, Ignore, Node, Pid


class Sometimes(GenServer):
    def init(self) -> Ignore | None:
        return Ignore()


def wrong(node: Node) -> Pid:
    node.start("Counter")  # call-overload
    names: list[int] = node.nodes()  # assignment
    node.pong("app@host")  # attr-defined
    return node.start(Sometimes)  # return-value
