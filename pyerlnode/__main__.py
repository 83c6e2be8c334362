"""`python -m pyerlnode` is the command `pyerlnode`."""

import sys

from pyerlnode.tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
