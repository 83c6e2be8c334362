"""Devices of Python for processes of any node: the server's side of the I/O protocol (protocol.md E.9).

A process does its input and output by messages to a device, by default its group leader. Python's processes, and those
that Python starts on a BEAM, have the process `user` of their node as group leader, so what they print appears at
Python's standard output, and what they read comes from its standard input. A device on any other file is made with
`GroupLeader`.

    put_chars, with text or with M, F, A   written at once; io_lib:format is done here, an exported M:F/A is called
    get_line, get_chars, get_until         one after the other, while output goes on
    getopts, setopts, get_geometry         binary and encoding; columns and rows of a terminal, else enotsup

Input is given as lists of characters, as by OTP's, unless a client sets the option `binary`. Of the functions of
`get_until` the scanner of ``io:read`` and of shells (`erl_scan:tokens`) and ``io_lib:fread`` are known, and what the
program exported.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pyerlnode.errors import PyerlnodeError, TermSyntaxError
from pyerlnode.kernel.io import io_lib_core
from pyerlnode.kernel.io.io_lib_core import BadFormat
from pyerlnode.kernel.keeping import Keeping
from pyerlnode.otp import gen_server
from pyerlnode.otp.results import NoReply
from pyerlnode.otp.service import Service
from pyerlnode.runtime.mailbox import REPLY, Waiter
from pyerlnode.runtime.system import System
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.pid import Pid

log = logging.getLogger("pyerlnode.group_leader")

EOF: Final = A.eof
_ENOTSUP: Final = (A.error, A.enotsup)
_REQUEST: Final = (A.error, A.request)
READ_SIZE = 65_536
NESTING = 8
"""Levels of requests within requests."""


class Files:
    """A device over two files of text; either may be None, and both may be looked up each time (`sys.stdout`)."""

    def __init__(self, system: System, output: Callable[[], Any], input: Callable[[], Any]) -> None:
        self._system = system
        self._output = output
        self._input = input
        self._rest = b""

    def write(self, text: str) -> None:
        """Raises `OSError` or `ValueError` when there is nothing to write to."""
        file = self._output()
        if file is None:
            raise OSError("there is no file to write to")
        encoding = getattr(file, "encoding", None)
        if encoding is not None:
            text = text.encode(encoding, "replace").decode(encoding)
        file.write(text)
        file.flush()

    def read(self, enough: Callable[[str], int]) -> str | None:
        """Text up to where `enough` says it ends (0: not yet); what is left at the end of the file, None after it."""
        file = self._input()
        number = None if file is None else _descriptor(file)
        while True:
            text = self._rest.decode("utf-8", "replace")
            end = enough(text)
            if end:
                self._rest = text[end:].encode()
                return text[:end]
            more = b"" if file is None else self._more(file, number)
            if not more:
                self._rest = b""
                return text or None
            self._rest += more

    def unread(self, text: str) -> None:
        """Give `text` back: it is read first next time."""
        self._rest = text.encode() + self._rest

    def _more(self, file: Any, number: int | None) -> bytes:
        if number is None:  # a file in memory
            line: str | bytes = file.readline()
            return line.encode() if isinstance(line, str) else line
        wait_readable(self._system, number)
        return os.read(number, READ_SIZE)

    def geometry(self) -> os.terminal_size | None:
        number = _descriptor(self._output())
        try:
            return None if number is None else os.get_terminal_size(number)
        except OSError:
            return None


def _descriptor(file: Any) -> int | None:
    try:
        number: int = file.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number


def wait_readable(system: System, number: int) -> None:
    """Park the calling greenlet until the file descriptor has something to read."""
    waiter = Waiter(system.scheduler, system.timers)
    watcher = system.scheduler.loop.io(number, 1)
    watcher.start(waiter.settle, REPLY, None)
    try:
        waiter.wait(None)
    finally:
        watcher.stop()
        watcher.close()


class GroupLeader(Service):
    """A device: answers ``{io_request, From, ReplyAs, Request}``; all else is dropped, as by OTP's `user`."""

    def init(self, files: Any) -> None:
        self.files = files
        self.binary = False
        self._waiting: deque[tuple[Any, Any, Any]] = deque()
        self._reader: Pid | None = None

    def handle_call(self, request: Any, from_: Any) -> Any:  # noqa: ARG002  # the callback's shape
        return NoReply()

    def handle_cast(self, request: Any) -> None:
        """There is none."""

    def handle_info(self, message: Any) -> None:
        match message:
            case (A.io_request, Pid() as from_, reply_as, request):
                if reads(request):
                    self._waiting.append((from_, reply_as, request))
                    if self._reader is None:
                        self._reader = self.process.system.spawn_function(self._read_all, (), {}, link=self.process).pid
                else:
                    self._answer(from_, reply_as, self.perform(request))

    def _answer(self, from_: Pid, reply_as: Any, value: Any) -> None:
        self.process.system.send_connected(from_, (A.io_reply, reply_as, value))

    def _read_all(self) -> None:
        """The body of the process that reads: each request in its turn."""
        while self._waiting:
            from_, reply_as, request = self._waiting.popleft()
            self._answer(from_, reply_as, self.perform(request))
        self._reader = None

    # --- requests ------------------------------------------------------------------------------
    def perform(self, request: Any, nesting: int = NESTING) -> Any:
        """The reply to one request; never raises for what a client can send."""
        try:
            return self._perform(request, nesting)
        except (BadFormat, TermSyntaxError):
            return A.error, A.badarg
        except (OSError, ValueError) as error:
            return A.error, _errno(error)
        except Exception as error:  # the last net: one client's request must not end the device of all
            log.error("a request to the device %s failed", self.process.name or self.process.pid, exc_info=error)
            return _REQUEST

    def _perform(self, request: Any, nesting: int) -> Any:  # noqa: C901  # the table of the protocol
        match request:
            case (A.put_chars, Atom() as encoding, data):
                return self._put(io_lib_core.chars(data, _codec(encoding)))
            case (A.put_chars, Atom() as encoding, module, function, list() as args):
                return self._put_made(encoding, module, function, args)
            case (A.put_chars, data):
                return self._put(io_lib_core.chars(data, "latin-1"))
            case (A.put_chars, module, function, list() as args):
                return self._put_made(A.latin1, module, function, args)
            case (A.get_line, Atom() as encoding, prompt):
                return self._get(encoding, prompt, _line)
            case (A.get_line, prompt):
                return self._get(A.latin1, prompt, _line)
            case (A.get_chars, Atom() as encoding, prompt, int(count)) if count >= 0:
                return self._get(encoding, prompt, lambda text: count if len(text) >= count else 0)
            case (A.get_chars, prompt, int(count)) if count >= 0:
                return self._get(A.latin1, prompt, lambda text: count if len(text) >= count else 0)
            case (A.get_until, Atom(), prompt, A.erl_scan, A.tokens, [start, *options]) if _is_place(start):
                return self._get_tokens(prompt, start, options)
            case (A.get_until, Atom(), prompt, A.io_lib, A.fread, [template]):
                return self._get_formatted(prompt, io_lib_core.chars(_as_text(template)))
            case (A.get_until, Atom(), prompt, module, function, list() as args):
                return self._get_until(prompt, module, function, args)
            case (A.get_until, prompt, module, function, list() as args):
                return self._perform((A.get_until, A.latin1, prompt, module, function, args), nesting)
            case A.getopts:
                return [(A.binary, self.binary), (A.encoding, A.unicode)]
            case (A.setopts, list() as options):
                return self._set(options)
            case (A.get_geometry, Atom() as what):
                size = self.files.geometry()
                return _ENOTSUP if size is None else size.columns if what is A.columns else size.lines
            case (A.requests, list() as several) if nesting:
                return self._several(several, nesting - 1)
            case (A.get_password, _):
                return _ENOTSUP
        return _REQUEST

    def _several(self, requests: list[Any], nesting: int) -> Any:
        reply: Any = A.ok
        for request in requests:
            reply = self.perform(request, nesting)
            if type(reply) is tuple and reply and reply[0] is A.error:
                break
        return reply

    def _put(self, text: str) -> Any:
        self.files.write(text)
        return A.ok

    def _put_made(self, encoding: Atom, module: Any, function: Any, args: list[Any]) -> Any:
        """The text is made here: by ``io_lib:format``, or by a function that this program exports."""
        if module is A.io_lib and function in (A.format, A.fwrite) and len(args) == 2:
            template = io_lib_core.chars(_as_text(args[0]), "utf-8")
            if not isinstance(args[1], list):
                raise BadFormat("the arguments of a format are a list")
            return self._put(io_lib_core.format(template, args[1], node=self.process.system.node))
        made = self.process.system.exported(module, function, len(args))
        if made is None:
            return A.error, (A.put_chars, encoding, module, function)
        try:
            return self._put(io_lib_core.chars(made(*args), _codec(encoding)))
        except (PyerlnodeError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            return A.error, type(error).__name__.encode()

    def _get(self, encoding: Atom, prompt: Any, enough: Callable[[str], int]) -> Any:
        self._prompt(prompt)
        text = self.files.read(enough)
        if text is None:
            return EOF
        if self.binary:
            return text.encode(_codec(encoding), "replace")
        return [ord(c) for c in text]

    def _get_until(self, prompt: Any, module: Any, function: Any, args: list[Any]) -> Any:
        """Line by line to an exported function, until it says that it is done: OTP's continuation protocol."""
        fun = self.process.system.exported(module, function, len(args) + 2)
        if fun is None:
            return A.error, (A.get_until, module, function)
        self._prompt(prompt)
        continuation: Any = []
        while True:
            line = self.files.read(_line)
            match fun(continuation, EOF if line is None else [ord(c) for c in line], *args):
                case (A.done, result, rest):
                    if rest is not EOF:
                        self.files.unread(io_lib_core.chars(rest))
                    return result
                case (A.more, continuation) if line is not None:
                    continue
                case _:
                    return A.error, (A.get_until, module, function)

    def _get_tokens(self, prompt: Any, start: Any, options: list[Any]) -> Any:
        from pyerlnode.kernel.io.erl_scan_core import Scanned, tokens  # the scanner, for those who read terms

        wanted = options[0] if options and type(options[0]) is list else []
        found: list[Scanned] = []

        def enough(text: str) -> int:
            scanned = tokens(text, start, wanted, False)
            if scanned is None:
                return 0
            found.append(scanned)
            return scanned.end

        self._prompt(prompt)
        text = self.files.read(enough) or ""
        if found:
            return found[0].answer
        scanned = tokens(text, start, wanted, True)
        assert scanned is not None
        if scanned.end < len(text):
            self.files.unread(text[scanned.end :])
        return scanned.answer

    def _get_formatted(self, prompt: Any, template: str) -> Any:
        from pyerlnode.kernel.io.fread_core import Reader  # for those who read so

        self._prompt(prompt)
        reader, answer = Reader(template), None
        while answer is None:
            answer = reader.line(self.files.read(_line))
        if reader.rest:
            self.files.unread(reader.rest)
        return answer

    def _prompt(self, prompt: Any) -> None:
        match prompt:
            case (A.format, template, list() as args):
                text = io_lib_core.format(io_lib_core.chars(_as_text(template)), args)
            case _:
                text = io_lib_core.chars(_as_text(prompt))
        if text:
            self.files.write(text)

    def _set(self, options: list[Any]) -> Any:
        for option in options:
            match option:
                case A.binary | (A.binary, True):
                    self.binary = True
                case A.list | (A.binary, False):
                    self.binary = False
                case (A.encoding | A.echo | A.expand_fun | A.line_history | A.log, _):
                    continue
                case _:
                    return _ENOTSUP
        return A.ok


def reads(request: Any) -> bool:
    """Whether a request waits for input. Requests in requests are looked at as far as they are carried out."""
    todo = [(request, NESTING)]
    while todo:
        each, left = todo.pop()
        if type(each) is not tuple or not each:
            continue
        if each[0] is A.requests and len(each) == 2 and isinstance(each[1], list):
            todo += [(one, left - 1) for one in each[1] if left]
        elif each[0] is A.get_line or each[0] is A.get_chars or each[0] is A.get_until:
            return True
    return False


def _is_place(start: Any) -> bool:
    """A line, or a line and a column, as scanning begins with."""
    parts = start if type(start) is tuple and len(start) == 2 else (start,)
    return all(type(part) is int and part > 0 for part in parts)


def _line(text: str) -> int:
    return text.find("\n") + 1


def _as_text(data: Any) -> Any:
    """What may stand for text in a prompt or a format: chardata, or an atom."""
    return data.name if type(data) is Atom else b"" if data is None else data


def text_of(data: Any) -> str:
    """The text of a prompt, or of what a function of another node has made: chardata, or an atom."""
    return io_lib_core.chars(_as_text(data))


def _codec(encoding: Atom) -> str:
    if encoding not in (A.unicode, A.latin1):
        raise BadFormat(f"the encoding {encoding} is not known")
    return "utf-8" if encoding is A.unicode else "latin-1"


def _errno(error: OSError | ValueError) -> Atom:
    names = {13: "eacces", 28: "enospc", 32: "epipe", 5: "eio", 9: "ebadf"}
    number = error.errno if isinstance(error, OSError) else None
    return Atom(names.get(number or 0, "terminated"))


def start(system: System, output: Any = None, input: Any = None, *, name: Any = None) -> Pid:
    """A device that writes to the file `output` and reads from `input`; its pid. `exit` ends it."""
    pid = gen_server.start(system, GroupLeader, (Files(system, lambda: output, lambda: input),), name=name)
    assert pid is not None
    return pid


def start_user(system: System, keeping: Keeping) -> None:
    """`user`: standard output and input, whatever they are when used; the group leader of all that have no other.

    When it comes back after its end, the processes of this node that had it as group leader have it again. Those of
    other nodes name it by a pid, so for them it is gone, as OTP's is.
    """

    def started(pid: Pid) -> None:
        before, system.root.group_leader = system.root.group_leader, pid
        for process in system.processes.values():
            if process.group_leader == before:
                process.group_leader = pid

    keeping.keep(GroupLeader, Files(system, lambda: sys.stdout, lambda: sys.stdin), name="user", started=started)
