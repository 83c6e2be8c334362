"""A module whose import does not come to its end: it says so in the file that the environment names, and waits."""

import os
import time

with open(os.environ["BLOCKED_IMPORT"], "w") as file:
    file.write(str(os.getpid()))
while True:
    time.sleep(60)
