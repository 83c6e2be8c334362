"""A system and one peer joined by bytes: the peer's side is written as raw control tuples, not by our own writer."""

from typing import Any

from pyerlnode.dist.atom_cache import AtomCacheReader
from pyerlnode.dist.channel import Channel, Undecodable
from pyerlnode.dist.flags import HIDDEN_FLAGS, DistFlags
from pyerlnode.dist.handshake import PeerInfo
from pyerlnode.etf import atom_value, decode_term, encode_term
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.kernel.remote.spawn_server import SpawnServer
from pyerlnode.runtime.process import Process
from pyerlnode.runtime.system import System
from pyerlnode.signal import Signal
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid, Reference

PEER = A["app@127.0.0.1"]
U = Atom("")
B1, B2 = Pid(PEER, 51, 0, 9), Pid(PEER, 52, 0, 9)
REF = Reference(PEER, 9, (1, 2, 3, 4, 5))
REF2 = Reference(PEER, 9, (2, 2, 3, 4, 5))
TOKEN = (0, 17, 1, B1, 0)
NOTHING = object()
OLD_OTP = HIDDEN_FLAGS & ~(DistFlags.ALTACT_SIG | DistFlags.NATIVE_RECORDS)
BARE = DistFlags(HIDDEN_FLAGS & ~(DistFlags.EXIT_PAYLOAD | DistFlags.SEND_SENDER | DistFlags.ALTACT_SIG))


class Wire:
    """A system and one peer, joined by bytes. `sent` is what the peer has read: (control, payload) in order."""

    def __init__(self, flags: DistFlags = HIDDEN_FLAGS) -> None:
        self.system = System("py@127.0.0.1", 7)
        self.exports = Exports()
        self.spawner = SpawnServer(self.system, self.exports)
        self.system.on_spawn_request = self.spawner.spawn
        info = PeerInfo(PEER.name, 9, flags, flags, False, self.system.node.name, 7)
        self.channel = Channel(info)
        self.cache = AtomCacheReader(atom_value)
        self.peer = self.system.peer(PEER)
        self.peer.creation = 9
        self.peer.route = self
        self.sent: list[tuple[Any, Any]] = []

    def send(self, signal: Signal) -> bool:
        data = b"".join(self.channel.send(signal))
        if data:
            assert int.from_bytes(data[:4], "big") == len(data) - 4
            assert data[4:6] == b"\x83D"
            atoms, at = self.cache.read(data, 6, len(data))
            control, at = decode_term(data, at, atoms)
            payload = decode_term(data, at, atoms)[0] if at < len(data) else NOTHING
            self.sent.append((control, payload))
        return bool(data)

    def push(self, control: Any, payload: Any = NOTHING) -> None:
        """One packet from the peer."""
        body = b"\x83D\0" + encode_term(control) + (b"" if payload is NOTHING else encode_term(payload))
        for event in self.channel.receive(len(body).to_bytes(4, "big") + body):
            assert not isinstance(event, Undecodable)
            self.peer.deliver(event)
        if self.channel.failed is not None:
            raise self.channel.failed

    def process(self, name: str = "", trap_exit: bool = False) -> Process:
        made = self.system.new_process(self.system.root.pid)
        made.trap_exit = trap_exit
        if name:
            self.system.registry.register(Atom(name), made)
        return made

    def lose(self) -> None:
        self.peer.lost()


def mail(process: Process) -> list[Any]:
    return list(process.queue or ())
