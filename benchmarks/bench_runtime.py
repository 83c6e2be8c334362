"""The runtime's figures: servers that idle, calls, casts, a ring, links, timers, selective receive.

    python benchmarks/bench_runtime.py [--quick] [--cpu] [NAME ...]

Each line has the figure, its unit and the goal of the project. `--cpu` counts the seconds of this process instead of
those of the wall, for a machine that does other work too. Beside it, in the same run: asyncio's and gevent's queues,
pykka and thespian when they are installed, and an Elixir GenServer (`beam`, on one scheduler, since Python has one
thread) when `elixir` is there. `--quick` is a tenth of everything.
"""

import argparse
import asyncio
import gc
import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent.queue import Queue

from pyerlnode import A, GenServer, Reply, receive, send
from pyerlnode.otp import gen, gen_server
from pyerlnode.runtime.api import make_ref
from pyerlnode.runtime.system import System

clock = time.perf_counter
SCALE = 1.0


class Echo(GenServer):
    def init(self):
        self.count = 0

    def handle_call(self, request, from_):  # noqa: ARG002  # the callback's shape
        return Reply(request)

    def handle_cast(self, request):  # noqa: ARG002
        self.count += 1


def report(what: str, value: float, unit: str, goal: str = "") -> None:
    print(f"{what:<58} {value:>14,.1f} {unit:<9} {goal}", flush=True)


def timed(job: Callable[[], object]) -> float:
    gc.collect()
    began = clock()
    job()
    return clock() - began


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def count(number: int) -> int:
    return max(1, int(number * SCALE))


