"""check.py ready | start | stop: what the cluster looks like from inside; status 0 when it is as it should be."""

import os
import sys
import time

import pyerlnode
from pyerlnode import A
from pyerlnode.errors import PyerlnodeError

APPS = [f"app@app{number}.cluster.test" for number in (1, 2, 3)]
SHOPS = [f"shop@shop{number}.cluster.test" for number in (1, 2, 3)]


def members(cluster):
    return [cluster.call(("callers", app), A.members) for app in APPS]


def until(cluster, right):
    """Wait until all Elixir nodes see members that are `right`."""
    end = time.monotonic() + 120
    while True:
        try:
            seen = members(cluster)
            if all(map(right, seen)):
                return seen[0]
        except PyerlnodeError as error:
            seen = error
        if time.monotonic() > end:
            sys.exit(f"check: {seen}")
        time.sleep(0.5)


def main(what):
    options = {"epmd": "none", "addresses": 4370, "tls": os.environ["PYERLNODE_TLS_OPTFILE"]}
    with pyerlnode.connect(name=os.environ["PYERLNODE_NODE"], **options) as cluster:
        if what == "ready":
            seen = until(cluster, lambda pids: sorted(pid.node.name for pid in pids) == SHOPS)
            print("check: each Elixir node sees", *sorted(pid.node.name for pid in seen))
        elif what == "start":
            for app in APPS:
                assert cluster.call(("callers", app), (A.start, 4)) is A.ok
            print("check: twelve Elixir processes call the group")
        else:
            results = [cluster.call(("callers", app), A.stop, timeout=60) for app in APPS]
            calls, failures = sum(calls for calls, _ in results), [one for _, failed in results for one in failed]
            print(f"check: {calls} calls, {len(failures)} failed", *failures[:5])
            sys.exit(1 if failures or calls < 100 else 0)


main(sys.argv[1])
