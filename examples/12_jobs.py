"""Jobs as with Celery: Elixir enqueues them, OS processes of Python do them, results go back; each at least once.

The queue is `Jobs` in `app.exs`. A taker asks it for a job, has a pool of workers do it, and reports. What a taker had
when its node was lost, and what crashed its worker, the queue hands out again, three times at most: a job may run
twice, so it should not mind.

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    ten jobs: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
    one that kills its OS process at first: (A.ok, b'done at attempt 2')
    one that always does: (A.error, (A.os_signal, A.sigkill))
"""

import os
import sys
from typing import Any

from pyerlnode import A, Node, ServerExit
from pyerlnode.workers.pool import WorkerPool

APP = sys.argv[1] if len(sys.argv) > 1 else "app@127.0.0.1"
JOBS = ("jobs", APP)


def work(job: Any) -> Any:
    """What the OS processes run: they import this file, so what starts the node stands below."""
    match job:
        case (A.square, n), _:
            return n * n
        case A.stubborn, _:
            os.kill(os.getpid(), 9)
        case A.clumsy, 1:
            os.kill(os.getpid(), 9)
        case A.clumsy, attempt:
            return f"done at attempt {attempt}"
    raise ValueError(f"there is no job {job!r}")


def take_jobs(node: Node, pool: Any) -> None:
    """One of several takers, a process: as many jobs are under way as there are takers."""
    while True:
        id, attempt, job = node.call(JOBS, A.take, timeout=None)
        try:
            outcome = A.ok, node.call(pool, (job, attempt), timeout=60.0)
        except ServerExit as ended:
            outcome = A.error, ended.reason[0]
        node.call(JOBS, (A.done, id, outcome))


def main() -> None:
    with Node(cookie="secret") as node:
        pool = node.start(WorkerPool, "12_jobs:work", size=2, spares=1)
        for _ in range(3):
            node.spawn(take_jobs, node, pool)

        def jobs(function: str, argument: Any) -> Any:
            return node.rpc(APP, "Elixir.Jobs", function, [argument], timeout=60.0)

        ids = [jobs("push", (A.square, n)) for n in range(10)]
        print("ten jobs:", [jobs("await", id)[1] for id in ids])
        print("one that kills its OS process at first:", jobs("await", jobs("push", A.clumsy)))
        print("one that always does:", jobs("await", jobs("push", A.stubborn)))


if __name__ == "__main__":
    main()
