"""``python -m interop_tests.differential``: as many scripts by hand as one likes, on the BEAM that one names."""

import argparse
import sys
import time

from interop_tests.differential.kinds import kinds
from interop_tests.differential.lab import AT_ONCE, lab, of_seeds, quiet


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m interop_tests.differential", description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(kinds())}; all unless named")
    parser.add_argument("--seeds", type=int, default=1000, help="how many of each kind, at each place")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--beam", default="auto", help="as the plugin's --beam")
    parser.add_argument("--most", type=int, default=5, help="how many differences of a kind are cut down and shown")
    parser.add_argument("--alone", action="store_true", help="with one BEAM only")
    given = parser.parse_args()
    known = kinds()
    wanted = [known[name] for name in given.kinds or known]
    differing = 0
    with quiet(), lab(given.beam, pair=not given.alone) as here:
        print(f"OTP {here.beam.otp}", flush=True)
        for kind in wanted:
            for place in here.places(kind):
                began, found = time.monotonic(), []
                for first in range(given.first, given.first + given.seeds, AT_ONCE):
                    last = min(first + AT_ONCE, given.first + given.seeds)
                    found += here.differing(kind, place, of_seeds(kind, range(first, last)))
                    if len(found) >= given.most:
                        break
                for difference in found[: given.most]:
                    print(f"\n{here.smallest(kind, difference)}", flush=True)
                differing += len(found)
                took = time.monotonic() - began
                print(
                    f"{kind.name}, {place.name}: {last - given.first} scripts, {len(found)} differ, {took:.1f} s",
                    flush=True,
                )
    return 1 if differing else 0


sys.exit(main())
