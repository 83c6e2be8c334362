"""The middle of the chaos test's tree: a Python supervisor with a server here and two on the BEAM that owns it."""

import logging
import os
import sys

from interop_tests.servers import Desk
from pyerlnode import (
    A,
    ConnectError,
    Node,
    Supervise,
    Supervisor,
    child_spec,
    remote_child,
    remote_server,
    run_until_stdin_closes,
)


class Reports(logging.Handler):
    """Tells the BEAM of each child that was killed."""

    def emit(self, record: logging.LogRecord) -> None:
        report = getattr(record, "erlang", {}).get("report", {})
        if report.get("errorContext") is A.child_terminated and report["reason"] is A.killed:
            child = dict(report["offender"])[A.id]
            try:
                node.send(("Elixir.ChaosCounts", sys.argv[1]), (A.terminated, A.middle, child, report["reason"]))
            except ConnectError:
                pass  # the kill that is counted was that of the connection


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
        logging.getLogger("pyerlnode.supervisor").addHandler(Reports())
        node.export_server("Elixir.Middle", Middle)
        run_until_stdin_closes(grace=3.0)
