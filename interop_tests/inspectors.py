"""An inspector in an OS process of its own, for tests of what is left on a BEAM when it is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import indent

from pyerlnode.testing.beam import Beam

PROGRAM = """
import sys
from pyerlnode import connect
from pyerlnode.inspect import Cluster
node, cookie, port = sys.argv[1:]
with connect(node, cookie=cookie, epmd_port=int(port)) as link, Cluster(link, timeout=60.0, read_only=False) as cluster:
    app = cluster.node(node)
"""
WAITS = """
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def killed_inspector(beam: Beam, view: str, begin: str) -> Iterator[None]:
    """While the block runs, a program has the `view` of `app` open and has done `begin`; then it is killed."""
    source = f"{PROGRAM}    with {view} as view:\n{indent(begin + WAITS, ' ' * 8)}"
    arguments = (beam.node.name, beam.cookie, str(beam.epmd_port))
    program = subprocess.Popen(
        [sys.executable, "-c", source, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        yield
    finally:
        program.kill()
        program.communicate()
