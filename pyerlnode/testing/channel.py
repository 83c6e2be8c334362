"""The control channel: requests to a BEAM's agent over a pair of pipes, answers matched by number.

Frames are four bytes of length and a body; a request's body is four bytes of number and a term, and so
is an answer's. Several greenlets (or threads) may ask at once: whoever waits reads what there is and
keeps the answers of the others for them. `agent.erl` is the other end.

Terms are the codec's own, in both directions: a value that a test reads here is the one that its node would receive.
What the codec itself does is not tested through this channel alone, but with bytes that other programs have made.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import Any

from pyerlnode.etf import decode, encode
from pyerlnode.testing import waiting
from pyerlnode.testing.errors import BeamDown, BeamError, BeamTimeout

HELLO = b"pyerlnode:"
SLICE_S = 0.05
"""A waiter looks this often whether another one has read its answer."""


class Channel:
    """`read` and `write` are file descriptors, owned from here on."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        self._in = bytearray()
        self._out = bytearray()
        self._queued = self._written = 0
        self._frames: list[bytes] = []
        self._answers: dict[int, bytes] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.closed = False
        self.ended = False

    # --- the start: a line of greeting, then the agent's code --------------------------------------
    def hello(self, timeout: float) -> str:
        """Wait for the BEAM's greeting, skip what stands before it, and give the version it names."""
        end = time.monotonic() + timeout
        while (at := self._in.find(HELLO)) < 0:
            self._receive(end)
        del self._in[: at - 4]
        while not self._cut():
            self._receive(end)
        return self._frames.pop(0).removeprefix(HELLO).decode()

    def send(self, frame: bytes, timeout: float) -> None:
        """Write one frame."""
        end = time.monotonic() + timeout
        with self._lock:
            self._out += len(frame).to_bytes(4, "big") + frame
            self._queued += 4 + len(frame)
            mine = self._queued
        while not self._flush(mine):
            if time.monotonic() > end:
                raise BeamTimeout(f"the BEAM did not take a request within {timeout:g} s")
            if not self.closed:
                waiting.wait_io(self._write, write=True, timeout=SLICE_S)

    def request(self, request: Any, timeout: float) -> Any:
        """Ask the agent and wait for its answer.

        Raises:
            BeamError: the request ended by an exception on the BEAM.
            BeamTimeout: no answer within `timeout` seconds.
            BeamDown: the BEAM's end of the channel is closed.
        """
        number = next(self._numbers)
        end = time.monotonic() + timeout
        self.send(number.to_bytes(4, "big") + encode(request), timeout)
        while number not in self._answers:
            self._receive(end)
            self._keep_answers()
        answer = decode(self._answers.pop(number))
        if answer[0].name == "ok":
            return answer[1]
        kind, reason, stack, text = answer
        raise BeamError(kind.name, reason, stack.decode(), text.decode())

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            waiting.close(self._read)
            waiting.close(self._write)

    # --- the pipes -----------------------------------------------------------------------------------
    def _flush(self, mine: int) -> bool:
        """Write what the pipe takes; say whether everything up to the offset `mine` is written."""
        with self._lock:
            try:
                while self._out and not self.closed:
                    size = os.write(self._write, self._out[: 1 << 20])
                    del self._out[:size]
                    self._written += size
            except BlockingIOError:
                pass
            except BrokenPipeError:
                self.ended = True
            if self.ended or self.closed:
                raise BeamDown("the BEAM is gone")
            return self._written >= mine

    def _receive(self, end: float) -> None:
        """Read what there is; wait a little when there is nothing."""
        if self.closed or self.ended:
            raise BeamDown("the BEAM is gone")
        if time.monotonic() > end:
            raise BeamTimeout("the BEAM did not answer in time")
        if not waiting.wait_io(self._read, timeout=SLICE_S) or self.closed:
            return
        with self._lock:
            try:
                data = os.read(self._read, 1 << 20)
            except BlockingIOError:
                return  # another waiter has read it
            if data:
                self._in += data
            else:
                self.ended = True

    def _keep_answers(self) -> None:
        with self._lock:
            while self._cut():
                frame = self._frames.pop(0)
                self._answers[int.from_bytes(frame[:4], "big")] = frame[4:]

    def _cut(self) -> bool:
        """Move one whole frame from the bytes read to the list of frames."""
        size = int.from_bytes(self._in[:4], "big")
        if len(self._in) < 4 or len(self._in) < 4 + size:
            return False
        self._frames.append(bytes(self._in[4 : 4 + size]))
        del self._in[: 4 + size]
        return True
