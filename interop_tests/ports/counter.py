"""The program that the tests of port mode open: functions, a server, and every way to reach the BEAM."""

import sys

from pyerlnode import A, GenServer, Reply
from pyerlnode.errors import Exit, RemoteError, Throw
from pyerlnode.port_program import BEAM, PortProgram

options = dict(pair.split("=") for pair in sys.argv[1:])


class Counter(GenServer):
    def init(self, start):
        self.value = start

    def handle_call(self, request, from_):
        match request:
            case (A.add, int(n)):
                self.value += n
                return Reply(self.value)
            case A.crash:
                raise ValueError("as asked")
            case A.leave:
                sys.exit(5)
            case A.bad:
                return Reply(object())
        return Reply((A.echo, request))

    def handle_info(self, message):
        match message:
            case (A.link, pid):
                self.process.system.link(self.process, pid)
            case (A.monitor, pid):
                self.watching = self.process.system.monitor(self.process, pid)
            case (A.DOWN, _, A.process, _, reason):
                self.process.system.send(("collector", BEAM), (A.down, reason))
            case (A.tell, to, what):
                self.process.system.send(to, what)


def fail(kind):
    if kind is A.throw:
        raise Throw(A.thrown)
    if kind is A.exit:
        raise Exit(A.left)
    if kind is A.leave:
        sys.exit(5)
    if kind is A.interrupt:
        raise KeyboardInterrupt
    raise KeyError("k")


def ask_beam(module, function, args):
    try:
        return program.rpc(module, function, args)
    except RemoteError as error:
        return A.error, error.reason


with PortProgram(int(options.get("packet", 4)), nouse_stdio="nouse_stdio" in options) as program:
    print("what a program prints does not corrupt the stream")
    program.export("m", {"double": lambda x: x * 2, "fail": fail, "ask_beam": ask_beam, "bad": lambda: object()})
    program.export("m", lambda name, request: program.call((name, BEAM), request), "ask_server")
    program.start(Counter, 41, name="counter")
    program.run()
