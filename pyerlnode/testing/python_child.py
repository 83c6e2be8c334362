"""The process of a `PythonNode`: a node, and what its standard input asks for.

Frames are four bytes of length and a pickle. The first is the node's name and settings; each further one is a number,
a function (its file and its name there, or the name of a method of the node) and its arguments. The answers go to the
file descriptor that the command line names. The node is stopped, and the process ends, when its standard input does.
"""

from __future__ import annotations

import importlib.util
import operator
import os
import pickle
import signal
import sys
import traceback
from typing import Any

import gevent
from gevent.os import nb_read

from pyerlnode import Node

START = -1
_modules: dict[str, Any] = {}


def main() -> None:
    answers = int(sys.argv[1])
    os.set_blocking(0, False)
    name, settings = _next()
    with Node(name, **settings) as node:
        # As a service's main program does: whoever deploys wants an end in order.
        gevent.signal_handler(signal.SIGTERM, sys.exit, 0)
        _say(answers, (START, True, None))
        while (request := _next()) is not None:
            gevent.spawn(_answer, node, answers, *request)


def _answer(node: Node, answers: int, number: int, place: Any, args: Any) -> None:
    try:
        if isinstance(place, str):
            value = getattr(node, place)(*args)
        else:
            value = operator.attrgetter(place[1])(_module(place[0]))(node, *args)
        frame = pickle.dumps((number, True, value))
    except Exception:
        frame = pickle.dumps((number, False, traceback.format_exc()))
    _write(answers, frame)


def _module(path: str) -> Any:
    """The file as a module, under its own name, so that what it imports and pickles is found."""
    if path not in _modules:
        name = os.path.splitext(os.path.basename(path))[0]
        sys.path.insert(0, os.path.dirname(path))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = _modules[path] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return _modules[path]


def _next() -> Any:
    head = _read(4)
    return None if head is None else pickle.loads(_read(int.from_bytes(head, "big")) or b"")  # noqa: S301 - our parent's


def _read(size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        chunk = nb_read(0, size - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def _say(answers: int, answer: Any) -> None:
    _write(answers, pickle.dumps(answer))


def _write(answers: int, frame: bytes) -> None:
    data = len(frame).to_bytes(4, "big") + frame
    while data:
        data = data[os.write(answers, data) :]


if __name__ == "__main__":
    main()
