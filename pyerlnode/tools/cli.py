"""The command `pyerlnode`, also as `python -m pyerlnode`.

    pyerlnode COMMAND [options] ARGUMENTS

Exit status: 0 done; 1 it was tried and failed (no such node, no answer, a remote error); 2 it could not be tried
(a wrong option, name, cookie or term text); 130 interrupted by Ctrl-C. Whatever fails says so in one line that
names what to do. A stack trace is a bug of ours.

Only the parser is built here, so that `--help` costs no more than argparse: each command's module, and gevent with
it, is imported when that command runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from pyerlnode import __version__
from pyerlnode.errors import PyerlnodeError, UsageError
from pyerlnode.tools.inspector import arguments as inspector

Run = Callable[[argparse.Namespace], int]

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

TERM_HELP = "a term in Erlang syntax, in quotes for the shell: '{add, 1}', ok, '<<\"text\">>', '#{a => 1}'"


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose complaint is one line, like every other failure's."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, which is a number from 1 to 65535")
    return int(text)


# --- the commands: each imports its own module -----------------------------------------------------
def _demo(args: argparse.Namespace) -> int:
    from pyerlnode.tools.demo import run

    return run(args)


def _ping(args: argparse.Namespace) -> int:
    from pyerlnode.tools.remote import ping

    return ping(args)


def _call(args: argparse.Namespace) -> int:
    from pyerlnode.tools.remote import call

    return call(args)


def _rpc(args: argparse.Namespace) -> int:
    from pyerlnode.tools.remote import rpc

    return rpc(args)


def _names(args: argparse.Namespace) -> int:
    from pyerlnode.tools.names import names

    return names(args)


def _run(args: argparse.Namespace) -> int:
    from pyerlnode.tools.run import run

    return run(args)


def _doctor(args: argparse.Namespace) -> int:
    from pyerlnode.tools.doctor import doctor

    return doctor(args)


def _epmd(args: argparse.Namespace) -> int:
    from pyerlnode.tools.epmd import epmd

    return epmd(args)


def _shell(args: argparse.Namespace) -> int:
    from pyerlnode.tools.shell import shell

    return shell(args)


def _remsh(args: argparse.Namespace) -> int:
    from pyerlnode.tools.remsh.command import remsh

    return remsh(args)


def _journal(args: argparse.Namespace) -> int:
    from pyerlnode.tools.journal import journal

    return journal(args)


def _completion(_: argparse.Namespace) -> int:
    from pyerlnode.tools.completion import completion

    return completion(parser())


# --- the parser ------------------------------------------------------------------------------------
def parser() -> Parser:
    """The whole grammar of the command line."""
    top = Parser(prog="pyerlnode", description="A Python node for Erlang and Elixir clusters.", allow_abbrev=False)
    top.add_argument("--version", action="store_true", help="print the version and end")
    commands = top.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)

    def command(name: str, run: Run, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        made.set_defaults(run=run)
        made.add_argument("-v", "--verbose", action="store_true", help="show the library's log on standard error")
        return made

    demo = command("demo", _demo, "Join an Elixir, Erlang or second Python node and verify each step.")
    demo.add_argument("--peer", choices=("auto", "elixir", "erlang", "python"), default="auto", help="default: auto")
    _json(demo)

    ping = command("ping", _ping, "Connect to a node and say how long its answer took.")
    _node(ping, nargs="?", otherwise="; default: $PYERLNODE_NODE, else $RELEASE_NODE")
    ping.add_argument("-c", "--count", type=_count, default=1, metavar="N", help="ask N times; default 1")

    names = command("names", _names, "List the nodes that are registered at a host's EPMD.")
    names.add_argument("host", nargs="?", default="127.0.0.1", metavar="HOST", help="default: 127.0.0.1")
    names.add_argument("--watch", action="store_true", help="keep the list on the screen; q ends it")
    _epmd_port(names)
    _timeout(names)
    _json(names)

    call = command("call", _call, "GenServer.call a registered process and print its answer.")
    _node(call)
    call.add_argument("server", metavar="NAME", help="the registered name; MyApp.Stock is Elixir's module of that name")
    call.add_argument("request", metavar="TERM", help=TERM_HELP)

    rpc = command("rpc", _rpc, "Call a function on a node and print what it returns.")
    _node(rpc)
    rpc.add_argument("module", metavar="M", help="the module: lists, or String for Elixir's")
    rpc.add_argument("function", metavar="F", help="the function: reverse, upcase, …")
    rpc.add_argument(
        "arguments", nargs="?", default="[]", metavar="ARGS", help="the list of arguments: '[[1, 2, 3]]' is one, a list"
    )

    inspector.add(command, _node)

    run = command("run", _run, "Serve what MODULE:FACTORY makes, as production does, until SIGTERM.")
    _settings(run)

    doctor = command("doctor", _doctor, "Say why NODE is not reached, or what a node finds here, and how to mend it.")
    _node(doctor, nargs="?", otherwise="; without one this machine is looked at")

    epmd = command("epmd", _epmd, "Serve EPMD, the port mapper of a host's nodes, until Ctrl-C.")
    epmd.add_argument("--address", default="127.0.0.1", help="the address to listen on; default: 127.0.0.1")
    epmd.add_argument("--port", type=_own_port, help="default: $ERL_EPMD_PORT, else 4369; 0 takes a free one")

    journal = command("journal", _journal, "Say what is left of a damaged journal of durable requests, or save it.")
    ways = journal.add_subparsers(metavar="WHAT", required=True, dest="what", parser_class=Parser)
    for what, help in (
        ("check", "say what is left; status 1 when it is damaged"),
        ("salvage", "save it in a new file"),
    ):
        way = ways.add_parser(what, help=help, description=help, allow_abbrev=False)
        way.add_argument("file", metavar="FILE", help="the journal; its -wal stands beside it")
        if what == "salvage":
            way.add_argument("new", metavar="NEW", help="a file that is not there yet")
        _json(way)

    remsh = command("remsh", _remsh, "The shell of a BEAM at this terminal: IEx where Elixir runs, else Erlang's.")
    _node(remsh)
    remsh.add_argument("--erlang", action="store_true", help="Erlang's shell, also where Elixir runs")

    command("completion", _completion, 'What bash needs to complete this command: eval "$(pyerlnode completion)".')

    shell = command("shell", _shell, "IPython with a connected node in the background.")
    _node(shell)
    return top


def _settings(run: argparse.ArgumentParser) -> None:
    """What `tools.run.settings_core` reads, and says to be wrong; each is a variable and a line of a file, too."""
    words = (
        ("name", "NAME", "the node's name; with several workers each has its number: shop1@…, shop2@…"),
        ("workers", "N", "OS processes, each with a node; default: 1"),
        ("group", "GROUP", "the pg group of what the factory gives; default: the part of the name before the @"),
        ("scope", "SCOPE", "the scope of the group; default: pg"),
        ("connect", "NODES", "nodes to be connected to all the time: a@h,b@h"),
        ("cookie", "TEXT", "the cluster's cookie; others can see it in `ps`"),
        ("cookie-file", "FILE", "read the cookie from FILE, a secret that is mounted"),
        ("epmd", "MODE", "auto, external, embedded or none; default: auto"),
        ("epmd-port", "PORT", "default: $ERL_EPMD_PORT, else 4369"),
        ("ports", "PORTS", "where to listen: 9100, or 9100-9110"),
        ("peer-port", "PORT", "reach all peers at this port, and ask no EPMD"),
        ("listen", "ADDRESS", "the one address to listen at"),
        ("allow", "NODES", "the only nodes that may connect"),
        ("tls-optfile", "FILE", "speak TLS by this ssl_dist_optfile"),
        ("health", "[HOST:]PORT", "serve /readyz and /livez by HTTP"),
        ("drain", "SECONDS", "time for callers to get their answers in when a worker ends; default: 20"),
        ("quiet", "SECONDS", "how long to wait for late callers, having left the group; default: 0.5"),
        ("hang", "SECONDS", "a worker silent for so long makes /livez fail; 0 never; default: 30"),
        ("log-level", "LEVEL", "debug, info, warning or error; default: info"),
        ("log-format", "FORM", "text or json; default: text"),
    )
    run.add_argument("factory", nargs="?", metavar="FACTORY", help="module:factory; what it gives is served")
    run.add_argument("--config", metavar="FILE", help='a TOML file with any of these: log-format = "json"')
    for flag, value, text in words:
        run.add_argument(f"--{flag}", metavar=value, help=text)
    run.add_argument("--visible", action="store_true", default=None, help="take part in the mesh of visible nodes")
    run.add_argument(
        "--reload", action="store_true", default=None, help="start again when a file of the program changes"
    )


def _own_port(text: str) -> int:
    return 0 if text == "0" else port(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a count from 1 to 1000000")
    return int(text)


def _node(command: argparse.ArgumentParser, nargs: str | None = None, otherwise: str = "") -> None:
    command.add_argument("node", nargs=nargs, metavar="NODE", help=f"the node to talk to: app@127.0.0.1{otherwise}")
    command.add_argument("--cookie", metavar="TEXT", help="the cluster's cookie; others can see it in `ps`")
    command.add_argument(
        "--cookie-file", metavar="FILE", help="read the cookie from FILE; default: $PYERLNODE_COOKIE, else the file "
        "$PYERLNODE_COOKIE_FILE, else $RELEASE_COOKIE, else ~/.erlang.cookie"
    )  # fmt: skip
    command.add_argument("--name", metavar="NAME", help="this program's own node name; default: a new one")
    command.add_argument("--elixir", action="store_true", help="read and print terms as Elixir does")
    _epmd_port(command)
    command.add_argument(
        "--peer-port", type=port, metavar="PORT", help="where NODE listens, without EPMD; default: $PYERLNODE_PEER_PORT"
    )
    command.add_argument(
        "--tls-optfile", metavar="FILE", help="speak TLS by this ssl_dist_optfile; default: $PYERLNODE_TLS_OPTFILE"
    )
    _timeout(command)
    _json(command)


def _epmd_port(command: argparse.ArgumentParser) -> None:
    command.add_argument("--epmd-port", type=port, metavar="PORT", help="default: $ERL_EPMD_PORT, else 4369")


def _timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument("--timeout", type=seconds, default=5.0, metavar="SECONDS", help="default: 5")


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON document")


# --- running ---------------------------------------------------------------------------------------
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        status = _main(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    except PyerlnodeError as error:
        status = USAGE if isinstance(error, UsageError) else FAILED
        _complain(error, "--json" in arguments)
    return status


def _main(arguments: list[str]) -> int:
    top = parser()
    args = top.parse_args(arguments)
    if args.version:
        print(f"pyerlnode {__version__}")
        return DONE
    if not hasattr(args, "run"):
        top.print_help()
        return USAGE
    run: Run = args.run
    with _log(args.verbose):
        return run(args)


@contextmanager
def _log(verbose: bool) -> Iterator[None]:
    """The library's log on standard error, or silence; as it was afterwards."""
    import logging

    logger, handler = logging.getLogger("pyerlnode"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("pyerlnode: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def _complain(error: PyerlnodeError, json_: bool) -> None:
    from pyerlnode.tools.output import Output, complain

    complain(str(error), output=Output(json_=json_), kind=type(error).__name__)
