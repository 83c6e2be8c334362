"""A node under a mixed load for minutes, while its peers are killed, stopped and frozen; run by hand.

    python benchmarks/soak.py 1200          # seconds

Three BEAMs: two are killed (SIGKILL), ended, or frozen (SIGSTOP for longer than the tick time) and started again every
few seconds, one stays. All of them call this node, and this node calls the two: small and large calls, casts in order,
processes linked and monitored across. Every call, link and monitor is counted when it begins and once more with its
outcome. Prints a line every 10 s and a summary; ends with status 1 when

- a call has no outcome, a wrong one, or a time-out, or a link or monitor was told never or twice;
- a cast came out of order;
- tables of processes, links, monitors or callers hold more at the end than at the start;
- memory after the first third and at the end differ by more than 10 % and 8 MB.
"""

import gc
import sys
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import gevent
from greenlet import greenlet

from pyerlnode import A, GenServer, Node, Reply, receive, spawn
from pyerlnode.errors import CallTimeout, ConnectError, Exit, NetworkError, NodeDown, NoProc
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.epmd import Epmd
from pyerlnode.testing.launch import local

COOKIE, NAME = "soak", "soak_py@127.0.0.1"
TICKTIME = 4
BIG = 4 * 1024 * 1024
EVERY = 10.0


class Desk(GenServer):
    """What the BEAMs call."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        del from_
        if request is A.mortal:
            # Not for ever: who asked may be killed before it has linked to it.
            return Reply(spawn(receive, A.finish, timeout=30.0, default=None))
        return Reply(request[1])


class Load:
    """The processes of this node that use the two peers that come and go."""

    def __init__(self, node: Node, peers: list[Beam]) -> None:
        self.node = node
        self.peers = peers
        self.counts: Counter[str] = Counter()
        self.stopped = False
        self.waits_for: dict[int, str] = {}

    def start(self) -> None:
        for number in range(8):
            self.node.spawn(self.repeat, self.small, number, 0.005)
        for number in range(2):
            self.node.spawn(self.repeat, self.big, number, 0.2)
            self.node.spawn(self.casts, number)
        for number in range(4):
            self.node.spawn(self.repeat, self.relation, number, 0.05)

    def peer(self, number: int) -> str:
        return self.peers[number % len(self.peers)].name

    def repeat(self, what: Any, number: int, pause: float) -> None:
        self.node.process_flag("trap_exit", True)
        turn = 0
        while not self.stopped:
            turn += 1
            what(self.peer(number + turn), turn)
            gevent.sleep(pause)

    def call(self, peer: str, request: Any) -> Any:
        """The answer, or None; counted either way."""
        self.counts["calls began"] += 1
        try:
            answer = self.node.call(("soak_desk", peer), request, timeout=20)
        except (NodeDown, NoProc, CallTimeout, ConnectError, NetworkError, Exit) as error:
            self.counts["call: " + type(error).__name__] += 1
            return None
        self.counts["call: answered"] += 1
        return answer

    def small(self, peer: str, turn: int) -> None:
        term = (turn, [peer, 1.5], {"a": turn})
        answer = self.call(peer, (A.echo, term))
        if answer is not None and answer[0] != turn:
            self.counts["wrong answers"] += 1

    def big(self, peer: str, turn: int) -> None:
        data = bytes((turn % 251,)) * BIG
        answer = self.call(peer, (A.echo, data))
        if answer is not None and answer != data:
            self.counts["wrong answers"] += 1

    def casts(self, number: int) -> None:
        turn = 0
        while not self.stopped:
            for _ in range(20):
                turn += 1
                try:
                    self.node.cast(("soak_desk", self.peer(number)), (number, turn))
                    self.counts["casts"] += 1
                except NetworkError:
                    self.counts["casts refused"] += 1
            gevent.sleep(0.02)
            if turn % 1000 == 0 and self.call(self.peer(number), A.disordered):
                self.counts["out of order"] += 1

    def relation(self, peer: str, turn: int) -> None:
        """Link to and monitor a process there; it ends by itself, or with its node. One EXIT and one DOWN."""
        pid = self.call(peer, A.mortal)
        if pid is None:
            return
        self.counts["relations began"] += 1
        ref = self.node.monitor(pid)
        self.node.link(pid)
        if turn % 4:  # each fourth one waits for its node to be killed, as long as that takes
            self.node.send(pid, A.finish)
        for kind in ("EXIT", "DOWN"):
            message = receive(lambda found, kind=kind: found[0] is A[kind], timeout=90.0, default=None)
            about = None if message is None else message[1]
            self.counts[f"{kind}: {'missing' if message is None else 'told'}"] += 1
            if about is not None and about != (pid if kind == "EXIT" else ref):
                self.counts["told of another"] += 1
        while receive(timeout=0, default=None) is not None:
            self.counts["told twice"] += 1


def disturb(peers: list[Beam], chance: Random, load: Load) -> None:
    """Kill, end or freeze a peer every few seconds, and start it again."""
    while not load.stopped:
        for peer in peers:
            gevent.sleep(chance.uniform(1.5, 3.5))
            if load.stopped:
                return
            how = chance.choice(("killed", "killed", "ended", "frozen"))
            load.counts[f"peers {how}"] += 1
            if how == "frozen":
                peer.suspend()
                gevent.sleep(TICKTIME * 1.5)
                peer.resume()
                continue
            if how == "ended":
                peer.stop()
            else:
                peer.kill9()
            peer.start()
            prepare(peer)


def prepare(peer: Beam) -> None:
    peer._loaded.clear()  # it is another life of the BEAM
    peer.load(Path(__file__).with_name("soak_driver.erl"))
    peer.eval("soak_driver:start(N, 4, B)", N=A[NAME], B=BIG)


def memory() -> float:
    """Resident megabytes of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def tables(node: Node) -> dict[str, int]:
    """How much the node remembers."""
    system = node.system
    remote = list(system.peers.values())
    return {
        "processes": len(node.system.processes),
        "links": sum(len(each.linked) for each in remote),
        "monitors": sum(len(each.monitors) for each in remote),
        "watchers": sum(len(each.watchers) for each in remote),
        "greenlets": sum(isinstance(thing, greenlet) and not thing.dead for thing in gc.get_objects()),
    }


