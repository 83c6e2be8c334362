"""`epmd`: the embedded port mapper in the foreground, for machines without Erlang.

It serves BEAM nodes as well as Python ones. Ctrl-C ends it (status 130), SIGTERM too (status 0), and so does
`epmd -kill`; the registrations end with it.
"""

from __future__ import annotations

import argparse
import logging
import signal

import gevent

from pyerlnode.errors import EpmdError
from pyerlnode.net import tcp
from pyerlnode.net.epmd_client import Epmd, port_from_environment
from pyerlnode.net.epmd_server import EpmdServer
from pyerlnode.runtime.edges import edge
from pyerlnode.runtime.wakeup import attend
from pyerlnode.tools.output import Output


def epmd(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if not args.verbose:
        logging.getLogger("pyerlnode").setLevel(logging.INFO)
    port = port_from_environment() if args.port is None else args.port
    with _listening(args.address, port) as server:
        gevent.signal_handler(signal.SIGTERM, edge(server.stop))
        Output().line(f"EPMD serves {args.address}:{server.port}; Ctrl-C ends it")
        hears_no_more = attend(gevent.get_hub().loop)
        try:
            server.stopped.wait()
        finally:
            hears_no_more()
    return 0


def _listening(address: str, port: int) -> EpmdServer:
    try:
        return EpmdServer(port, (address,))
    except EpmdError:
        if tcp.is_loopback(address) and _served(port, address):
            raise EpmdError(
                f"an EPMD already serves {address}:{port}: use that one, or give another port with --port"
            ) from None
        raise


def _served(port: int, address: str) -> bool:
    try:
        return Epmd(port, address).is_running()
    except EpmdError:
        return False  # another program has the port
