"""The middle of the chaos test's tree: a Python supervisor with a server here and two on the BEAM that owns it."""

import os
import sys

from interop_tests.servers import Desk
from pyerlnode import Node, Supervise, Supervisor, child_spec, remote_child, remote_server, run_until_stdin_closes


class Middle(Supervisor):
    def init(self) -> Supervise:
        beam = sys.argv[1]
        return Supervise(
            [
                child_spec(Desk, id="desk"),
                remote_server(beam, "Elixir.Stock", 1, name="leaf_one", id="one"),
                remote_child(beam, "Elixir.Stock", "start_link", [2], id="two"),
            ],
            max_restarts=1000,
        )


if __name__ == "__main__":
    with Node(os.environ["PYERLNODE_NODE"]) as node:
        node.export_server("Elixir.Middle", Middle)
        run_until_stdin_closes(grace=3.0)