def watch(node: Node, load: Load, seconds: float) -> list[float]:
    """Sleep and print; the memory every 10 s."""
    began, samples = monotonic(), []
    while (passed := monotonic() - began) < seconds:
        gevent.sleep(min(EVERY, seconds - passed))
        gc.collect()
        samples.append(memory())
        counts = load.counts
        print(
            f"{monotonic() - began:6.0f} s  {samples[-1]:6.1f} MB  {counts['calls began']:8d} calls "
            f"{counts['casts']:8d} casts {counts['relations began']:6d} relations  "
            f"{len(node.system.processes):4d} processes",
            flush=True,
        )
    return samples


def settle(node: Node, start: dict[str, int]) -> dict[str, int]:
    """The tables when all has ended, or after 40 s."""
    end = monotonic() + 40
    while monotonic() < end:
        gc.collect()
        now = tables(node)
        if all(now[what] <= start[what] for what in ("processes", "links", "monitors", "watchers")):
            break
        gevent.sleep(0.5)
    return tables(node)


def judge(counts: Counter[str], steady: dict[str, int], start: Any, end: Any, samples: list[float]) -> list[str]:
    """What does not hold."""
    wrong = []
    outcomes = sum(number for what, number in counts.items() if what.startswith("call: "))
    bad = [
        "call: CallTimeout", "wrong answers", "out of order", "told of another", "told twice",
        "EXIT: missing", "DOWN: missing",
    ]  # fmt: skip
    wrong += [f"{what}: {counts[what]}" for what in bad if counts[what]]
    if outcomes != counts["calls began"]:
        wrong.append(f"{counts['calls began']} calls began and {outcomes} have an outcome")
    told = {counts["relations began"], counts["EXIT: told"], counts["DOWN: told"]}
    if len(told) != 1:
        wrong.append(f"relations and what was told of them: {sorted(told)}")
    if steady.get("began") != steady.get("ok"):
        wrong.append(f"the BEAM that stays: {steady}")
    for what in ("processes", "links", "monitors", "watchers"):
        if end[what] > start[what]:
            wrong.append(f"{what}: {start[what]} at the start, {end[what]} at the end")
    early, late = samples[len(samples) // 3], samples[-1]
    if late > early * 1.1 and late > early + 8:
        wrong.append(f"memory: {early:.1f} MB after a third, {late:.1f} MB at the end")
    return wrong


def main(seconds: float) -> int:
    launcher = local()
    epmd = Epmd(launcher).start()
    args = ["-kernel", "net_ticktime", str(TICKTIME)]
    beams = [Beam(launcher, epmd, cookie=COOKIE, hidden=True, args=args) for _ in range(3)]
    try:
        with Node(NAME, cookie=COOKIE, epmd_port=epmd.port, ticktime=TICKTIME) as node:
            node.start(Desk, name="soak_desk")
            start = tables(node)
            for beam in beams:
                beam.start()
                prepare(beam)
            load = Load(node, beams[:2])
            load.start()
            trouble = gevent.spawn(disturb, beams[:2], Random(1), load)
            samples = watch(node, load, seconds)
            load.stopped = True
            trouble.join()
            for beam in beams:
                beam.eval("soak_driver:stop()")
            for beam in beams[:2]:  # those who wait for it
                gevent.sleep(1.0)
                beam.kill9()
            beams[2].wait_until("lists:member({began, element(2, hd(ets:lookup(soak, ok)))}, soak_driver:counts())", 25)
            steady = {name.name: number for name, number in beams[2].eval("soak_driver:counts()")}
            beams[2].stop()
            end = settle(node, start)
            print("made by Python:", *(f"  {what}: {number}" for what, number in sorted(load.counts.items())), sep="\n")
            print("made by the BEAM that stays:", steady)
            print("tables at the start:", start, "at the end:", end)
            print(f"memory: first {samples[0]:.1f}, least {min(samples):.1f}, most {max(samples):.1f} MB,", end=" ")
            print(f"after a third {samples[len(samples) // 3]:.1f}, last {samples[-1]:.1f}")
            wrong = judge(load.counts, steady, start, end, samples)
            print("holds" if not wrong else "\n".join(["DOES NOT HOLD", *wrong]))
            return bool(wrong)
    finally:
        for beam in beams:
            beam.stop()
        epmd.stop()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
