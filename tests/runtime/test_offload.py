"""OS processes of `offload`: none stays behind a node that is killed."""

import os
import signal
import subprocess
import sys

from pyerlnode.testing.waiting import wait_for

PROGRAM = """
import os, time
from pyerlnode import Node

def compute(parent):
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    with Node("killed@127.0.0.1", cookie="x", epmd="none") as node:
        node.offload(compute, os.getpid(), in_process=True)
"""


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_an_os_process_of_offload_ends_with_a_node_that_is_killed(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        computing = int(program.stdout.readline())
        assert is_there(computing)
        program.send_signal(signal.SIGKILL)
        wait_for(lambda: not is_there(computing), what="the end of the OS process that computes")