def idle_servers() -> None:
    system = System("bench@local", 1)
    number = count(1_000_000)
    gc.collect()
    gc.freeze()  # as a program with a million objects does; a full collection would walk all of them again and again
    before = resident_mb()
    pids = []
    seconds = timed(lambda: pids.extend(gen_server.start(system, Echo) for _ in range(number)))
    report(f"{number:,} idle GenServers: started", number / seconds, "/s", ">= 150,000")
    report(f"{number:,} idle GenServers: memory", (resident_mb() - before) / number * 1e6, "bytes", "<= 1,600 each")

    def stop() -> None:
        for pid in pids:
            system.exit(pid, A.shutdown)

    report(f"{number:,} idle GenServers: ended by a signal", number / timed(stop), "/s", ">= 150,000")
    pids[:] = [gen_server.start(system, Echo) for _ in range(number // 10)]
    gc.freeze()

    def terminate() -> None:
        for pid in pids:
            system.send(pid, (A.system, (system.root.pid, system.new_ref()), (A.terminate, A.shutdown)))
        gevent.sleep(0)
        while len(system.processes) > 1:
            gevent.sleep(0)

    report(
        f"{len(pids):,} idle GenServers: stopped in order (terminate)", len(pids) / timed(terminate), "/s", ">= 150,000"
    )
    pids[:] = [gen_server.start(system, Echo) for _ in range(number // 10)]

    def stop_each() -> None:
        for pid in pids:
            gen.stop(system, pid)

    report(f"{len(pids):,} idle GenServers: gen.stop, one by one", len(pids) / timed(stop_each), "/s", ">= 150,000")
    system.stop()


def bare_greenlets() -> None:
    number = count(50_000)
    before = resident_mb()
    queues = [Queue() for _ in range(number)]
    bare = [gevent.spawn(queue.get) for queue in queues]
    gevent.sleep(0)
    report(f"{number:,} gevent greenlets with a queue", (resident_mb() - before) / number * 1e6, "bytes")
    gevent.killall(bare)


def parked_functions() -> None:
    number = count(50_000)
    system = System("bench@local", 1)
    before = resident_mb()
    for _ in range(number):
        system.spawn(receive)
    while any(not process.parked for process in system.processes.values()):
        gevent.sleep(0)
    report(f"{number:,} parked function bodies", (resident_mb() - before) / number * 1e6, "bytes", "<= 1.15 of those")
    system.stop()
    gevent.sleep(0)


def calls() -> None:  # noqa: C901  # one scenario behind the other
    system = System("bench@local", 1)
    pid = gen_server.start(system, Echo)
    number = count(200_000)

    def one() -> None:
        for _ in range(number):
            gen.call(system, pid, 1)

    report("calls, one caller", number / timed(one), "/s", ">= 100,000")
    servers = [gen_server.start(system, Echo) for _ in range(1000)]

    def caller(first: int) -> None:
        mine = servers[first * 10 : first * 10 + 10]
        for _ in range(number // 1000):
            for server in mine:
                gen.call(system, server, 1)

    def hundred() -> None:
        me = system.adopt()
        for pid in [system.spawn(caller, first) for first in range(100)]:
            system.monitor(me, pid)
        for _ in range(100):
            receive()

    report("calls, 100 callers over 1,000 servers", number / timed(hundred), "/s", ">= 350,000")

    def casts() -> None:
        for _ in range(number):
            gen.cast(system, pid, 1)
        gen.call(system, pid, 1)

    report("casts", number / timed(casts), "/s", ">= 500,000")
    for n in range(count(100_000)):
        system.send(system.adopt().pid, n)
    report("calls with 100,000 messages in the caller's mailbox", number / timed(one), "/s", "as with none")
    system.stop()


def ring() -> None:
    system = System("bench@local", 1)
    rounds = count(1000)

    def member() -> None:
        following = receive()
        while (left := receive()) >= 0:
            send(following, left - 1)
        send(following, left)

    def run() -> None:
        members = [system.spawn(member) for _ in range(1000)]
        for number, pid in enumerate(members):
            system.send(pid, members[(number + 1) % 1000])
        system.send(members[0], rounds * 1000)
        while len(system.processes) > 1:
            gevent.sleep(0)

    report(f"ring of 1,000 processes, {rounds:,} rounds", rounds * 1000 / timed(run), "hops/s", ">= 300,000")
    system.stop()


def links() -> None:
    system = System("bench@local", 1)
    number = count(100_000)
    centre = system.spawn_function(receive, (), {})
    for _ in range(number):
        system.spawn_handler(Echo(), link=centre)
    seconds = timed(lambda: system.exit(centre.pid, A.boom))
    assert len(system.processes) == 1
    report(f"{number:,} links to one process that dies", seconds * 1000, "ms", "<= 1,000")
    system.stop()


def timers() -> None:
    system = System("bench@local", 1)
    number = count(100_000)
    fired: list[int] = []

    def run() -> None:
        for n in range(number):
            system.timers.start(0.1 + n % 100 / 1000, fired.append, n)
        while len(fired) < number:
            gevent.sleep(0.001)

    report(f"{number:,} timers set and fired", timed(run) * 1000, "ms", "<= 1,500")
    late: list[float] = []
    for n in range(50):
        due = time.monotonic() + n / 500
        system.timers.start(n / 500, lambda due=due: late.append(time.monotonic() - due))
    gevent.sleep(0.2)
    report("the latest of 50 timers in an idle system", max(late) * 1000, "ms late", "<= 5")
    system.stop()


def selective_receive() -> None:
    system = System("bench@local", 1)
    me = system.adopt()
    for n in range(count(1_000_000)):
        system.send(me.pid, n)
    system.send(me.pid, A.last)
    seconds = timed(lambda: receive(A.last))
    report("selective receive of the last of 1,000,000 messages", seconds * 1000, "ms", "<= 200")
    system.stop()
    for exponent in range(1, 7):
        mailbox(count(10**exponent))


def mailbox(unmatched: int) -> None:
    """What an arrival costs that is received selectively, with so many messages before it that do not match."""
    arrivals = count(10_000)
    for what in ("the same pattern", "two patterns in turns", "a new reference", "half of all, in the middle"):
        system = System("bench@local", 1)
        me = system.adopt()
        for n in range(unmatched):
            system.send(me.pid, n)
        if what == "half of all, in the middle":
            arrivals = min(unmatched, arrivals)
            for n in range(unmatched):
                system.send(me.pid, (A.answer, n))

        def run(what: str = what, system: System = system, arrivals: int = arrivals) -> None:
            me = system.adopt()
            for n in range(arrivals):
                if what == "a new reference":
                    ref = make_ref()
                    system.send(me.pid, (A.answer, ref))
                    receive((A.answer, ref))
                elif what == "half of all, in the middle":
                    receive((A.answer, int))
                else:
                    name = A.other if n % 2 and what != "the same pattern" else A.answer
                    system.send(me.pid, (name, n))
                    receive((name, int))

        if what != "half of all, in the middle":
            receive((A.answer, int), 0, None)
            receive((A.other, int), 0, None)
        report(f"{unmatched:,} unmatched, {what}", timed(run) / arrivals * 1e6, "µs each", "constant")
        system.stop()


def peers() -> None:  # noqa: C901  # one peer behind the other
    number = count(200_000)

    async def asyncio_calls() -> None:
        inbox: asyncio.Queue = asyncio.Queue()

        async def server() -> None:
            while True:
                value, answer = await inbox.get()
                answer.set_result(value)

        task = asyncio.create_task(server())
        for _ in range(number // 10):
            answer = asyncio.get_running_loop().create_future()
            inbox.put_nowait((1, answer))
            await answer
        task.cancel()

    report("asyncio: queue and future, one caller", number // 10 / timed(lambda: asyncio.run(asyncio_calls())), "/s")

    def gevent_calls() -> None:
        inbox, outbox = Queue(), Queue()

        def server() -> None:
            while True:
                outbox.put(inbox.get())

        job = gevent.spawn(server)
        for _ in range(number // 10):
            inbox.put(1)
            outbox.get()
        job.kill()

    report("gevent: two queues, one caller", number // 10 / timed(gevent_calls), "/s")
    if importlib.util.find_spec("pykka"):
        pykka_calls(number // 50)
    if importlib.util.find_spec("thespian"):
        thespian_calls(number // 50)


def pykka_calls(number: int) -> None:
    import pykka

    class Actor(pykka.ThreadingActor):
        def on_receive(self, message: object) -> object:
            return message

    actor = Actor.start()
    report("pykka: ask, one caller", number / timed(lambda: [actor.ask(1) for _ in range(number)]), "/s")
    actor.stop()


def thespian_calls(number: int) -> None:
    from thespian.actors import Actor, ActorSystem

    class Answers(Actor):
        def receiveMessage(self, message: object, sender: object) -> None:  # noqa: N802  # thespian's name
            self.send(sender, message)

    actors = ActorSystem("simpleSystemBase")
    actor = actors.createActor(Answers)
    job = timed(lambda: [actors.ask(actor, 1) for _ in range(number)])
    report("thespian (in one process): ask, one caller", number / job, "/s")
    actors.shutdown()


def beam() -> None:
    if shutil.which("elixir") is None:
        return
    script = str(Path(__file__).with_name("runtime_peer.exs"))
    command = ["elixir", "--erl", "+S 1:1", script, str(SCALE)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in ran.stdout.splitlines():
        what, value = line.split("\t")
        report(f"Elixir: {what}", float(value), "/s")


BENCHES = (calls, ring, links, timers, selective_receive, peers, beam, bare_greenlets, parked_functions, idle_servers)


def main() -> None:
    global clock, SCALE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(bench.__name__ for bench in BENCHES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    SCALE = 0.1 if options.quick else 1.0
    chosen = [bench for bench in BENCHES if not options.names or bench.__name__ in options.names]
    if len(chosen) == 1:
        chosen[0]()
        return
    flags = [flag for flag in ("--quick", "--cpu") if getattr(options, flag[2:])]
    for bench in chosen:  # each in an OS process of its own: memory that one has freed would serve the next
        subprocess.run([sys.executable, __file__, bench.__name__, *flags], check=True)


if __name__ == "__main__":
    main()
