"""Law: workers, pools and `offload` work however much of Python gevent has patched, and so does starting an EPMD.

Each program here is an OS process of its own, since a patch is for all of it and for ever.
"""

import subprocess
import sys

import pytest

from pyerlnode.testing.patience import patience

PATCHED = {
    "nothing": "",
    "all": "gevent.monkey.patch_all()",
    "all but subprocess": "gevent.monkey.patch_all(subprocess=False)",
    "all but os": "gevent.monkey.patch_all(os=False)",
    "all but thread": "gevent.monkey.patch_all(thread=False)",
}
PROGRAM = """
import warnings
import gevent.monkey
warnings.simplefilter("ignore", gevent.monkey.MonkeyPatchWarning)
{patch}
import math, os, sys
from pyerlnode import A, ANY, Node, NodeDown
from pyerlnode.net.epmd_client import _run
from pyerlnode.workers.pool import WorkerPool
from pyerlnode.workers.worker import Worker

TARGET = "interop_tests.worker_targets:misbehave"

def file(pid, descriptor):
    path = f"/proc/{{pid}}/fd/{{descriptor}}"
    return os.readlink(path) if os.path.exists(path) else None

def main():
    os.dup2(1, 9, inheritable=True)
    with Node("patched@127.0.0.1", cookie="c", epmd="none") as node:
        worker = node.start(Worker, TARGET)
        os_pid = node.call(worker, A.pid)
        print(os_pid != os.getpid(), file(os_pid, 9) == file("self", 9), os.getsid(os_pid) == os_pid)
        ref = node.monitor(worker)
        os.kill(os_pid, 9)
        print(node.receive((A.DOWN, ref, A.process, worker, ANY), timeout=50)[4])
        pool = node.start(WorkerPool, "math:sqrt", size=1, spares=0)
        print(node.call(pool, 16.0), node.offload(math.sqrt, 9.0))
        {in_process}
        print(_run(["/bin/true"]), _run(["/bin/false"]))

if __name__ == "__main__":
    main()
"""
SAID = ["True False True", "(A.os_signal, A.sigkill)", "4.0 3.0"]


@pytest.mark.parametrize("patch", PATCHED.values(), ids=PATCHED.keys())
def test_what_runs_in_os_processes_works_whatever_is_patched(patch, tmp_path):
    # It starts two more interpreters: one patching is enough, and with none it is held elsewhere.
    in_process = "print(node.offload(math.sqrt, 25.0, in_process=True))" if patch == PATCHED["all"] else ""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(patch=patch, in_process=in_process), encoding="utf-8")
    path = [*filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True, text=True, timeout=patience(), check=False, env={"PYTHONPATH": ":".join(path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*SAID, *(["5.0"] if in_process else []), "True False"], done.stderr
