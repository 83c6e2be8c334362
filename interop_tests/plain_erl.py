"""An Erlang node that evaluates the lines it is given on its standard input; for tests of the first contact.

It needs nothing of the protocol under test, and its EPMD is whatever ERL_EPMD_PORT of its environment says.
"""

import os
from collections.abc import Sequence
from types import TracebackType

import gevent
from gevent.subprocess import DEVNULL, PIPE, STDOUT, Popen

from pyerlnode.testing.patience import patience

LOOP = (
    'L = fun L() -> case io:get_line("") of eof -> halt(); Line -> '
    "R = (catch begin {ok, T, _} = erl_scan:string(Line), {ok, E} = erl_parse:parse_exprs(T), "
    '{value, V, _} = erl_eval:exprs(E, []), V end), io:format("=> ~w~n", [R]), L() end end, io:format("=> up~n"), L().'
)


class Erl:
    def __init__(self, epmd_port: int, *args: str, eval_: str = LOOP) -> None:
        env = {**os.environ, "ERL_EPMD_PORT": str(epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        command = ["erl", "-noshell", *args, "-eval", eval_]
        self.process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=env)
        self.output: list[str] = []

    def answer(self) -> str:
        """The next answer; lines of the log are kept aside."""
        with gevent.Timeout(patience()):
            while line := self.process.stdout.readline().decode():
                if line.startswith("=> "):
                    return str(line[3:].strip())
                self.output.append(line)
        raise AssertionError("erl ended: " + "".join(self.output))

    def eval(self, line: str) -> str:
        self.say(line)
        return self.answer()

    def say(self, line: str) -> None:
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def __enter__(self) -> "Erl":
        try:
            assert self.answer() == "up"
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def node(name: str, epmd_port: int, *args: str, cookie: str = "secret") -> Erl:
    """A node `name` that starts no EPMD."""
    return Erl(epmd_port, "-start_epmd", "false", "-name", name, "-setcookie", cookie, *args)


def run(command: Sequence[str], epmd_port: int) -> str:
    env = {**os.environ, "ERL_EPMD_PORT": str(epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    process = Popen(list(command), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=env)
    with gevent.Timeout(patience()):
        output = process.communicate()[0]
    return str(output.decode())
