"""Instructions that operations take in two checkouts: what a change did, on a busy machine too.

    python benchmarks/instructions.py OLD NEW [NAME ...]

OLD and NEW are checkouts, each with its codec built; both run this file's operations, and each needs its own
``.venv/bin/python`` (``--python``). It is `valgrind` that counts, by its tool callgrind, which must be installed: the
program calls ``getppid`` before and behind each operation, and callgrind writes down there what it has counted. A
line has the instructions of one operation in both and their ratio: above 1, NEW takes more. The clock goes on by a
microsecond with each look, so it does not matter how busy the machine is; what differs from run to run, by about a
hundredth, are the addresses by which Python's tables are ordered. What instructions do not tell: cache misses, what the
kernel does, and what a large copy costs, whose every byte counts here; `compare.py` measures time. Ends with status 1
when a ratio is above ``--at-most``.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count as count_from
from pathlib import Path
from typing import Any

Operation = Callable[[], Any]
WARM = 200
COUNTED = 200


def operations() -> Iterator[tuple[str, Operation]]:
    """Each operation and its name, made when its turn has come; every one finds things as it leaves them."""
    yield from of_servers()
    yield from of_mailboxes()
    yield from of_processes()
    yield from of_terms()
    yield from of_nodes()


def of_servers() -> Iterator[tuple[str, Operation]]:
    from pyerlnode import A, GenServer, Reply
    from pyerlnode.otp import gen, gen_server
    from pyerlnode.otp.child_spec import child_spec
    from pyerlnode.otp.supervisor import Supervisor
    from pyerlnode.runtime.system import System

    class Echo(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
            return Reply(request)

        def handle_cast(self, request: Any) -> None:
            pass

    system = System("bench@local", 1)
    kept: list[Any] = []
    yield "start of a server", lambda: kept.append(gen_server.start(system, Echo))
    me = system.adopt()
    yield "start of a server, by a process", lambda: kept.append(gen_server.start(system, Echo))
    yield "start of a linked server", lambda: kept.append(gen_server.start(system, Echo, link=me))
    yield "gen.stop of a server", lambda: gen.stop(system, kept.pop())
    pid = gen_server.start(system, Echo)
    yield "call", lambda: gen.call(system, pid, 1)

    def casts() -> None:
        for _ in range(100):
            gen.cast(system, pid, 1)
        gen.call(system, pid, 1)

    yield "a hundred casts and a call", casts
    me.trap_exit = True
    sup = Supervisor.start_link([], max_restarts=10**9, max_seconds=1, on=system)
    children = iter(range(10**9))
    started: list[Any] = []

    def start_child() -> None:
        started.append(Supervisor.start_child(sup, child_spec(Echo, id=next(children)), on=system))

    def kill() -> None:
        system.exit(started.pop(), A.kill)
        gen.call(system, sup, (A.get_childspec, 0), None)

    yield "start of a supervised server", start_child
    yield "kill and restart of a supervised server", kill


def of_mailboxes() -> Iterator[tuple[str, Operation]]:
    from pyerlnode import A, receive
    from pyerlnode.runtime import api
    from pyerlnode.runtime.system import System

    system = System("bench@local", 1)
    me = system.adopt()
    pid = me.pid
    make_ref = getattr(api, "make_ref", system.new_ref)

    def plain() -> None:
        system.send(pid, 1)
        system.send(pid, 2)
        receive()
        receive()

    yield "two messages, sent and received", plain
    for n in range(10):
        system.send(pid, n)

    def one_pattern() -> None:
        system.send(pid, (A.answer, 1))
        receive((A.answer, int))

    def two_patterns() -> None:
        one_pattern()
        system.send(pid, (A.other, 1))
        receive((A.other, int))

    def reference() -> None:
        ref = make_ref()
        system.send(pid, (A.answer, ref))
        receive((A.answer, ref))

    yield "receive by a pattern behind ten others", one_pattern
    yield "receive by two patterns in turns", two_patterns
    yield "receive by a new reference", reference


def of_processes() -> Iterator[tuple[str, Operation]]:
    import gevent

    from pyerlnode import A, receive, send
    from pyerlnode.runtime.system import System

    system = System("bench@local", 1)
    me = system.adopt()

    def ended() -> None:
        system.monitor(me, system.spawn(lambda: None))
        receive()

    yield "a function body, spawned, monitored and ended", ended

    def link() -> None:
        process = system.spawn_function(receive, (), {}, link=me)
        me.trap_exit = True
        system.exit(process.pid, A.boom)
        receive()

    yield "a linked function body, ended by a signal", link

    def member() -> None:
        following = receive()
        while (left := receive()) >= 0:
            send(following, left - 1)
        send(following, left)

    def hops() -> None:
        members = [system.spawn(member) for _ in range(10)]
        for number, pid in enumerate(members):
            system.send(pid, members[(number + 1) % 10])
        system.send(members[0], 50)
        while any(process is not me and process is not system.root for process in system.processes.values()):
            gevent.sleep(0)

    yield "a ring of ten, fifty hops", hops

    def timer() -> None:
        system.timers.start(100.0, me.deliver, 1).cancel()

    yield "a timer, set and cancelled", timer


def of_terms() -> Iterator[tuple[str, Operation]]:
    from pyerlnode import A, decode, encode
    from pyerlnode.term import ImproperList, Pid, Reference

    node = A["app@127.0.0.1"]
    alias = Reference(node, 1_700_000_000, (123_456, 234_567, 345_678, 456, 99))
    pid = Pid(node, 123, 0, 1_700_000_000)
    nest: Any = ()
    for i in range(75):
        nest = [(i, i), (A.node, [nest, A.leaf])]
    terms = {
        "a call": (A["$gen_call"], (pid, ImproperList((A.alias,), alias)), (A.get, b"sku-1", 1)),
        "a deep nest": nest,
        "100 integers": list(range(0, 100_000, 1_000)),
        "20 maps": [{A.id: i, A.name: b"item", A.price: i * 1.25, A.tags: [A.new, A.sale]} for i in range(20)],
    }
    for name, term in terms.items():
        data = encode(term)
        yield f"encode of {name}", lambda term=term: encode(term)
        yield f"decode of {name}", lambda data=data: decode(data)


def of_nodes() -> Iterator[tuple[str, Operation]]:
    from pyerlnode import A, GenServer, Reply
    from pyerlnode.testing.pair import NodePair

    class Echo(GenServer):
        def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
            return Reply(request)

    pair = NodePair()
    pid = pair.right.start(Echo)
    yield "a call to another node (in memory)", lambda: pair.left.call(pid, (A.get, b"sku-1", 1))
    local = pair.left.start(Echo)
    yield "the same to its own node", lambda: pair.left.call(local, (A.get, b"sku-1", 1))


# --- counting ------------------------------------------------------------------------------------
def run(names: list[str]) -> None:
    """In the checkout, under callgrind: every operation between two marks, whose names are printed in their order."""
    logging.disable(logging.CRITICAL)
    time.monotonic = count_from(0.0, 1e-6).__next__  # under callgrind all is slow, and every slice would be over
    os.getppid()
    from pyerlnode import Node  # noqa: F401  # its import is the first operation

    os.getppid()
    print("import of Node\t1")
    gc.disable()
    for name, operation in operations():
        if names and not any(word in name for word in names):
            continue
        for _ in range(WARM):
            operation()
        os.getppid()
        for _ in range(COUNTED):
            operation()
        os.getppid()
        print(f"{name}\t{COUNTED}")
    sys.stdout.flush()
    os._exit(0)  # what the operations have left is ended by the kernel


def count(checkout: Path, python: str, names: list[str]) -> dict[str, float]:
    """Instructions of each operation in `checkout`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        command = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={out}"]
        command += [str(checkout / python), __file__, "--run", ".", ".", *names]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        found = {}
        for index, line in enumerate(done.stdout.splitlines()):
            name, times = line.split("\t")
            # Part 1 ends with the first mark; every second one is of an operation, and the others of what is between.
            totals = re.search(r"^totals: (\d+)", Path(f"{out}.{2 * index + 2}").read_text(), re.MULTILINE)
            assert totals is not None
            found[name] = int(totals[1]) / int(times)
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--python", default=".venv/bin/python")
    parser.add_argument("--at-most", type=float, default=float("inf"), metavar="RATIO")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a word of the operations' names")
    options = parser.parse_args()
    if options.run:
        run(options.names)
    old, new = (count(getattr(options, side).resolve(), options.python, options.names) for side in ("old", "new"))
    print(f"{'instructions of':<50} {'OLD':>12} {'NEW':>12}  NEW / OLD")
    for name, now in new.items():
        print(f"{name:<50} {old[name]:>12,.0f} {now:>12,.0f}  {now / old[name]:9.3f}")
    return int(max(now / old[name] for name, now in new.items()) > options.at_most)


if __name__ == "__main__":
    sys.exit(main())
