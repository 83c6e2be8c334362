"""What a program pays for when it starts: modules that cost milliseconds are imported by those who need them.

A time depends on the machine, a list does not: each of these was on the way of ``from pyerlnode import Node`` once.
"""

import subprocess
import sys

import pytest

from pyerlnode.testing.patience import patience

OF_THE_LIBRARY = {
    "asyncio", "concurrent.futures", "email", "http", "json", "multiprocessing", "pathlib", "shutil", "ssl",
    "subprocess", "tempfile", "unittest", "urllib.parse", "xml",
}  # fmt: skip
OF_OTHERS = {
    "IPython",
    "cryptography",
    "erlang",
    "gevent.threadpool",
    "hypothesis",
    "numpy",
    "pyarrow",
    "pytest",
    "setuptools",
    "term",
}
OURS = {
    "pyerlnode.aio",
    "pyerlnode.kernel.remote.export_server",  # brings every behaviour
    "pyerlnode.kernel.global_.server",  # of visible nodes
    "pyerlnode.net.tls", "pyerlnode.net.tls_options",  # bring OpenSSL
    "pyerlnode.otp.application", "pyerlnode.otp.child_spec", "pyerlnode.otp.gen_event", "pyerlnode.otp.gen_statem",
    "pyerlnode.otp.supervisor",
    "pyerlnode.term.text.algebra", "pyerlnode.term.text.elixir", "pyerlnode.term.text.inspect",  # Elixir's notation
    "pyerlnode.testing", "pyerlnode.tools", "pyerlnode.workers",
}  # fmt: skip
NODE = OF_THE_LIBRARY | OF_OTHERS | OURS
FACADE = NODE - {"concurrent.futures"}  # whose futures carry answers between threads
COMMAND = NODE - {"pyerlnode.tools"} | {"gevent", "socket"}
TERMS = NODE | {"gevent", "greenlet", "pyerlnode.term.text", "socket", "threading"}

SAY = "import sys; print(*sys.modules)"
CONNECTED = """
import sys
from pyerlnode import Node
with Node("one@127.0.0.1", cookie="secret", epmd="none") as one:
    where = {"one@127.0.0.1": ("127.0.0.1", one.port)}
    with Node("two@127.0.0.1", cookie="secret", epmd="none", addresses=where) as two:
        assert two.ping("one@127.0.0.1")
        print(*sys.modules)
"""


def modules(program: str) -> set[str]:
    """The modules of an interpreter that has run `program`, and all of the packages above them."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=patience())
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What an interpreter has before it does anything: what is installed in an editable way imports `pathlib`."""
    return modules(SAY)


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        pytest.param(f"import pyerlnode; {SAY}", TERMS | {"dataclasses", "inspect"}, id="import pyerlnode"),
        pytest.param(f"from pyerlnode import A, Pid; {SAY}", TERMS, id="terms"),
        pytest.param(f"from pyerlnode import Node; {SAY}", NODE, id="Node"),
        pytest.param(f"from pyerlnode import connect; {SAY}", FACADE, id="connect"),
        pytest.param(f"from pyerlnode import GenServer, Node, Reply, receive; {SAY}", NODE, id="GenServer"),
        pytest.param(
            f"import pyerlnode.tools.cli; {SAY}", NODE - {"pyerlnode.tools"} | {"gevent"}, id="pyerlnode --help"
        ),
        pytest.param(CONNECTED, NODE, id="two nodes that are connected"),
    ],
)
def test_what_is_heavy_is_imported_by_those_who_need_it(program: str, heavy: set[str], bare: set[str]) -> None:
    assert (modules(program) - bare) & heavy == set()
