"""`shell`: a prompt beside a node that goes on living."""

import pexpect
from place import PYERLNODE, Place
from terminal import spawn

from pyerlnode.testing.patience import patience


def test_the_shell_calls_the_cluster_and_ends_by_exit(here: Place, app: str) -> None:
    environment = {**here.environment, "TERM": "dumb", "IPYTHONDIR": str(here.home / "ipython")}
    shell = spawn(
        PYERLNODE[0],
        [*PYERLNODE[1:], "shell", app],
        env=environment,
        timeout=patience(),
        encoding="utf-8",
        dimensions=(40, 200),
    )
    try:
        shell.expect("app@127.0.0.1 is connected")
        shell.expect(r"In .*1.*: ")
        shell.send("app.lists.reverse([1, 2, 3])\r")
        shell.expect_exact("[3,2,1]")
        shell.send("show((A.ok, t('{a,<<\"b\">>}')))\r")
        shell.expect_exact('{ok,{a,<<"b">>}}')
        shell.send("cluster.ping()\r")
        shell.expect("True")
        shell.expect(r"In .*4.*: ")
        shell.send("exit\r")
        shell.expect(pexpect.EOF)
        shell.wait()
    finally:
        shell.close(force=True)
    assert shell.exitstatus == 0
