"""A replica of a `Phoenix.Tracker`: one of the nodes that know a cluster's presences and tell each other.

Reference: `tracker_core`, `tracker_wire_core`. A process for each shard is what a shard of the BEAM is to the others:

- It is subscribed to its topic of the tracker's PubSub. It tells what has changed, `every` seconds after the first
  change at the latest, and that it is there, after `max_silent_periods` of nothing. Who says nothing for `down_period`
  is down, his presences are hidden; after `permdown_period`, or when he says that he ends, they are dropped.
- Who knows more than we do is asked for it. Trackers of the BEAM find each other by their heartbeats, which takes 15
  seconds and more when nothing changes; this one makes itself known to each node that comes, with all that is its
  own, and asks that node's shard who it is and for what it knows. Then both know all, milliseconds after they met.
- A question for what is missing is answered with the whole state, as a BEAM's shard does whose deltas are too old.
- What is tracked here outlives a shard that ends: the next one tracks it again.
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from pyerlnode.bridges.phoenix import presence_core, tracker_core, tracker_wire_core
from pyerlnode.bridges.phoenix.pubsub import PubSub
from pyerlnode.bridges.phoenix.pubsub_core import SCOPE, Topics, concat
from pyerlnode.bridges.phoenix.tracker_core import DOWN, UP, Clocks, Other, Ref, State, Value, place
from pyerlnode.bridges.phoenix.tracker_wire_core import Answer, Config, Ended, Heartbeat, Request
from pyerlnode.errors import AlreadyStarted, ConnectError, Exit
from pyerlnode.otp import gen
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.host import Host
from pyerlnode.otp.results import NoReply, Reply
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.otp.where import started
from pyerlnode.runtime.handler import behaviour_of
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.exact import Key
from pyerlnode.term.phash2 import phash2
from pyerlnode.term.pid import Pid, Reference

log = logging.getLogger("pyerlnode.phoenix")

ATTACH: Final = 0.05
"""Seconds between two looks for a PubSub, when the one that was used has ended."""


class Shard(GenServer):
    """The presences of the topics that fall to one number, and who watches them."""

    def init(self, tracker: Tracker, number: int) -> None:
        self.process.trap_exit = True
        self.tracker = tracker
        self.config = tracker.config
        self.name = tracker.shards[number]
        self.topic = f"phx_presence:{self.name}"
        self.ref: Ref = (self.process.system.node, secrets.randbits(50))
        self.state = State(self.ref)
        self.replicas = tracker_core.Replicas(self.config.down_period, self.config.permdown_period)
        self.pending: Clocks = []
        self.samples = self.config.clock_sample_periods
        self.silent = self.config.max_silent_periods
        self.armed = False
        self.monitors: dict[Pid, Reference] = {}
        self.places: dict[Pid, set[Key]] = {}
        self.attached: Reference | None = None
        self.members: Reference | None = None
        self.topics = Topics()
        self.asked: dict[tuple[int, ...], Atom] = {}
        self.synced: set[Atom] = set()
        self.waiting: list[tuple[Atom, Any, float]] = []
        self.kept = tracker.kept[number]
        for value in list(self.kept.values()):
            self._put(value)
        self._attach()
        self._tick()

    # --- the PubSub ----------------------------------------------------------------------------
    def _attach(self) -> None:
        """Hear what is said under our topic, and know of nodes that come."""
        system, host = self.process.system, self.tracker.host
        pubsub = PubSub.of(host, self.config.pubsub)
        if pubsub is None:
            try:
                pubsub = PubSub(host, self.config.pubsub, lent=True)
            except AlreadyStarted:  # it is being started just now
                self.process.system.send_after(ATTACH, self.pid, A.attach)
                self.pubsub: PubSub | None = None
                return
        if self.members is not None:
            host.pg.demonitor(self.members, scope=SCOPE.name)
        self.pubsub = pubsub
        self.attached = system.monitor(self.process, pubsub.supervisor)
        pubsub.subscribe(self.topic)
        self.members, there = host.pg.monitor(pubsub.groups[0], scope=SCOPE.name)
        self._meet(there)

    def _meet(self, workers: Iterable[Pid]) -> None:
        for node in {pid.node for pid in workers if pid.node is not self.process.system.node}:
            self._greet(node, ask=True)

    def _greet(self, node: Atom, *, ask: bool) -> None:
        """Make ourselves known to a node, with what is ours; `ask` it who it is."""
        system = self.process.system
        self._direct(node, tracker_wire_core.heartbeat(self.ref, None, self.state.clocks()))
        own = self.state.extract([self.ref])
        if own.context[self.ref]:
            self._direct(node, tracker_wire_core.transfer_ack(system.new_ref(), self.ref, own))
        if ask and system.is_connected(node):
            self.asked = {words: name for words, name in self.asked.items() if name is not node}
            ref = system.new_ref()
            self.asked[ref.words] = node
            with suppress(ConnectError):
                system.send((self.name, node), (gen.CALL, (self.pid, ref), (A.list, b"")))

    def _direct(self, node: Atom, message: Any) -> None:
        if self.pubsub is not None and self.process.system.is_connected(node):
            with suppress(ConnectError, Exit):
                self.pubsub.direct_broadcast(node, self.topic, message)

    def _broadcast(self, message: Any) -> None:
        if self.pubsub is not None:
            with suppress(Exit):
                self.pubsub.broadcast_from(self.topic, message)

    # --- from this node ------------------------------------------------------------------------
    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (A.track, Pid() as pid, (bytes() as topic, key), meta):
                return Reply(self._track(Value(pid, topic, key, meta)))
            case (A.update, Pid() as pid, (bytes() as topic, key), meta):
                return Reply(self._update(Value(pid, topic, key, meta)))
            case (A.untrack, Pid() as pid, (bytes() as topic, key)):
                self._leave([at for at in [place(Value(pid, topic, key, None))] if at in self.kept])
                return Reply((A.ok, None))
            case (A.await_, Atom() as node, float() as seconds):
                return self._await(node, from_, seconds)
            case (A.list, _):  # as other trackers' shards ask, to know who this is
                return Reply(tracker_wire_core.state(self.ref, Other({}, {}, self.state.context)))
        return Reply(self._read(request))

    def _read(self, request: Any) -> Any:
        match request:
            case (A.list_topic, bytes() as topic):
                return A.ok, self.presences(topic)
            case (A.watch, Pid() as pid, bytes() as topic):
                if pid not in {entry[0] for entry in self.topics.entries(topic)}:
                    self.topics.subscribe(topic, pid)
                    self._monitor(pid)
                return A.ok, self.presences(topic)
            case (A.unwatch, Pid() as pid, bytes() as topic):
                self.topics.unsubscribe(topic, pid)
                self._demonitor(pid)
                return A.ok, None
        return A.error, A.unknown_call, "a shard does not know this call"

    def _await(self, node: Atom, from_: Any, seconds: float) -> Reply | NoReply:
        if node in self.synced:
            return Reply((A.ok, None))
        now = self.process.system.timers.now()
        self.waiting = [waits for waits in self.waiting if waits[2] > now]  # the others have given up
        self.waiting.append((node, from_, now + seconds))
        self._greet(node, ask=True)
        return NoReply()

    def presences(self, topic: bytes) -> Any:
        """The metadata of who is there, by key."""
        return presence_core.presences_of([(value.key, value.meta) for value in self.state.of_topic(topic)])

    def _track(self, value: Value) -> Any:
        if place(value) in self.kept:
            return A.error, A.already_tracked, "the process is tracked under this topic and key already"
        ref = _random_ref()
        value = value._replace(meta={**value.meta, A.phx_ref: ref})
        self._put(value)
        self._changed([value], [])
        return A.ok, ref

    def _put(self, value: Value) -> None:
        at = place(value)
        self.kept[at] = value
        self.places.setdefault(value.pid, set()).add(at)
        self._monitor(value.pid)
        self.state.join(value)

    def _update(self, value: Value) -> Any:
        before = self.kept.get(place(value))
        if before is None:
            return A.error, A.nopresence, "the process is not tracked under this topic and key"
        ref = _random_ref()
        value = value._replace(meta={**value.meta, A.phx_ref: ref, A.phx_ref_prev: before.meta.get(A.phx_ref)})
        self.kept[place(value)] = value
        self.state.leave_join(value)
        self._changed([value], [before])
        return A.ok, ref

    def _leave(self, places: Iterable[Key]) -> None:
        gone = [self.kept.pop(at) for at in list(places)]
        for value in gone:
            at, pid = place(value), value.pid
            self.state.leave(at)
            self.places[pid].discard(at)
            if not self.places[pid]:
                del self.places[pid]
                self._demonitor(pid)
        self._changed([], gone)

    def _monitor(self, pid: Pid) -> None:
        if pid not in self.monitors:
            self.monitors[pid] = self.process.system.monitor(self.process, pid)

    def _demonitor(self, pid: Pid) -> None:
        if pid not in self.places and not self.topics.has(pid):
            ref = self.monitors.pop(pid, None)
            if ref is not None:
                self.process.system.demonitor(self.process, ref, flush=True)

    def _changed(self, joins: list[Value], leaves: list[Value]) -> None:
        """By us: told to those who watch now, and to the other nodes soon."""
        self._tell(joins, leaves)
        if not self.armed and (joins or leaves):
            self.armed = True
            self.process.system.send_after(self.tracker.every, self.pid, A.flush)

    def _tell(self, joins: Iterable[Value], leaves: Iterable[Value]) -> None:
        for topic, sides in tracker_core.by_topic(joins, leaves).items():
            entries = self.topics.entries(topic)
            if entries:
                made = [presence_core.presences_of([(value.key, value.meta) for value in side]) or {} for side in sides]
                message = presence_core.diff_message(topic, *made)
                for pid, _ in entries:
                    self.process.system.send(pid, message)

    # --- time ----------------------------------------------------------------------------------
    def _tick(self) -> None:
        """A broadcast period is over."""
        self._flush(silent=True)
        self.samples -= 1
        if not self.samples:
            self.samples = self.config.clock_sample_periods
            for ref, _ in tracker_core.append_clock(self.pending, self.ref, self.state.clocks()):
                if ref != self.ref:
                    self._request(ref[0])
            self.pending = []
        self._became(self.replicas.overdue(self.process.system.timers.now()))
        self.process.system.send_after(self.config.broadcast_period, self.pid, A.tick)

    def _flush(self, *, silent: bool = False) -> None:
        """Tell what has changed; when nothing has for long enough, that we are there."""
        if self.state.has_delta():
            delta = self.state.delta
            self.state.reset_delta()
            self.state.compact()
            self._broadcast(tracker_wire_core.heartbeat(self.ref, delta, self.state.clocks()))
            self.silent = 0
        elif silent and self.silent >= self.config.max_silent_periods:
            self._broadcast(tracker_wire_core.heartbeat(self.ref, None, self.state.clocks()))
            self.silent = 0
        elif silent:
            self.silent += 1

    def _request(self, node: Atom) -> None:
        unique = self.process.system.new_ref()
        self._direct(node, tracker_wire_core.transfer_req(unique, self.ref, self.state.clocks()))

    # --- from other nodes ----------------------------------------------------------------------
    def handle_info(self, message: Any) -> None:
        match message:
            case A.tick:
                self._tick()
            case A.flush:
                self.armed = False
                self._flush()
            case A.attach:
                self._attach()
            case (A.DOWN, Reference() as ref, _, Pid() as pid, _):
                self._down(ref, pid)
            case (Reference() as ref, A.join | A.leave as what, _, list() as pids) if ref == self.members:
                if what is A.join:
                    self._meet(pids)
                else:
                    self.synced -= {pid.node for pid in pids}
            case (Reference() as ref, answer) if ref.words in self.asked:
                self._answered(self.asked.pop(ref.words), answer)
            case _:
                self._said(message)

    def handle_cast(self, request: Any) -> None:
        del request

    def _down(self, ref: Reference, pid: Pid) -> None:
        if ref == self.attached:
            self.pubsub = None
            self.process.system.send_after(ATTACH, self.pid, A.attach)
        elif self.monitors.get(pid) == ref:
            del self.monitors[pid]
            self.topics.forget(pid)
            self._leave(self.places.get(pid, ()))

    def _answered(self, node: Atom, answer: Any) -> None:
        """A shard has said who it is."""
        found = tracker_wire_core.state_of(answer)
        if found is not None and found[0][0] is node:
            self._heard(found[0], greeted=True)
            self._request(node)

    def _said(self, message: Any) -> None:
        match tracker_wire_core.read(message):
            case Heartbeat(ref, delta, clocks):
                self._heard(ref)
                if delta is not None:
                    self._merge(delta)
                self.pending = tracker_core.append_clock(self.pending, *clocks)
            case Request(ref, unique, context):
                self._direct(ref[0], tracker_wire_core.transfer_ack(unique, self.ref, self.state.extract(context)))
            case Answer(ref, given):
                self._merge(given)
                self._is_synced(ref[0])
            case Ended(ref):
                self._became(self.replicas.ended(ref))

    def _heard(self, ref: Ref, *, greeted: bool = False) -> None:
        """It is alive; when we did not know that, it does not know us either."""
        became = self.replicas.heard(ref, self.process.system.timers.now())
        self._became(became)
        if became and not greeted:
            self._greet(ref[0], ask=False)
            self._request(ref[0])

    def _merge(self, other: Other) -> None:
        self._tell(*self.state.merge(other))

    def _became(self, what: list[tuple[str, Ref]]) -> None:
        for word, ref in what:
            if word == UP:
                self._tell(self.state.replica_up(ref), [])
            elif word == DOWN:
                self._tell([], self.state.replica_down(ref))
            else:
                self.state.remove_replica(ref)

    def _is_synced(self, node: Atom) -> None:
        self.synced.add(node)
        waiting, self.waiting = self.waiting, []
        for waits in waiting:
            if waits[0] is node:
                self.reply(waits[1], (A.ok, None))
            else:
                self.waiting.append(waits)

    def terminate(self, reason: Any) -> None:
        del reason
        if self.tracker.permdown_on_shutdown:
            self._broadcast(tracker_wire_core.graceful_permdown(self.ref))


def _random_ref() -> bytes:
    """Tells one state of a presence from every other one."""
    return base64.urlsafe_b64encode(secrets.token_bytes(12))


class Front(GenServer):
    """Has the tracker's name, and says how it is configured to who asks as he would ask the tracker of a BEAM."""

    def init(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def handle_call(self, request: Any, from_: Any) -> Any:
        del from_
        match request:
            case (A.get_childspec, Atom() as shard) if shard in self.tracker.shards:
                options = [(A.name, self.tracker.name), *self.tracker.config.options()]
                start = (Atom("Elixir.Phoenix.Tracker.Shard"), A.start_link, [self.tracker.name, [], options])
                return Reply((A.ok, {A.id: shard, A.start: start}))
        return Reply((A.error, A.not_found))

    def handle_cast(self, request: Any) -> None:
        del request


class Shards(Supervisor):
    """Ends before the PubSub by which the shards say that they end."""

    stop_rank = 1


class Tracker:
    """The replica of this node.

    Args:
        host: the node.
        name: of the tracker.
        config: as its trackers on other nodes have it.
        every: seconds in which changes are told to the other nodes.
        permdown_on_shutdown: say to them at the end that what is tracked here is gone; else they wait for it.
    """

    def __init__(self, host: Host, name: Atom, config: Config, every: float, permdown_on_shutdown: bool) -> None:
        self.host = host
        self.name = name
        self.config = config
        self.every = every
        self.permdown_on_shutdown = permdown_on_shutdown
        self.shards = tuple(Atom(f"{name}_shard{number}") for number in range(config.pool_size))
        self.kept: tuple[dict[Key, Value], ...] = tuple({} for _ in self.shards)
        children = [child_spec(Shard, self, number, name=shard, id=shard) for number, shard in enumerate(self.shards)]
        children.append(child_spec(Front, self, name=name, id="front"))
        self.supervisor = started(host.start(Shards, children, name=concat(name, "Supervisor")))

    @classmethod
    def of(cls, host: Host, name: Atom) -> Tracker | None:
        """The one of this name that runs on this node."""
        process = host.system.registry.whereis(name)
        handler = None if process is None else behaviour_of(process)
        return handler.tracker if isinstance(handler, Front) else None

    def shard_of(self, topic: bytes) -> Atom:
        return self.shards[phash2(topic, len(self.shards))]

    def stop(self) -> None:
        """Leave the others. What was tracked here is gone for all."""
        for kept in self.kept:
            kept.clear()
        with suppress(Exit):
            gen.stop(self.host.system, self.supervisor)
        pubsub = PubSub.of(self.host, self.config.pubsub)
        if pubsub is not None and pubsub.lent and not pubsub.topics.names():
            pubsub.stop()


__all__ = ["Tracker"]
