"""`run`: the process that production starts.

    pyerlnode run shop:make --name shop@10.0.0.7 --workers 3 --group shop --connect app@10.0.0.5 --health 8080

`shop.make(node)` starts what is to be served and gives its pid, several, or None; the class of a server, a supervisor
or an application may stand in its place. Each worker is an OS process with a node of its own (`worker`); the process
that was started, the master, has none: it starts them, starts again what ends, and hears signals (`master`).

What it does when is decided in `core`, what it was told is read in `settings_core`.
"""

from __future__ import annotations

import argparse


def run(args: argparse.Namespace) -> int:
    from pyerlnode.tools.run.master import main  # here, so that the parser costs nothing

    return main(args)
